"""Some batches that are gathered and prepared at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


class Block:
    """Batches of one size that lie side by side: what is made of one is made of all of them, at a part of its cost."""

    def __init__(self, inputs: Tensor, targets: Tensor, size: int) -> None:
        self._inputs, self._size = inputs, size
        self.batches = tuple(zip(inputs.split(size), targets.split(size), strict=True))
        self._made: npt.NDArray[Any] | None = None
        self._by: Callable[[Tensor], Tensor] | None = None

    def made(self, make: Callable[[Tensor], Tensor], place: int) -> Tensor:
        """The part of a batch in what `make` gives of all inputs on the CPU, for which it is asked once.

        It is no view of the whole, which torch would not let a model change in place.
        """
        whole = self.make(make)
        return torch.from_numpy(whole[place * self._size : (place + 1) * self._size])

    def make(self, make: Callable[[Tensor], Tensor]) -> npt.NDArray[Any]:
        """Ask `make` now; any thread may do it before the batches are used."""
        if self._made is None or self._by is not make:
            self._made, self._by = make(self._inputs).numpy(), make
        return self._made
