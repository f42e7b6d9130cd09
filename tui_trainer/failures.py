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


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory has run out, of the device or of this machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY.search(str(error)) is not None


def with_smaller_batches(config: Config, least: int = 1) -> Config | None:
    """The same steps from smaller batches, at best of half the size; None if there are none of `least` samples."""
    size = config.loader.batch_size
    for parts in range(2, size + 1):
        if size % parts == 0 and size // parts >= least and not config.loader.batch_sampler:
            accumulated = config.recipe.grad_accum_steps * parts
            return config.replace(batch_size=size // parts, grad_accum_steps=accumulated)
    return None


def batches_in_words(config: Config) -> str:
    """The flags for them."""
    return f"--batch-size {config.loader.batch_size} --grad-accum-steps {config.recipe.grad_accum_steps}"


def in_words(error: Exception, config: Config) -> UserError | None:
    """What the user can do about an exception of the loop; None if it is a bug."""
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        smaller = with_smaller_batches(config)
        if smaller is None:
            return TrainingError("Out of memory: the batches cannot be smaller; try a smaller model or --image-size.")
        return TrainingError(
            f"Out of memory: try {batches_in_words(smaller)}, which make the same steps (--resume goes on with them, "
            "--auto-batch by itself), or a smaller model or --image-size."
        )
    if isinstance(error, EOFError | ConnectionError) and config.loader.num_workers:  # from its socket
        return TrainingError("A DataLoader worker ended: try fewer --num-workers; --resume goes on.")
    if isinstance(error, OSError):
        where = f" {display(error.filename)}" if error.filename else ""
        return TrainingError(f"Cannot write{where}: {error.strerror or error}. --resume goes on once that is mended.")
    if isinstance(error, RuntimeError) and "deterministic" in str(error):
        return TrainingError(
            f"An operation of this model varies from run to run: use --no-deterministic. {display(error, 200)}"
        )
    return None
