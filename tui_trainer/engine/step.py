"""One step of training: the weights are updated once, from one batch or from several (accumulation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from tui_trainer.engine.optim import zero_grad

if TYPE_CHECKING:
    from tui_trainer.engine.job import Job
    from tui_trainer.engine.loader import Batch


class Scored(NamedTuple):
    """What one batch gave, without its graph: mean `loss` (), `outputs` (N, ...), `targets` as the loader has them."""

    loss: Tensor
    outputs: Tensor
    targets: Tensor


def train_step(job: Job, group: Sequence[Batch]) -> Sequence[Scored] | None:
    """Train on the batches of `group` as if they were one; None if no rank has a sample of them.

    Each batch counts by its share of the samples, so that a short last one does not count double.
    """
    scored: list[Scored] = []
    job.guard.begin()
    zero_grad(job.optimizer)
    for batch in group:
        last = batch is group[-1]
        with job.ranks.batch(last=last):
            count = batch.targets.shape[0]  # `len` of a tensor costs a microsecond
            if not count:  # none of its files could be read, or all are those of other ranks
                job.ranks.pass_by(job.precision, last=last)
                continue
            inputs, targets = job.prepare(batch)
            inputs, mixed = job.mix(inputs, targets, job.state.epoch, batch.number)
            with job.precision.autocast():
                outputs = job.trained(inputs)
                loss = job.loss_func(outputs, mixed)
            job.precision.backward(job.ranks.weigh(loss, count, len(group)))
        true = targets if mixed.ndim == targets.ndim else mixed.argmax(1)
        scored.append(Scored(loss.detach(), outputs.detach(), true))
    found = job.ranks.finite(scored)
    if found is None:
        return None
    whole, told = found
    if job.guard.step(whole, lambda: update(job)) and job.ema is not None:
        job.ema.update(job.model)
    return told


def update(job: Job) -> None:
    """Change the weights by the gradients that are there."""
    job.torn = True  # until the step is counted: what is cut off in between is no state to go on from
    if job.clip_grad_norm:
        job.precision.unscale(job.optimizer)
        clip_grad_norm_(job.model.parameters(), job.clip_grad_norm)
    job.precision.step(job.optimizer)


def no_mix(inputs: Tensor, targets: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
    """Leave the samples of a batch as they are."""
    return inputs, targets
