"""In which order an epoch takes the training samples, where it is not the plain shuffle.

Every order is a function of (seed, epoch), so that an epoch can be entered at any batch: what the user's own
sampler draws from torch, random or numpy is drawn from generators seeded by them.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from tui_trainer.data.datasets import AGAIN, Address
from tui_trainer.data.transforms import address
from tui_trainer.errors import DataError
from tui_trainer.text import display

Draw = Callable[[int], Tensor]  # epoch -> places (n,) among the training samples


@contextlib.contextmanager
def addressed_generators(seed: int, epoch: int, index: int) -> Iterator[None]:
    """The generators of torch, random and numpy seeded by an address; afterwards they are as they were.

    Of torch the CPU's alone: `torch.manual_seed` notes down a traceback for each kind of device, 0.8 ms a sample.
    """
    at = address(seed, epoch, index)
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(at)
        random.seed(at)
        np.random.seed(at & 0xFFFFFFFF)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def weighted(targets: Tensor, seed: int) -> Draw:
    """As many draws as samples, with replacement, each class equally often: targets (n,) of classes, or labels (n, L).

    A sample of several labels counts as its rarest one.
    """
    if targets.ndim == 1:
        weights = 1.0 / torch.bincount(targets.long()).double().clamp_min(1)[targets.long()]
    else:
        each = targets.double() / targets.double().sum(0).clamp_min(1)
        weights = each.max(1).values
        weights[weights == 0] = weights[weights > 0].min() if (weights > 0).any() else 1.0
    ends = weights.cumsum(0)

    def draw(epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(address(seed, epoch, -1))
        at = torch.rand(len(ends), generator=generator, dtype=torch.float64) * ends[-1]
        return torch.searchsorted(ends, at, right=True).clamp_max(len(ends) - 1)

    return draw


def own(make: Callable[..., Any], spec: str, targets: Tensor, seed: int) -> Callable[[int], list[Any]]:
    """What the user's sampler yields in an epoch.

    `make` is called with the targets of the training part, whose length is the number of its samples, and with
    those of seed, epoch, generator and batch_size that it takes by name.

    Raises:
        DataError: it cannot be made, or fails.
    """

    def draw(epoch: int) -> list[Any]:
        with addressed_generators(seed, epoch, -1):
            try:
                made = _made(make, targets, seed, epoch)
                return list(made)
            except Exception as error:
                what = display(f"{type(error).__name__}: {error}", 200)
                raise DataError(f"{display(spec)} fails in epoch {epoch + 1}: {what}.") from error

    return draw


def _made(make: Callable[..., Any], targets: Tensor, seed: int, epoch: int) -> Any:
    try:
        takes = set(inspect.signature(make).parameters)
    except ValueError:  # written in C
        takes = set()
    generator = torch.Generator().manual_seed(address(seed, epoch, -1))
    offered = {"seed": seed, "epoch": epoch, "generator": generator}
    made = make(targets, **{name: value for name, value in offered.items() if name in takes})
    if hasattr(made, "set_epoch"):
        made.set_epoch(epoch)
    return made


def places_of(yielded: Sequence[Any], count: int, spec: str) -> Tensor:
    """Places (n,) among `count` samples that a sampler yielded.

    Raises:
        DataError: one is none.
    """
    for one in yielded:
        place = getattr(one, "item", lambda one=one: one)()
        if not isinstance(place, int) or not 0 <= place < count:
            raise DataError(
                f"{display(spec)} yields {display(repr(one), 60)}: a sampler yields numbers of training samples, "
                f"0 to {count - 1}."
            )
    return torch.tensor([int(one) for one in yielded], dtype=torch.int64)


def of_places(yielded: Callable[[int], list[Any]], count: int, spec: str) -> Draw:
    """The places among `count` samples that a sampler yields; each epoch has as many as the first."""
    lengths: list[int] = []

    def draw(epoch: int) -> Tensor:
        places = places_of(yielded(epoch), count, spec)
        lengths.append(len(places))
        if not len(places) or len(places) != lengths[0]:
            raise DataError(
                f"{display(spec)} yields {len(places)} samples in epoch {epoch + 1} and {lengths[0]} in the first: "
                "every epoch needs the same number, 1 or more."
            )
        return places

    return draw


class EpochBatches(Sampler[list[Address]]):
    """The user's own batches of an epoch, as addresses; `start` of them are passed over.

    Raises:
        DataError: the batches are no lists of places, or an epoch has another number of them than the first.
    """

    def __init__(self, members: Tensor, draw: Callable[[int], list[Any]], spec: str) -> None:
        self._members, self._draw, self._spec = members, draw, spec
        self.epoch = self.start = 0
        first = self._batches(0)
        self.length, self.samples = len(first), sum(len(batch) for batch in first)
        if not self.length:
            raise DataError(f"{display(spec)} yields no batch: there is nothing to train on.")

    def __len__(self) -> int:
        return self.length - self.start

    def __iter__(self) -> Iterator[list[Address]]:
        batches = self._batches(self.epoch)
        if len(batches) != self.length:
            raise DataError(
                f"{display(self._spec)} makes {len(batches)} batches in epoch {self.epoch + 1} and {self.length} in "
                "the first: every epoch needs the same number."
            )
        seen: dict[int, int] = {}
        for number, places in enumerate(batches):
            addresses = numbered(self.epoch, self._members[places].tolist(), seen)
            if number >= self.start:
                yield addresses

    def _batches(self, epoch: int) -> list[Tensor]:
        found = []
        for one in self._draw(epoch):
            if not isinstance(one, Sequence | Tensor) or isinstance(one, str):
                raise DataError(
                    f"{display(self._spec)} yields {display(repr(one), 60)}: a batch_sampler yields lists of numbers."
                )
            found.append(places_of(list(one), len(self._members), self._spec))
        return found


def numbered(epoch: int, indices: Sequence[int], seen: dict[int, int]) -> list[Address]:
    """Addresses of samples, of which each that comes again has one of its own."""
    addresses = []
    for index in indices:
        times = seen.get(index, 0)
        seen[index] = times + 1
        addresses.append((epoch + times * AGAIN, index))
    return addresses
