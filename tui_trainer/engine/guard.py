"""A loss that is not finite changes nothing: its step is left out, counted and told."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MOST_IN_A_ROW = 10


class Guard:
    """Leaves out the steps of losses that are NaN or infinite.

    On the CPU a look at the loss costs nothing. On an accelerator it would be a sync point, so there an
    optimizer that can leave out a step by itself (the `fused` ones) is told where it is, and the counts
    stay on the device until `read`.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        device = next(model.parameters()).device
        self.looks = device.type == "cpu" or not optimizer.defaults.get("fused")
        self._optimizer, self._device = optimizer, device
        self._buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._before = [buffer.clone() for buffer in self._buffers]
        self.reset((0, 0))

    def reset(self, counts: tuple[int, int]) -> None:
        """Go on from the counts of a checkpoint."""
        self._total, self._row = counts
        self._on_device = torch.tensor(counts, device=self._device)
        self.told = self._total

    def begin(self) -> None:
        """Before a forward pass: running statistics, as of batch normalisation, take a NaN in and never lose it."""
        if self._buffers:
            with torch.no_grad():
                torch._foreach_copy_(self._before, self._buffers)

    def step(self, loss: Tensor, act: Callable[[], object]) -> bool:
        """Call `act`, which updates the weights, unless `loss` () is not finite; whether it was called."""
        if self.looks:  # on the CPU a tenth of the time of `isfinite`
            return self._look(math.isfinite(loss.item()), act)
        self._tell(loss.isfinite(), act)
        return True

    def _look(self, finite: bool, act: Callable[[], object]) -> bool:
        if finite:
            self._row = 0
            act()
            return True
        self._total, self._row = self._total + 1, self._row + 1
        with torch.no_grad():
            for buffer, before in zip(self._buffers, self._before, strict=True):
                buffer.copy_(before)
        return False

    @torch.no_grad()
    def _tell(self, finite: Tensor, act: Callable[[], object]) -> None:
        missed = (~finite).to(self._on_device)
        self._optimizer.found_inf = missed.float()  # type: ignore[attr-defined]
        act()
        self._on_device = torch.stack([self._on_device[0] + missed, (self._on_device[1] + missed) * missed])
        for buffer, before in zip(self._buffers, self._before, strict=True):
            torch.where(finite, buffer, before, out=buffer)

    @property
    def row(self) -> int:
        """Steps left out in a row, as far as that is known without a sync point."""
        return self._row

    def read(self) -> tuple[int, int]:
        """Steps left out in all, and the last in a row; a sync point."""
        if not self.looks:
            self._total, self._row = self._on_device.tolist()
        return self._total, self._row
