"""A torch dataset over rows of numbers. N: batch, F: inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tui_trainer.data.datasets import Address, RawBatch
from tui_trainer.data.index import Index, Rows


class RowDataset(Dataset[tuple[Tensor, Tensor]]):
    """The rows of an index: inputs (F,) float32, targets as the index has them.

    `whole`: a batch is taken at once; else sample by sample, for a collate function of the user's own.
    """

    def __init__(self, index: Index, *, whole: bool = True) -> None:
        assert isinstance(index.inputs, Rows)
        self._inputs = torch.from_numpy(index.inputs.features)
        self._targets = torch.from_numpy(np.ascontiguousarray(index.targets))
        self._whole = whole

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, at: Address) -> tuple[Tensor, Tensor]:
        """The row at (epoch, index)."""
        return self._inputs[at[1]], self._targets[at[1]]

    def __getitems__(self, addresses: list[Address]) -> RawBatch | list[tuple[Tensor, Tensor]]:
        """Many rows as one batch: inputs (N, F), targets (N,) int64 or (N, K) float32."""
        if not self._whole:
            return [self[at] for at in addresses]
        rows = torch.tensor([index for _, index in addresses])
        targets = self._targets[rows]
        return RawBatch(self._inputs[rows], targets if targets.ndim == 2 else targets.long(), [])


def as_it_is(batch: RawBatch) -> RawBatch:
    """The collate function of batches that are made at once."""
    return batch
