"""What went wrong while a run was training, in words that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch

from tui_trainer.config import Config
from tui_trainer.engine import keeping
from tui_trainer.errors import TrainingError, UserError
from tui_trainer.events import Event, Warned
from tui_trainer.record import Recorder
from tui_trainer.text import display

NO_MEMORY = re.compile("not enough memory|can't allocate memory")  # what torch says of the CPU's


def record_all(event: Event, recorders: Collection[Recorder], failing: set[Recorder]) -> list[Event]:
    """Hand an event to the recorders; a disk that takes nothing more does not end a run, and is told once."""
    warnings: list[Event] = []
    for record in recorders:
        try:
            record(event)
        except OSError as error:
            if record not in failing:
                message = f"{keeping.in_words(error)} Training goes on; what is recorded waits for room."
                warnings.append(Warned(topic="record", message=message))
            failing.add(record)
    return warnings


def in_words(error: Exception, config: Config) -> UserError | None:
    """What the user can do about an exception of the loop; None if it is a bug."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY.search(str(error)):
        smaller = max(1, config.loader.batch_size // 2)
        return TrainingError(f"Out of memory: try --batch-size {smaller}, or a smaller --image-size.")
    if isinstance(error, OSError):
        where = f" {display(error.filename)}" if error.filename else ""
        return TrainingError(f"Cannot write{where}: {error.strerror or error}. --resume goes on once that is mended.")
    if isinstance(error, RuntimeError) and "deterministic" in str(error):
        return TrainingError(
            f"An operation of this model varies from run to run: use --no-deterministic. {display(error, 200)}"
        )
    if isinstance(error, RuntimeError) and ("DataLoader worker" in str(error) or "DataLoader timed out" in str(error)):
        return TrainingError(
            f"A DataLoader worker ended or was too slow: {display(error)}. "
            "Try fewer --num-workers, or a longer --timeout; --resume goes on."
        )
    return None
