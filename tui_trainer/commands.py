"""What a run is told: one line of JSON each, in `commands.jsonl`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar

from tui_trainer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Command:
    """Something a run is asked to do; it answers with an event."""

    kind: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Pause(Command):
    """Wait after this step."""

    kind = "pause"


@dataclass(frozen=True, kw_only=True)
class Resume(Command):
    """Go on after a pause."""

    kind = "resume"


@dataclass(frozen=True, kw_only=True)
class Stop(Command):
    """Finish the step, save a checkpoint, end."""

    kind = "stop"


@dataclass(frozen=True, kw_only=True)
class Abort(Command):
    """End now; the last checkpoint stays."""

    kind = "abort"


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Command):
    """Save a checkpoint now."""

    kind = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class Evaluate(Command):
    """Measure the validation part now, in the middle of an epoch."""

    kind = "evaluate"


@dataclass(frozen=True, kw_only=True)
class Set(Command):
    """Change a setting of the running loop: lr, epochs or patience."""

    kind = "set"
    name: str
    value: float

    def __post_init__(self) -> None:
        if self.name not in LIVE_SETTINGS:
            raise ConfigError(f"{self.name} cannot be set while running: only {', '.join(LIVE_SETTINGS)} can.")
        low, high = LIVE_SETTINGS[self.name]
        if type(self.value) not in (int, float) or not low <= self.value <= high:
            raise ConfigError(f"{self.name} = {self.value!r}: it must be a number from {low:g} to {high:g}.")


# name -> its least and greatest value, where they come from a file that anybody may have written to
LIVE_SETTINGS = {"lr": (5e-324, 1e3), "epochs": (1, 1e6), "patience": (0, 1e6)}
KINDS: dict[str, type[Command]] = {cls.kind: cls for cls in Command.__subclasses__()}


def to_json(command: Command) -> str:
    """One line of JSON."""
    return json.dumps({"kind": command.kind, **dataclasses.asdict(command)})


def from_json(line: str) -> Command | None:
    """The command of one line; None if it is not one that this version knows."""
    try:
        record = json.loads(line)
        kind = KINDS[record.pop("kind")]
        return kind(**record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError):
        return None
