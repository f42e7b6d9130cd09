"""A rank's part of each batch, where several processes train one model.

A batch is what one process would take, and each rank has every `ranks`-th sample of it: no sample is repeated or
left out, all ranks have equally many batches, and a run may go on with another number of ranks after any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, Sampler

from tui_trainer.data.datasets import Address, EpochOrder
from tui_trainer.data.order import EpochBatches


class RankBatches(Sampler[list[Address]]):
    """Of each batch of `order` the addresses of one rank, which may be none.

    `least` samples are what a model needs to learn from (batch normalisation 2): a batch too small for all ranks goes
    to so many of them that each has enough. `epoch` and `start` are those of the order, of which it is a view.
    """

    def __init__(
        self,
        order: EpochOrder | EpochBatches,
        *,
        batch_size: int,
        drop_last: bool,
        rank: int,
        ranks: int,
        least: int = 1,
    ) -> None:
        self._order, self._rank, self._ranks, self._least = order, rank, ranks, least
        whole: Any = order if isinstance(order, EpochBatches) else BatchSampler(order, batch_size, drop_last)  # type: ignore[arg-type]
        self._batches = whole

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Address]]:
        for batch in self._batches:
            shared_by = min(self._ranks, max(1, len(batch) // self._least))
            yield batch[self._rank :: shared_by] if self._rank < shared_by else []
