"""Batches of images for which no worker is worth its hand-overs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler

from tui_trainer.data.block import Block
from tui_trainer.data.buffers import Pool
from tui_trainer.data.datasets import EpochOrder, ImageDataset, RawBatch
from tui_trainer.data.threads import Ahead
from tui_trainer.loader_facts import usable_cpus

TOGETHER = 3 << 19  # bytes that are gathered at once, few enough to stay in a processor's cache until they are used
FIRST = 2  # batches at the begin of an epoch, which nobody could gather ahead
APART = 4  # floats: two batches begin at a multiple of them, else MKL would add up the second in another order


class Inline:
    """The batches of DataLoader without workers, at a third of its cost for each.

    Images that are kept whole are gathered some batches at a time: after a step nothing that this needs is left in the
    processor's caches, so that the first batch costs several times what those after it do.
    """

    def __init__(self, dataset: ImageDataset, order: EpochOrder, batch_size: int, drop_last: bool) -> None:
        self._dataset, self._order, self._size, self._drop_last = dataset, order, batch_size, drop_last
        self._each = dataset.row_bytes
        self._batches: Any = BatchSampler(order, batch_size, drop_last)  # type: ignore[arg-type]
        values = batch_size * self._each
        self._many = max(1, TOGETHER // values) if values % APART == 0 else 1
        self._pool = Pool(batch_size * self._each, np.dtype(np.uint8))
        self._large: Pool | None = None
        self._ahead = Ahead()

    def __iter__(self) -> Iterator[RawBatch]:
        """An epoch."""
        for addresses in self._batches:
            yield self._dataset.read(addresses, self._pool.take()[: len(addresses) * self._each])

    @property
    def has_blocks(self) -> bool:
        """Whether `blocks` is worth it."""
        return self._dataset.keeps_whole and self._many > 1

    def blocks(self, make: Callable[[Tensor], Tensor] | None = None) -> Iterator[Block | RawBatch]:
        """An epoch, as many full batches at a time as are kept whole.

        If there are several, and a processor has nothing to compute, a thread makes the next one, `make` included.
        """
        several = self._order.length > self._many * self._size and usable_cpus() > torch.get_num_threads()
        blocks = self._blocks(make if several else None)
        return self._ahead.of(blocks) if several else blocks

    def close(self) -> None:
        """End the thread; another epoch starts a new one."""
        self._ahead.close()

    def _blocks(self, make: Callable[[Tensor], Tensor] | None) -> Iterator[Block | RawBatch]:
        size, samples = self._size, self._order.samples()
        if self._drop_last:
            samples = samples[: len(samples) // size * size]
        at_once = self._many * size
        if self._large is None:
            self._large = Pool(at_once * self._each, np.dtype(np.uint8))
        begin, end = 0, min(FIRST, self._many) * size
        while begin < len(samples):
            some = samples[begin:end]
            begin, end = end, end + at_once
            memory = self._large.take()[: len(some) * self._each].view(len(some), *self._dataset.shape)
            whole = self._dataset.whole(some, memory, lend=True)
            full = len(some) // size * size
            if whole is not None:
                if full:
                    block = Block(whole.inputs[:full], whole.targets[:full], size)
                    if make is not None:
                        block.make(make)
                    yield block
                    del block
                if full < len(some):
                    yield RawBatch(whole.inputs[full:], whole.targets[full:], [])
            else:
                for at in range(0, len(some), size):
                    addresses = [(self._order.epoch, index) for index in some[at : at + size].tolist()]  # nothing drawn
                    yield self._dataset.read(addresses, memory[at : at + size].view(-1))
            del whole, memory
