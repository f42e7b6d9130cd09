"""A running average of the weights, which is evaluated and kept instead of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Ema:
    """Exponential moving average of parameters and running statistics.

    After t updates the decay is min(`decay`, (1 + t) / (10 + t)) (as in TensorFlow's ExponentialMovingAverage), so
    that the first, bad weights are soon forgotten, however short the run.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._average = AveragedModel(model, multi_avg_fn=self._mix, use_buffers=True).requires_grad_(False)
        self._average.eval()

    @property
    def model(self) -> nn.Module:
        """The network with the averaged weights."""
        averaged: nn.Module = self._average.module
        return averaged

    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self._average.update_parameters(model)

    @torch.no_grad()
    def _mix(self, averaged: Sequence[Tensor], now: Sequence[Tensor], updates: Tensor | int) -> None:
        decay = min(self._decay, (1 + int(updates)) / (10 + int(updates)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(now), 1 - decay)
        else:  # counts, as of the batches that BatchNorm has seen
            torch._foreach_copy_(list(averaged), list(now))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be as it was when `state` was taken."""
        self._average.load_state_dict(state)
