"""A multilayer perceptron, for rows of numbers; images are flattened. N: batch, F: inputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with ReLU between them: fc1, fc2, ..., the last one for the outputs."""

    def __init__(self, inputs: int, outputs: int, hidden_sizes: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        sizes = (inputs, *hidden_sizes, outputs)
        self._names = tuple(f"fc{i + 1}" for i in range(len(sizes) - 1))
        for name, before, after in zip(self._names, sizes, sizes[1:], strict=False):
            self.add_module(name, nn.Linear(before, after))

    def forward(self, x: Tensor) -> Tensor:
        """(N, F), or (N, C, S, S) with F = C * S * S, to (N, outputs)."""
        x = x.flatten(1)
        for name in self._names[:-1]:
            x = self.get_submodule(name)(x).relu()
        out: Tensor = self.get_submodule(self._names[-1])(x)
        return out
