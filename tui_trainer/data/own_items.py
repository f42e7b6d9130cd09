"""Items of the user's own datasets on their way to a batch. Worker processes import this."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from tui_trainer.data.datasets import Address, RawBatch, Sample
from tui_trainer.data.index import CLASSIFICATION, Index, Own
from tui_trainer.data.order import addressed_generators
from tui_trainer.errors import DataError
from tui_trainer.text import display


def as_tensor(value: Any) -> Tensor | None:
    """Numbers as a tensor: float32, or whole as they are; None if it is none."""
    if hasattr(value, "convert"):  # a PIL image
        return None
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError):
        return None
    if tensor.dtype == torch.bool:
        return tensor.long()
    return tensor.float() if tensor.is_floating_point() else tensor


def describe(value: Any) -> str:
    """Type, shape, dtype and range of what came back, in a few words."""
    kind = type(value).__name__
    if isinstance(value, Tensor | np.ndarray):
        dtype = str(value.dtype).removeprefix("torch.")
        shape = "x".join(map(str, value.shape)) or "one number"
        numbers = value.size if isinstance(value, np.ndarray) else value.numel()
        span = f", {float(value.min()):.4g} to {float(value.max()):.4g}" if numbers and dtype != "object" else ""
        return f"a {kind} of {shape} {dtype}{span}"
    if isinstance(value, tuple | list | dict | set):
        return f"a {kind} of {len(value)}"
    return f"the {kind} {display(repr(value), 40)}" if isinstance(value, int | float | str) else f"a {kind}"


class OwnDataset(Dataset[Sample]):
    """The items of the user's map-style datasets, one after another; an item that fails is bad, as a file would be."""

    def __init__(self, index: Index, seed: int) -> None:
        assert isinstance(index.inputs, Own)
        self._datasets, self._seed, self._task = index.inputs.datasets, seed, index.task
        self._ends = list(itertools.accumulate(len(one) for one in self._datasets))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, at: Address) -> Sample:
        """The item at (epoch, index)."""
        epoch, index = at
        which = next(i for i, end in enumerate(self._ends) if index < end)
        place = index - (self._ends[which - 1] if which else 0)
        name = f"item {place}".encode()
        try:
            with addressed_generators(self._seed, epoch, index):
                return sample_of(self._datasets[which][place], self._task, name)
        except Exception as error:
            return Sample(None, 0, name, f"{type(error).__name__}: {error}")


def sample_of(item: Any, task: str, name: bytes) -> Sample:
    """(input, target) as tensors.

    Raises:
        ValueError: it is none.
    """
    inputs, target = (as_tensor(part) for part in item)
    if inputs is None or target is None:
        raise ValueError(f"not (input, target) but {describe(item)}")
    return Sample(inputs, target.long().reshape(()) if task == CLASSIFICATION else target.float().reshape(-1), name, "")


class OwnStream(IterableDataset[Sample]):
    """The items of the user's stream; `epoch` is set before each iteration."""

    def __init__(self, dataset: Any, task: str, seed: int) -> None:
        self._dataset, self._task, self._seed, self.epoch = dataset, task, seed, 0

    def __iter__(self) -> Any:
        """Each item is drawn with generators seeded by (seed, epoch, worker and number)."""
        info = get_worker_info()
        first = (info.id << 40) if info is not None else 0
        if hasattr(self._dataset, "set_epoch"):
            self._dataset.set_epoch(self.epoch)
        items = iter(self._dataset)
        for number in itertools.count():
            name = f"item {number}".encode()
            try:
                with addressed_generators(self._seed, self.epoch, first + number):
                    item = next(items)
            except StopIteration:
                return
            try:
                yield sample_of(item, self._task, name)
            except (TypeError, ValueError) as error:
                yield Sample(None, 0, name, str(error))


def stack(samples: list[Sample]) -> RawBatch:
    """Samples to a batch; those that failed, or have another shape than the first, are named and left out."""
    good = [one for one in samples if one.image is not None]
    shape = good[0].image.shape if good and good[0].image is not None else ()
    bad = [(one.name, one.reason) for one in samples if one.image is None]
    bad += [(one.name, f"of another shape, {describe(one.image)}") for one in good if one.image.shape != shape]  # type: ignore[union-attr]
    kept = [one for one in good if one.image is not None and one.image.shape == shape]
    if not kept:
        return RawBatch(torch.empty(0), torch.empty(0), bad)
    return RawBatch(
        torch.stack([one.image for one in kept if one.image is not None]),
        torch.stack([one.target for one in kept]),
        bad,
    )


class OwnCollate:
    """The user's collate function between our samples and our batch.

    It gets the list of (input, target) and gives (inputs, targets), tensors of one length.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], spec: str) -> None:
        self._collate, self._spec = collate, spec

    def __call__(self, samples: list[Any]) -> RawBatch:
        """Make the batch.

        Raises:
            DataError: what it gives is no batch.
        """
        pairs = [one if not isinstance(one, Sample) else (one.image, one.target) for one in samples]
        bad = [(one.name, one.reason) for one in samples if isinstance(one, Sample) and one.image is None]
        good = [(inputs, torch.as_tensor(target)) for inputs, target in pairs if inputs is not None]
        if not good:
            return RawBatch(torch.empty(0), torch.empty(0), bad)
        made = self._collate(good)
        if not isinstance(made, tuple | list) or len(made) != 2 or not all(isinstance(one, Tensor) for one in made):
            raise DataError(f"{display(self._spec)} gives {describe(made)}, not (inputs, targets) as tensors.")
        inputs, targets = made
        if len(inputs) != len(targets):
            raise DataError(f"{display(self._spec)} gives {len(inputs)} inputs and {len(targets)} targets.")
        return RawBatch(inputs, targets, bad)


class OneByOne(Dataset[Any]):
    """A dataset of which DataLoader asks for samples, not for whole batches."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, at: Address) -> Any:
        """The sample at (epoch, index)."""
        return self._dataset[at]
