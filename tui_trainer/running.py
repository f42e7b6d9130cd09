"""A run that is ready: the loop joined to its recorders, and what becomes of it when something fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from tui_trainer.config import Config
from tui_trainer.data.batches import Data
from tui_trainer.engine.job import Commands, Job
from tui_trainer.engine.keeping import keep, keep_what_is_whole, leave_a_good_end
from tui_trainer.engine.loop import train
from tui_trainer.engine.ranks import LostRankError
from tui_trainer.engine.relay import relayed
from tui_trainer.events import Event, RunEnded, Warned
from tui_trainer.failures import batches_in_words, in_words, is_out_of_memory, record_all, with_smaller_batches
from tui_trainer.patience import Patience
from tui_trainer.record import Recorder
from tui_trainer.recorders import recorders_of
from tui_trainer.repeating import repeatable
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_lock import RunLock
from tui_trainer.text import display


@dataclass(kw_only=True)
class Run:
    """A run that is ready to start: its folder, its parts, and what to say first."""

    folder: RunFolder
    config: Config
    job: Job
    news: list[Event]
    lock: RunLock | None  # None: another rank records and saves
    hear: Callable[[str], None] = lambda told: None  # what other ranks tell
    data: Data
    least_batch: int = 1
    again: Config | None = None  # what to go on with, after events() has ended without a last word

    def events(self, commands: Commands) -> Iterator[Event]:
        """Train; each event is recorded before it is handed on.

        Raises:
            UserError: the run failed, in words; RunEnded was recorded.
        """
        recorders: list[Recorder] = []
        failing: set[Recorder] = set()
        try:
            recorders += recorders_of(self.folder, self.config, self.job) if self.lock else []
            with Patience(torch.get_num_threads() if self.job.device.type == "cpu" else 1):
                for event in self._told(commands):
                    yield from record_all(event, recorders, failing)
                    yield event
        except OSError as error:
            raise in_words(error, self.config) or error from error
        finally:
            for recorder in recorders:
                with contextlib.suppress(OSError):
                    recorder.close()
            if self.lock:
                self.lock.release()
            self.data.close()

    def _told(self, commands: Commands) -> Iterator[Event]:
        yield from self.news
        if self.config.recipe.auto_batch and self.job.keeping.last is None:
            yield keep(self.job)  # something to go on from if the first step is too large already
        try:
            yield from relayed(train(self.job, commands), self.job.ranks, self.hear)
        except Exception as error:
            if is_out_of_memory(error) and self.job.ranks.size == 1:
                error.__traceback__ = None  # it holds what the step has computed so far
                yield from keep_what_is_whole(self.job)
                yield from self._smaller()
                if self.again is not None:
                    return
            failure = self.job.ranks.explain(error) or in_words(error, self.config)
            if isinstance(failure, LostRankError):
                raise failure from error
            leave_a_good_end(self.job)
            yield RunEnded(
                outcome="failed",
                message=display(failure or f"{type(error).__name__}: {error}", 500),
                error=failure.kind if failure else "bug",
                epochs=self.job.state.epoch,
                step=self.job.state.step,
                seconds=self.job.pace.seconds,
            )
            if failure is None or failure is error:
                raise
            raise failure from error

    def _smaller(self) -> Iterator[Event]:
        """Choose smaller batches to go on with, if that is wanted and possible."""
        wanted = self.config.recipe.auto_batch and self.job.keeping.last and self.job.ranks.size == 1
        smaller = with_smaller_batches(self.config, self.least_batch) if wanted else None
        if smaller is not None:
            trust = self.config.run.trust_code
            self.again = repeatable(smaller).replace(resume=str(self.folder.path), trust_code=trust)
            what = f"going on with {batches_in_words(smaller)}"
            yield Warned(topic="memory", message=f"Out of memory after step {self.job.state.step}: {what}.")
