"""The learning rate range test (Smith, 2017): lr grows at every step until the loss blows up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui_trainer.engine.job import Job
from tui_trainer.engine.optim import set_lr
from tui_trainer.engine.step import train_step

LOW, HIGH = 1e-6, 10.0
STEPS = 100
KEPT = 0.9  # of the smoothed loss, at each step
BLOWN_UP = 4.0  # times the lowest loss


@dataclass(frozen=True)
class Point:
    """A step at `lr`: its loss, smoothed over those before it."""

    lr: float
    loss: float


def lr_range(job: Job, steps: int = STEPS) -> Iterator[Point]:
    """Train at rates from 1e-6 to 10, evenly spaced in their logarithms; the network is spoilt by it."""
    job.in_training_mode()
    average, lowest = 0.0, math.inf
    endless = itertools.chain.from_iterable(job.train_loader.epoch(number) for number in itertools.count())
    batches = (batch for batch in endless if len(batch.targets))
    for step in range(steps):
        lr = LOW * (HIGH / LOW) ** (step / max(1, steps - 1))
        set_lr(job.optimizer, lr)
        scored = train_step(job, list(itertools.islice(batches, job.grad_accum_steps))) or ()
        loss = sum(one.loss.item() for one in scored) / len(scored)
        average = KEPT * average + (1 - KEPT) * loss
        smooth = average / (1 - KEPT ** (step + 1))
        if not math.isfinite(smooth) or smooth > BLOWN_UP * lowest:
            return
        lowest = min(lowest, smooth)
        yield Point(lr, smooth)


def suggest(points: Sequence[Point]) -> float | None:
    """A tenth of the rate at which the loss was lowest (Gugger, 2018); None if it never fell."""
    if len(points) < 10:
        return None
    lowest = min(points, key=lambda point: point.loss)
    return lowest.lr / 10 if lowest.loss < 0.98 * points[0].loss else None
