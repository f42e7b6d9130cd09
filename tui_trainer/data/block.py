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

    def made(self, make: Callable[[Tensor], Tensor], place: int) -> Tensor:
        """The part of a batch in what `make` gives of all inputs on the CPU, for which it is asked once.

        It is no view of the whole, which torch would not let a model change in place.
        """
        if self._made is None:
            self._made = make(self._inputs).numpy()
        return torch.from_numpy(self._made[place * self._size : (place + 1) * self._size])
