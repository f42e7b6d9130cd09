"""Datasets and hooks as users write them; loaded by its path."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

started: list[int] = []


class Numbers(Dataset[Any]):
    """The tutorial's, of its own length."""

    def __init__(self, count: int = 60, shift: float = 0.0) -> None:
        self.x = torch.randn(count, 3)
        self.y = self.x.sum(1) + shift

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.y[index]

    def __len__(self) -> int:
        return len(self.x)


class Hanging(Numbers):
    """In a worker, one item is never read; that it was tried makes `marker`, and where that exists all are."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = Path(marker)

    def __getitem__(self, index: int) -> Any:
        if index == 20 and get_worker_info() is not None and not self.marker.exists():
            self.marker.touch()
            time.sleep(600)
        return super().__getitem__(index)


class Noisy(Dataset[Any]):
    """Each item is drawn when it is read: torch's, numpy's and Python's generators; nine of class 0 for one of 1."""

    classes = ("often", "rare")

    def __getitem__(self, index: int) -> Any:
        import random

        drawn = [float(torch.rand(())), float(np.random.rand()), random.random(), float(index)]
        return np.array(drawn, np.float32), int(index % 10 == 0)

    def __len__(self) -> int:
        return 40


class Pictures(Dataset[Any]):
    """(1, 8, 8) float32."""

    targets = tuple(i % 3 for i in range(30))

    def __getitem__(self, index: int) -> Any:
        return torch.full((1, 8, 8), index / 30), self.targets[index]

    def __len__(self) -> int:
        return 30


class Failing(Numbers):
    """Item 7 cannot be read once the training has begun."""

    targets: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.targets = self.y

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise OSError("the disk is on fire")
        return super().__getitem__(index)


class Slow(Numbers):
    """An item takes seconds in a worker."""

    def __init__(self) -> None:
        super().__init__(20)
        self.targets = self.y

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is not None:
            time.sleep(0.25)
        return super().__getitem__(index)


class Traced(Numbers):
    """Leaves a file for each item that a worker reads."""

    def __init__(self, folder: str) -> None:
        super().__init__(60)
        self.targets, self.folder = self.y, folder

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is not None:
            (Path(self.folder) / f"{index}-{os.getpid()}").touch()
        return super().__getitem__(index)


class Stream(IterableDataset[Any]):
    """Sums of random numbers without an end, shared out among workers."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            x = torch.randn(3)
            yield x, x.sum()


class ShortStream(IterableDataset[Any]):
    """Twenty samples of two classes, each once, whatever the number of workers."""

    classes = ("even", "odd")

    def __init__(self, count: int = 20) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info is not None else (0, 1)
        for i in range(first, self.count, step):
            yield torch.tensor([float(i), i % 2]), i % 2


class Once(IterableDataset[Any]):
    """One generator for all epochs."""

    def __init__(self) -> None:
        self.items = ((torch.randn(3), float(i)) for i in range(40))

    def __iter__(self) -> Iterator[Any]:
        return self.items


def not_pairs() -> list[Any]:
    return [{"image": 1, "label": 2}] * 5


def pil_images() -> list[Any]:
    from PIL import Image

    return [(Image.new("L", (8, 8)), 1)] * 5


def texts() -> list[Any]:
    return [(torch.zeros(3), "cat")] * 5


def nothing() -> int:
    return 7


class Backwards:
    """A sampler: the last half, from the end."""

    def __init__(self, data_source: Tensor) -> None:
        self.count = len(data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count - 1, self.count // 2 - 1, -1))


class Drawn:
    """A sampler that draws from torch's global generator, as RandomSampler does."""

    def __init__(self, targets: Tensor) -> None:
        self.count = len(targets)

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.count).tolist())


def out_of_range(targets: Tensor) -> list[int]:
    return [0, len(targets)]


def shrinking(targets: Tensor, epoch: int) -> list[int]:
    return list(range(len(targets) - epoch))


def growing_batches(targets: Tensor) -> list[list[int]]:
    """Of 1, 2, 3, ... samples, in an order drawn for the epoch."""
    order, batches, size = torch.randperm(len(targets)).tolist(), [], 1
    while order:
        batches.append(order[:size])
        order, size = order[size:], size + 1
    return batches


def doubled(samples: list[Any]) -> Any:
    """A collate function: every input twice as large."""
    return 2 * torch.stack([x.float() for x, _ in samples]), torch.stack([y for _, y in samples])


def no_batch(samples: list[Any]) -> Any:
    return {"x": samples}


class Noted(Numbers):
    """Each input says in which process it was read, and which numbers `note_worker` has heard there."""

    def __getitem__(self, index: int) -> Any:
        number = started[0] if started else -1
        return np.array([os.getpid(), len(started), number, os.getppid()], np.float64), self.y[index]


def note_worker(number: int) -> None:
    """A worker_init_fn that remembers its call."""
    started.append(number)
