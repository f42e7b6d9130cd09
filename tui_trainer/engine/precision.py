"""Mixed precision: which operations compute in 16 bits, and the scale that keeps small fp16 gradients from being 0."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tui_trainer.engine.optim import update

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """torch.autocast in `dtype` ("bf16", "fp16" or "" for none), and torch's GradScaler where fp16 needs it.

    A step whose scaled gradients overflow is left out by the scaler, which then halves its scale.
    """

    def __init__(self, device: torch.device, dtype: str = "") -> None:
        self._device, self._dtype = device.type, DTYPES.get(dtype)
        self._plain = nullcontext()  # to enter one that does nothing costs torch 5 microseconds
        self._scaler = torch.amp.GradScaler(device.type) if dtype == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass and its loss."""
        return self._plain if self._dtype is None else torch.autocast(self._device, dtype=self._dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` () to those that are there."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Make the gradients true ones, to be looked at or clipped."""
        if self._scaler:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Let the optimizer change the weights."""
        if self._scaler:
            self._scaler.step(optimizer)
            self._scaler.update()
        else:
            update(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; empty without a scaler."""
        return self._scaler.state_dict() if self._scaler else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be as it was when `state` was taken."""
        if self._scaler and state:
            self._scaler.load_state_dict(dict(state))


def amp_dtype(device: torch.device) -> str:
    """The 16-bit type for a device: bf16 needs no scaling of gradients, but older GPUs do not have it."""
    return "fp16" if device.type == "cuda" and not torch.cuda.is_bf16_supported() else "bf16"
