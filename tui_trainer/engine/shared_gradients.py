"""The network of one rank, whose gradients become those of all: torch's DistributedDataParallel.

DDP averages over ranks, which is not the mean over samples where ranks have different numbers of them (a short
last batch, a file that cannot be read). So each rank's loss is weighted by its share of the samples times the
number of ranks: then the average is the sum over samples by their number, as one process has it.

The loss travels with the gradients: one more parameter is multiplied with it, whose gradient therefore is the
mean loss over all ranks. It tells every rank on its device, without a message of its own, whether one of them
met a number that is not finite.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

BUFFERS = "forward_sync_buffers"  # what torch calls it from 2.13 on
_KNOWN = inspect.signature(DistributedDataParallel).parameters
NO_BUFFERS: dict[str, Any] = {BUFFERS if BUFFERS in _KNOWN else "broadcast_buffers": False}  # see Ranks.same_buffers


class Whole(nn.Module):
    """The network with the parameter `loss`, and a way to take part without a sample."""

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._forward = model, forward
        self._syncs = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        self._none: Tensor | None = None  # inputs (0, ...)
        device = next(model.parameters()).device
        self.loss = nn.Parameter(torch.zeros((), device=device))

    def forward(self, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs (N, ...), or without inputs a 0 () that depends on every parameter; and 0 () for the loss."""
        if inputs is not None:
            self._none = inputs[:0] if self._syncs else None
            return self._forward(inputs), self.loss * 1
        if self._none is not None:  # synchronised layers of the other ranks wait for those of this one
            return self._forward(self._none).sum() * 0, self.loss * 1
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.stack([parameter.flatten()[:0].sum() for parameter in trained]).sum(), self.loss * 1


class SharedGradients:
    """Calls the network in training, on its part of a batch.

    The first step, and the first after layers have thawed, is shared by hand: it shows which parameters get no
    gradient at all, for which DDP would have to search each graph.
    """

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        self._whole = Whole(model, forward)
        self._parameters = list(model.parameters())  # to walk the modules takes longer than to look at them
        self._trained: list[nn.Parameter] = []
        self._ddp: DistributedDataParallel | None = None
        self._loss: Tensor | None = None  # of the step at hand

    def __call__(self, inputs: Tensor | None) -> Tensor:
        """Outputs (N, ...)."""
        outputs: Tensor
        outputs, self._loss = (self._whole if self._ddp is None else self._ddp)(inputs)
        return outputs

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Around both passes of a batch: gradients are added up here, and shared in the last of a step."""
        now = [parameter for parameter in self._parameters if parameter.requires_grad]
        if len(now) != len(self._trained):
            self._trained, self._ddp = now, None
        return nullcontext() if last or self._ddp is None else self._ddp.no_sync()

    def with_loss(self, loss: Tensor) -> Tensor:
        """`loss` (), of which the mean over ranks comes with the gradients."""
        assert self._loss is not None
        return loss + self._loss * loss.detach()

    def mean_loss(self) -> Tensor:
        """The mean () over all samples of the step, the same on every rank; once a step, after its backward passes."""
        if self._ddp is None:
            self._ddp = self._build(searches=self._share_by_hand())
        gradient = self._whole.loss.grad
        assert gradient is not None
        self._whole.loss.grad = None
        return gradient.clone()

    def _share_by_hand(self) -> bool:
        """Average the gradients over ranks; whether some parameters have none on any."""
        left_out = False
        for parameter in (*self._trained, self._whole.loss):
            has = torch.tensor(float(parameter.grad is not None), device=parameter.device)
            dist.all_reduce(has)
            if has:
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                dist.all_reduce(gradient)
                parameter.grad = gradient.div_(dist.get_world_size())
            left_out = left_out or not has
        return left_out

    def _build(self, *, searches: bool) -> DistributedDataParallel:
        gc.collect()  # the hooks of the one before go with it
        device = self._whole.loss.device
        gradients = [parameter.grad for parameter in self._whole.parameters()]
        made = DistributedDataParallel(
            self._whole,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=searches,
            gradient_as_bucket_view=True,
            **NO_BUFFERS,
        )
        for parameter, gradient in zip(self._whole.parameters(), gradients, strict=True):
            parameter.grad = gradient
        return made
