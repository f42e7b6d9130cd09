"""What a run says.

Each event is one line of JSON in `events.jsonl`. Rates are in [0, 1], losses are means over
samples, times are seconds. A reader that meets an unknown kind or key goes on.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

SCHEMA_VERSION = 1
LEFT_OUT = " is left out: "  # between the name of a file that cannot be read and the reason
LARGEST = 2**53  # a whole number beyond it is no count of anything here
TIMES = ("time", "seconds", "images_per_second", "eta_seconds", "data_wait")  # what differs between two equal runs


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. `time`: seconds since the epoch (1970)."""

    kind: ClassVar[str]
    time: float = field(default_factory=clock.time)


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """The loop begins, at `epoch` and `step` if it goes on from a checkpoint.

    `targets`: names of the numbers to predict, where the task is regression. `unit`: what a sample is called.
    `train_bad`, `val_bad`: those of the samples that are known to be left out.
    `ranks`: processes that train together. Of a stream that ends by itself, steps and samples are 0: nobody knows.
    """

    kind = "run_started"
    model: str
    parameters: int
    device: str
    classes: tuple[str, ...]
    train_samples: int
    val_samples: int
    steps_per_epoch: int
    epochs: int
    epoch: int = 0
    step: int = 0
    task: str = "classification"
    targets: tuple[str, ...] = ()
    unit: str = "images"
    ranks: int = 1
    train_bad: int = 0
    val_bad: int = 0

    @property
    def where(self) -> str:
        """Its device in words: cpu, or cpu x 4 for four processes."""
        return self.device + (f" x {self.ranks}" if self.ranks > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A few steps are done.

    `part` is "train" or "val"; `batch` of `batches` of this part are done in `epoch` (from 0). `batches` is 0 while
    nobody knows how many there are, and `eta_seconds` then too.
    `metrics`: batch_loss and batch_top1 (r2, f1: by task) over the steps since the last event, train_loss
    and train_top1 over the epoch so far. `seconds`: time trained, pauses left out. `data_wait`: share of
    the time since the last event that was spent waiting for batches, in [0, 1].
    """

    kind = "progress"
    part: str
    epoch: int
    step: int
    batch: int
    batches: int
    samples: int
    lr: float
    metrics: Mapping[str, float]
    seconds: float
    images_per_second: float
    eta_seconds: float
    data_wait: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """An epoch is trained and validated; `metrics` are those of the whole epoch.

    `never_predicted`: classes of the validation part, by their numbers, for which no sample was taken; 20 at most.
    """

    kind = "evaluated"
    epoch: int
    step: int
    lr: float
    metrics: Mapping[str, float]
    best: bool
    seconds: float
    never_predicted: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EvaluatedNow(Event):
    """The validation part was measured because somebody asked, after `step`; no epoch ends with it."""

    kind = "evaluated_now"
    epoch: int
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """The state after `step` is on disk as `file`, a name in the run's checkpoints folder."""

    kind = "checkpoint_saved"
    epoch: int
    step: int
    file: str


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    """The loop waits, after `step`; said again when it is asked to while it waits."""

    kind = "paused"
    step: int


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The loop goes on, after `step`; said too when it had not waited."""

    kind = "resumed"
    step: int


@dataclass(frozen=True, kw_only=True)
class SettingChanged(Event):
    """A setting was changed while running, or an "auto" became a value (`reason`)."""

    kind = "setting_changed"
    step: int
    name: str
    value: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something the user should know, which does not end the run; `topic` groups them."""

    kind = "warned"
    topic: str
    message: str

    @property
    def of_a_file(self) -> bool:
        """Whether it tells of one file that cannot be read."""
        return self.topic == "data" and LEFT_OUT in self.message


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    """The last event. `outcome`: finished, early_stopped, out_of_time, stopped, aborted or failed."""

    kind = "run_ended"
    outcome: str
    message: str
    epochs: int
    step: int
    seconds: float
    error: str = ""


KINDS: dict[str, type[Event]] = {cls.kind: cls for cls in Event.__subclasses__()}


_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def to_json(event: Event) -> str:
    """One line of JSON, ASCII only, so that no name in it can act on a terminal."""
    record = {"v": SCHEMA_VERSION, "kind": event.kind, **vars(event)}
    try:
        return _ENCODER.encode(record)
    except (ValueError, TypeError):  # a number that is not finite, a mapping of another kind
        return _ENCODER.encode(plain(record))


def plain(value: Any) -> Any:
    """NaN and infinities are not JSON (RFC 8259): they are written as text and read back as floats."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def from_json(line: str) -> Event | None:
    """The event of one line; None if its kind is not known here.

    Raises:
        ValueError: the line is not a record of this form.
    """
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("not an event")
    cls = KINDS.get(str(record.get("kind")))
    if cls is None:
        return None
    types = {f.name: str(f.type) for f in dataclasses.fields(cls)}
    try:
        return cls(**{key: _revived(types[key], value) for key, value in record.items() if key in types})
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _revived(kind: str, value: Any) -> Any:
    if kind.startswith("Mapping"):
        return {name: float(number) for name, number in dict(value).items()}
    if kind.startswith("tuple"):
        return tuple(value)
    if kind == "float":
        return float(value)
    if type(value).__name__ != kind or (kind == "int" and abs(value) > LARGEST):
        raise ValueError(f"{value!r:.40} is not of type {kind}")
    return value
