"""The network of one rank, whose gradients become those of all: torch's DistributedDataParallel.

DDP averages over ranks, which is not the mean over samples where ranks have different numbers of them (a short
last batch, a file that cannot be read). So each rank's loss is weighted by its share of the samples that a batch
usually has, times the number of ranks; where all of them had another number, the gradients are scaled by it afterwards.

Loss and number of samples travel with the gradients, as the gradient of one more parameter: they tell every rank on
its device, without a message of their own, how many there were, whether one of them met a number that is not finite,
and whether one has something to say.
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
_NOTHING = nullcontext()


class Whole(nn.Module):
    """The network with a parameter `carried` (3), and a way to take part without a sample."""

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._forward = model, forward
        self._syncs = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        self._none: Tensor | None = None  # inputs (0, ...)
        device = next(model.parameters()).device
        self.carried = nn.Parameter(torch.zeros(3, device=device))

    def forward(self, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs (N, ...), or without inputs a 0 () that depends on every parameter; and 0 () of what is carried."""
        if inputs is not None:
            self._none = inputs[:0] if self._syncs else None
            return self._forward(inputs), self.carried[0]
        if self._none is not None:  # synchronised layers of the other ranks wait for those of this one
            return self._forward(self._none).sum() * 0, self.carried[0]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.stack([parameter.flatten()[:0].sum() for parameter in trained]).sum(), self.carried[0]


class SharedGradients:
    """Calls the network in training, on its part of a batch.

    The first step, and the first after layers have thawed, is shared by hand: it shows which parameters get no
    gradient at all, for which DDP would have to search each graph.
    """

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor], ranks: int) -> None:
        self._whole, self._ranks = Whole(model, forward), ranks
        self._parameters = list(model.parameters())  # to walk the modules takes longer than to look at them
        self._trained: list[nn.Parameter] = []
        self._ddp: DistributedDataParallel | None = None
        self._carrier = torch.zeros(())  # 0 () of the step at hand, whose gradient is what is carried
        self._carries = self._whole.carried.detach().clone()  # sum of losses, samples, asks: times the ranks
        self._loss, self._samples, self._asks = self._carries.unbind()
        self._last = True
        self._whole.carried.register_hook(lambda gradient: self._carries)

    def __call__(self, inputs: Tensor | None) -> Tensor:
        """Outputs (N, ...)."""
        outputs: Tensor
        outputs, self._carrier = (self._whole if self._ddp is None else self._ddp)(inputs)
        return outputs

    @property
    def here(self) -> bool:
        """Whether the gradients are in memory that may be looked at without waiting for a device."""
        return self._carries.device.type == "cpu"

    def begin(self, samples: int, *, asks: bool = False) -> None:
        """A step over so many samples of this rank begins; whether this rank has something to say."""
        now = [parameter for parameter in self._parameters if parameter.requires_grad]
        if len(now) != len(self._trained):
            self._trained, self._ddp = now, None
        self._loss.zero_()
        self._samples.fill_(samples * self._ranks)
        self._asks.fill_(asks * self._ranks)

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Around both passes of a batch: gradients are added up here, and shared in the last of a step."""
        self._last = last
        return _NOTHING if last or self._ddp is None else self._ddp.no_sync()

    def nothing(self, *, last: bool) -> Tensor | None:
        """0 () that depends on every parameter, of a batch in which this rank has no sample; None if nobody waits."""
        return self(None) if last else None

    def weigh(self, loss: Tensor, samples: int, usual: int) -> Tensor:
        """A mean loss () over so many samples, weighted; it is counted."""
        self._loss.add_(loss.detach(), alpha=samples * self._ranks)
        share = samples * self._ranks / usual
        return self.carrying(loss if share == 1 else loss * share)

    def carrying(self, loss: Tensor) -> Tensor:
        """`loss` (), whose gradients take along what was counted if they are those of the last batch."""
        return loss + self._carrier if self._last else loss

    def counted(self) -> Tensor:
        """Sum of losses, samples, ranks that ask (3), the same on each rank; once a step, after its last batch."""
        if self._ddp is None:
            self._ddp = self._build(searches=self._share_by_hand())
        gradient = self._whole.carried.grad
        assert gradient is not None
        self._whole.carried.grad = None
        return gradient.clone()

    def _share_by_hand(self) -> bool:
        """Average the gradients over ranks; whether some parameters have none on any."""
        left_out = False
        for parameter in (*self._trained, self._whole.carried):
            has = torch.tensor(float(parameter.grad is not None), device=parameter.device)
            dist.all_reduce(has)
            if has:
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                dist.all_reduce(gradient)
                parameter.grad = gradient.div_(self._ranks)
            left_out = left_out or not has
        return left_out

    def scale(self, factor: float | Tensor) -> None:
        """Multiply the gradients."""
        torch._foreach_mul_([p.grad for p in self._trained if p.grad is not None], factor)

    def _build(self, *, searches: bool) -> DistributedDataParallel:
        gc.collect()  # the hooks of the one before go with it
        device = self._whole.carried.device
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
