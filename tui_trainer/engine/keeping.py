"""When a checkpoint is due, and what becomes of a run that cannot write one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tui_trainer.engine import checkpoint, shards
from tui_trainer.engine.guard import MOST_IN_A_ROW
from tui_trainer.engine.ranks import Moment
from tui_trainer.errors import TrainingError
from tui_trainer.events import CheckpointSaved, Event, Warned
from tui_trainer.every import Every
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.engine.job import Job

SHARE = 0.005  # of the time that saving may take
LONGEST = 600.0  # seconds after which there is a checkpoint in the midst of an epoch
FIRST_RETRY, LAST_RETRY = 10.0, 600.0  # seconds from a failed save to the next try; doubled each time


EACH_EPOCH = Every(1)


class Keeping:
    """What is kept of a run, and when. `every` None: each epoch, but at most 0.5 % of the time is spent saving.

    `keep` newest checkpoints are kept, and for good those that `keep_every` meets.
    """

    def __init__(
        self,
        *,
        keep: int = 2,
        every: Every | None = EACH_EPOCH,
        keep_every: Every | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.keep, self.every, self.keep_every, self._clock = keep, every, keep_every, clock
        self.last: tuple[int, int, int] | None = None  # epoch, batch and step of the newest checkpoint
        self._best: tuple[dict[str, Tensor], dict[str, str]] | None = None  # weights that are not on disk yet
        self._is_copy = False
        self._ended = self._next = clock()
        self._failures = 0
        self.now: Callable[[], Moment] = self.moment  # whose time counts

    def is_due(self, at: tuple[int, int, int]) -> bool:
        """Whether to save now, after `at` = (epoch, batch, step)."""
        moment = self.now()
        if self.every is not None and not moment.failing:
            return self.every.meets(*at) or self.is_for_good(at)
        waited = moment.ready and (at[1] == 0 or moment.long or moment.failing)
        return waited or self.is_for_good(at)

    def moment(self) -> Moment:
        """What the time says here."""
        now = self._clock()
        return Moment(now >= self._next, now - self._ended >= LONGEST, self._failures > 0)

    def is_for_good(self, at: tuple[int, int, int]) -> bool:
        """Whether the checkpoint after `at` is never removed."""
        return self.keep_every is not None and self.keep_every.meets(*at)

    def hold_best(self, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
        """The best weights so far; they are written with the next checkpoint, which knows of them."""
        self._best = dict(tensors), metadata
        self._is_copy = False

    def copy_best(self) -> None:
        """Training goes on before the best weights were written: keep them as they are now."""
        if self._best is not None and not self._is_copy:
            tensors, metadata = self._best
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, metadata
            self._is_copy = True

    def write(self, job: Job, folder: Path, state: Mapping[str, Any]) -> str:
        """Commit a checkpoint of `state`, after the best weights that it speaks of; the name of its file.

        Raises:
            OSError: it could not be written.
        """
        began = self._clock()
        self.write_best(folder)
        at = job.position
        name = checkpoint.save(folder, at[2], state, self.keep, forever=self.is_for_good(at))
        self._ended = self._clock()
        self._next = self._ended + (self._ended - began) / SHARE
        self.last, self._failures = at, 0
        return name

    def write_best(self, folder: Path) -> None:
        """Write the best weights that are held, if there are any."""
        if self._best is not None:
            checkpoint.save_weights(folder / "best.safetensors", *self._best)
            self._best = None

    def failed(self) -> None:
        """A save went wrong: another try is due after a while, and a longer while each time."""
        self._next = self._clock() + min(LAST_RETRY, FIRST_RETRY * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self.copy_best()


def keep_if_due(job: Job) -> Iterator[Event]:
    """Commit a checkpoint where one is due; a disk that refuses is told, and tried again later."""
    if job.state.batch == job.train_loader.batches:
        return  # the end of the epoch, validation included, is the better place
    if job.keeping.is_due(job.position):
        yield keep(job)
    elif job.checkpoints is not None:
        job.keeping.copy_best()


def keep(job: Job) -> Event:
    """Commit a checkpoint now; a disk that refuses is told, and tried again later."""
    event: Event
    try:
        event = save(job)
    except OSError as error:
        job.keeping.failed()
        event = Warned(
            topic="checkpoint",
            message=f"{in_words(error)} {which_is_last(job)}; training goes on, and saving is tried again.",
        )
    job.ranks.read_clock(job.clock)
    return event


def keep_last(job: Job, *, again: bool) -> Iterator[Event]:
    """The checkpoint and the final weights of a run that ends; `again`: even if nothing was trained since the last.

    Raises:
        TrainingError: they could not be written.
    """
    try:
        if job.ranks.agreed(again or job.keeping.last != job.position):
            yield save(job)
        job.save_weights("final")
    except OSError as error:
        raise TrainingError(f"{in_words(error)} {which_is_last(job)}; --resume goes on once that is mended.") from error


def save(job: Job) -> Event:
    """Commit a checkpoint and tell of it.

    Raises:
        OSError: it could not be written.
        TrainingError: the weights are not finite: a checkpoint of them would be worth nothing.
    """
    if not all(job.ranks.gathered(_are_finite(job.model))):
        raise diverged(job, "The weights are not finite numbers any more")
    state = job.to_dict()
    if job.sharded:
        state = shards.write(state, job.checkpoints, job.ranks)
    file = job.keeping.write(job, job.checkpoints, state) if job.checkpoints is not None else ""
    return CheckpointSaved(epoch=job.state.epoch, step=job.state.step, file=file)


def _are_finite(model: nn.Module) -> bool:
    """Whether the weights that this rank has are numbers."""
    trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
    return all(bool(getattr(parameter, "_local_tensor", parameter).isfinite().all()) for parameter in trained)


def in_words(error: OSError) -> str:
    """What the disk said, as a sentence."""
    where = f" {display(error.filename)}" if error.filename else ""
    return f"Cannot write{where}: {error.strerror or display(error)}."


def which_is_last(job: Job) -> str:
    """The checkpoint that there is, in words."""
    last = job.keeping.last
    return f"The last checkpoint is of step {last[2]}" if last else "There is no checkpoint yet"


def diverged(job: Job, what: str = "The loss is not a finite number") -> TrainingError:
    """Training has come to nothing."""
    return TrainingError(
        f"{what} at step {job.state.step}: training diverged. Try a smaller --lr than {job.lr:g}. {which_is_last(job)}."
    )


def keep_what_is_whole(job: Job) -> Iterator[Event]:
    """Memory has run out in a step: commit what was trained before it, if it had not changed the weights yet."""
    job.optimizer.zero_grad()
    if job.device.type == "cuda":
        torch.cuda.empty_cache()
    alone = job.ranks.size == 1  # others wait for this one in the midst of the step
    if alone and not job.torn and job.checkpoints is not None and job.keeping.last != job.position:
        yield keep(job)
    leave_a_good_end(job)


def leave_a_good_end(job: Job) -> None:
    """A run ends without a checkpoint: keep at least the best weights that were not on disk yet."""
    if job.checkpoints is not None:
        with contextlib.suppress(OSError):
            job.keeping.write_best(job.checkpoints)


def left_out(job: Job, *, look: bool) -> Iterator[Event]:
    """Tell of steps whose loss was not finite; `look`: the device may be asked.

    Raises:
        TrainingError: there were too many in a row.
    """
    total, row = job.guard.read() if look else (job.guard.told, job.guard.row)
    if row >= MOST_IN_A_ROW:
        raise diverged(job, f"The loss was not a finite number in {row} steps in a row, the last")
    if total > job.guard.told:
        steps = "1 step" if total - job.guard.told == 1 else f"{total - job.guard.told} steps"
        job.guard.told = total
        yield Warned(
            topic="loss",
            message=f"The loss was not a finite number in {steps} until step {job.state.step}: left out, "
            f"{total} so far. If it happens often, try a smaller --lr.",
        )
