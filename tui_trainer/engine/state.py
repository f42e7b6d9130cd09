"""Where a run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(kw_only=True)
class State:
    """Where a run is. `batch` batches of `epoch` are trained; all of it goes into a checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    epochs_without_better: int = 0
    plateau_epochs: int = 0  # epochs without a better value since lr was last reduced
    reductions: int = 0  # of lr, by plateau
    sums: tuple[float, ...] = ()
    interval: tuple[float, ...] = ()
    lengths: tuple[tuple[int, int], ...] = ()  # batches and samples of an epoch of each loader, 0 where nobody knows
    left_out: tuple[int, int] = (0, 0)  # steps whose loss was not finite: in all, and the last in a row


class Loader(Protocol):
    """Of a stream, `samples` and `batches` are 0 until an epoch has ended."""

    samples: int
    batches: int


def lengths_of(loaders: Sequence[Loader]) -> tuple[tuple[int, int], ...]:
    """What is known of an epoch of each."""
    return tuple((loader.batches, loader.samples) for loader in loaders)


def know_lengths(loaders: Sequence[Loader], lengths: Sequence[tuple[int, int]]) -> None:
    """What was known of streams when a checkpoint was made."""
    for loader, (batches, samples) in zip(loaders, lengths, strict=False):
        if not loader.batches:
            loader.batches, loader.samples = batches, samples
