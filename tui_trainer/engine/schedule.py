"""The learning rate as a function of the position in the run. No torch: screens draw it too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WARMUP_START = 0.01  # torchvision's references start at 1 % of lr
RISE = 0.3  # share of a one-cycle run in which lr rises (torch's OneCycleLR)
LOW, LOWEST = 1 / 25, 1 / 25e4  # where one cycle begins and ends, in shares of lr
SHAPES = ("none", "step", "multistep", "exponential", "cosine", "linear", "onecycle", "plateau")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The shape of the learning rate over a run. Milestones are epochs of the run; all else begins after the warmup.

    A function of the position alone, so that nothing has to be stored to resume it, and a change of lr or
    epochs while running takes effect at once; only plateau depends on what was measured, and counts its
    reductions in the state of the run. Cosine: Loshchilov & Hutter, SGDR, 2017. The warmup is linear (Goyal
    et al., 2017). One cycle: Smith & Topin, 2018, with the cosines of torch's OneCycleLR and no change of momentum.
    """

    shape: str = "none"
    warmup: float = 0.0
    step_size: float | None = None  # epochs; None: a third of the run
    gamma: float = 0.1
    milestones: tuple[float, ...] = ()
    min_lr: float = 0.0
    patience: int = 10  # of plateau

    def lr(self, lr: float, epoch: float, epochs: float, reductions: int = 0) -> float:
        """The rate at `epoch` (a fraction) of `epochs`, after so many reductions of a plateau."""
        lowest = min(lr, self.min_lr)
        if self.shape == "onecycle":
            return max(lowest, lr * _one_cycle(epoch, epochs, self.warmup or RISE * epochs))
        if epoch < self.warmup:
            return lr * (WARMUP_START + (1 - WARMUP_START) * epoch / self.warmup)
        if self.shape == "none":
            return lr
        after, whole = epoch - self.warmup, max(epochs - self.warmup, 1e-9)
        done = min(1.0, after / whole)
        match self.shape:
            case "cosine":
                return lowest + (lr - lowest) * (1 + math.cos(math.pi * done)) / 2
            case "linear":
                return lowest + (lr - lowest) * (1 - done)
            case "step":
                step_size = self.step_size or whole / 3
                last = math.ceil(whole / step_size - 1e-9) - 1  # the end of the run is no step of its own
                return max(lowest, lr * self.gamma ** min(max(0, last), _steps(after, step_size)))
            case "multistep":
                return max(lowest, lr * self.gamma ** sum(epoch >= at - 1e-9 for at in self.milestones))
            case "exponential":
                return max(lowest, lr * self.gamma ** _steps(after, 1))
            case "plateau":
                return max(lowest, lr * self.gamma**reductions)
            case _:
                return lr


def schedule_of(values: Mapping[str, Any]) -> Schedule:
    """The schedule of these settings, by their names; gamma may still be "auto"."""
    shape = str(values["lr_scheduler"])
    return Schedule(
        shape=shape,
        warmup=values["warmup_epochs"],
        step_size=values["step_size"],
        gamma=values["gamma"] or gamma_of(shape),
        milestones=values["milestones"],
        min_lr=values["min_lr"],
        patience=values["plateau_patience"],
    )


def gamma_of(shape: str) -> float:
    """What "auto" means: a tenth at each step; exponential takes one every epoch."""
    return 0.95 if shape == "exponential" else 0.1


def _steps(after: float, size: float) -> int:
    return math.floor(after / size + 1e-9)


def _one_cycle(epoch: float, epochs: float, rise: float) -> float:
    if epoch < rise:
        return _between(LOW, 1.0, epoch / rise)
    return _between(1.0, LOWEST, min(1.0, (epoch - rise) / max(epochs - rise, 1e-9)))


def _between(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
