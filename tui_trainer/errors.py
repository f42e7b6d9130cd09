"""What went wrong in words a user can act on.

    UserError             what, where, what to do; no traceback
    ├── ConfigError       2   a flag, a key of a TOML file, a combination of settings
    ├── DataError         3   the dataset
    │   └── TooManyBadError   too much of it cannot be read
    ├── WeightsError      4   a weight file or a checkpoint
    └── TrainingError     5   diverged, out of memory, disk full

The number is the exit code. Anything else that is raised is a bug (exit code 1).
"""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """A sentence for the user, which says what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, out of bounds, or does not go with another."""

    exit_code = 2
    kind = "config"


class DataError(UserError):
    """The dataset cannot be read, or cannot be trained on."""

    exit_code = 3
    kind = "data"


class TooManyBadError(DataError):
    """More of the images cannot be read than is allowed; `allowed`: the --max-bad that would let the run go on."""

    def __init__(self, fact: str, allowed: float = 0.0, advice: str = "") -> None:
        super().__init__(f"{fact} {advice}".rstrip())
        self.fact = fact  # without what to do at a command line: screens have keys for it
        self.allowed = allowed


class WeightsError(UserError):
    """A weight file or checkpoint cannot be read, or does not fit."""

    exit_code = 4
    kind = "weights"


class TrainingError(UserError):
    """Training began and cannot go on."""

    exit_code = 5
    kind = "training"


BY_KIND: dict[str, type[UserError]] = {cls.kind: cls for cls in UserError.__subclasses__()}
BY_EXIT_CODE: dict[int, type[UserError]] = {cls.exit_code: cls for cls in UserError.__subclasses__()}
