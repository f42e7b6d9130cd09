"""A few real steps before the run: how long it will take, and how much memory."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import torch

from tui_trainer.auto import device_of
from tui_trainer.bench import Bench
from tui_trainer.config import Config
from tui_trainer.text import duration
from tui_trainer.tune import timed_step
from tui_trainer.tune_facts import threads_in_words

VALIDATION = 1 / 3  # a forward pass takes about a third of a step


@dataclass(frozen=True, kw_only=True)
class DryStep:
    """What the steps have shown; `megabytes` is the most that this process, or the GPU, has held."""

    step_seconds: float
    steps_per_epoch: int
    val_batches: int
    epochs: int
    megabytes: float
    device: str
    threads: int

    @property
    def epoch_seconds(self) -> float:
        """A whole epoch with validation, if data comes as fast as it is used."""
        return self.step_seconds * (self.steps_per_epoch + VALIDATION * self.val_batches)

    def in_words(self) -> str:
        """Two sentences."""
        epoch, run = self.epoch_seconds, self.epoch_seconds * self.epochs
        whole = (
            f"{duration(epoch)} an epoch, {duration(run)} for the run, when data comes as fast as it is used."
            if self.steps_per_epoch
            else "how many an epoch of this stream has is known when one has ended."
        )
        threads = f" with {threads_in_words(self.threads)}" if self.device == "cpu" else ""
        step = f"A step takes {1000 * self.step_seconds:.3g} ms on {self.device}{threads}"
        return f"{step}: {whole} Memory at most {self.megabytes:,.0f} MB."


def dry_step(config: Config) -> DryStep:
    """Train for half a second on one batch; nothing of it is kept.

    Raises:
        UserError: the data, the model or a setting does not do.
    """
    bench = Bench(config)
    device = device_of(config.recipe.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    _, seconds = timed_step(bench)
    data = bench.data(0)
    return DryStep(
        step_seconds=seconds,
        steps_per_epoch=data.train.batches,
        val_batches=data.val.batches,
        epochs=config.recipe.epochs,
        megabytes=_most_memory(device),
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _most_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere (getrusage)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
