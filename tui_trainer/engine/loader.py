"""What the loop asks of the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """What a loader yields: `number` counts from 1 in the epoch, `warnings` tell of files left out."""

    @property
    def inputs(self) -> Tensor: ...  # noqa: D102
    @property
    def targets(self) -> Tensor: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102


class Loader(Protocol):
    """Batches of one part of the data, functions of the epoch's number; 0 where nobody knows how many there are."""

    samples: int
    batches: int
    batch_size: int

    def epoch(self, number: int, start: int = 0) -> Iterable[Batch]:
        """The batches of epoch `number` after the first `start`."""
