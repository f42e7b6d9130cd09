"""Layers that stand still, for the whole run or for its first epochs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


class Frozen:
    """The modules whose own tensors do not move in the first `epochs` epochs; 0: in none.

    Their parameters get no gradient, which every optimizer takes as "leave it alone". They are in eval mode too:
    without gradients alone, BatchNorm statistics would still move.
    """

    def __init__(self, modules: Sequence[nn.Module] = (), epochs: int = 0) -> None:
        self._modules, self._epochs = tuple(modules), epochs
        own = (parameter for module in modules for parameter in module.parameters(recurse=False))
        self._parameters = [parameter for parameter in own if parameter.requires_grad]

    def holds(self, epoch: int) -> bool:
        """Whether they stand still in this epoch, counted from 0."""
        return bool(self._modules) and not (self._epochs and epoch >= self._epochs)

    def thaws(self, epoch: int) -> bool:
        """Whether this is the first epoch in which they train."""
        return bool(self._modules) and epoch == self._epochs > 0

    def apply(self, epoch: int) -> None:
        """Hold them or let them go; call it after `model.train()`."""
        held = self.holds(epoch)
        for parameter in self._parameters:
            parameter.requires_grad_(not held)
        for module in self._modules if held else ():
            module.training = False  # what lies below it has its own say

    def ever_trained(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """Those of `parameters` that an optimizer needs, at any time of the run."""
        never = set() if self._epochs else set(map(id, self._parameters))
        return [parameter for parameter in parameters if parameter.requires_grad and id(parameter) not in never]
