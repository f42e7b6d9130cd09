"""Some batches that are gathered and prepared at once."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


class Block:
    """Batches of one size that lie side by side: what is made of one is made of all of them, at a part of its cost."""

    def __init__(self, inputs: Tensor, targets: Tensor, size: int) -> None:
        self._inputs, self._size = inputs, size
        self.batches = tuple(zip(inputs.split(size), targets.split(size), strict=True))
        self._made: tuple[Tensor, ...] = ()

    def made(self, make: Callable[[Tensor, int], Tensor], place: int) -> Tensor:
        """The part of a batch in what `make` gives of all inputs, for which it is asked once; it hears their size."""
        if not self._made:
            self._made = make(self._inputs, self._size).split(self._size)
        return self._made[place]
