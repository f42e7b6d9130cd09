"""Where a run is."""

from __future__ import annotations

from dataclasses import dataclass


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
    left_out: tuple[int, int] = (0, 0)  # steps whose loss was not finite: in all, and the last in a row
