"""One step of training: the weights are updated once, from one batch or from several (accumulation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor
from torch.nn.utils import clip_grad_norm_

if TYPE_CHECKING:
    from tui_trainer.engine.job import Batch, Job


class Scored(NamedTuple):
    """What one batch gave, without its graph: mean `loss` (), `outputs` (N, ...), `targets` as the loader has them."""

    loss: Tensor
    outputs: Tensor
    targets: Tensor


def train_step(job: Job, group: Sequence[Batch]) -> list[Scored]:
    """Train on the batches of `group` as if they were one.

    Each batch counts by its share of the samples, so that a short last one does not count double.
    """
    scored, samples = [], sum(len(batch.targets) for batch in group)
    job.guard.begin()
    job.optimizer.zero_grad()
    for batch in group:
        inputs, targets = job.prepare(batch)
        if not len(targets):
            continue  # none of its files could be read
        inputs, mixed = job.mix(inputs, targets, job.state.epoch, batch.number)
        with job.precision.autocast():
            outputs = job.forward(inputs)
            loss = job.loss_func(outputs, mixed)
        job.precision.backward(loss if len(group) == 1 else loss * (len(targets) / samples))
        scored.append(
            Scored(loss.detach(), outputs.detach(), targets if mixed.ndim == targets.ndim else mixed.argmax(1))
        )
    finite = sum(one.loss for one in scored).isfinite()  # type: ignore[union-attr]
    if job.guard.step(finite, lambda: update(job)) and job.ema is not None:
        job.ema.update(job.model)
    return scored


def update(job: Job) -> None:
    """Change the weights by the gradients that are there."""
    if job.clip_grad_norm:
        job.precision.unscale(job.optimizer)
        clip_grad_norm_(job.model.parameters(), job.clip_grad_norm)
    job.precision.step(job.optimizer)


def no_mix(inputs: Tensor, targets: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
    """Leave the samples of a batch as they are."""
    return inputs, targets
