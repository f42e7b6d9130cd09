"""Torch datasets over sources, and the order in which an epoch reads them.

Randomness has an address. The order of an epoch is a function of (seed, epoch), and what a
sampler yields is (epoch, index): with it the address of each sample's augmentation travels to
whatever process decodes it, so that any number of workers gives the same batches bit for bit.
This module is what worker processes import; it is preloaded in their forkserver.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tui_trainer.data.decode import BadImageError, Pixels, Stamp, read_with_stamp
from tui_trainer.data.index import Index
from tui_trainer.data.pipeline import Pipeline, Spec
from tui_trainer.data.slots import FOREVER, Slots
from tui_trainer.data.transforms import address

__all__ = ["Address", "EpochOrder", "ImageDataset", "RawBatch", "Sample", "Spec", "collate"]

LISTED = 4096  # samples of an epoch that are numbers of Python at a time
AGAIN = 1 << 32  # so that a sample that comes again in an epoch gets other random changes
Address = tuple[int, int]  # (epoch, index of the sample)


class Sample(NamedTuple):
    """One decoded sample: `image` (S, S, C) uint8, or why there is none."""

    image: Tensor | None
    target: Any
    name: bytes
    reason: str


class RawBatch(NamedTuple):
    """What crosses from a worker: inputs, of images (N, S, S, C) uint8; targets; files left out; what else to tell."""

    inputs: Tensor
    targets: Tensor
    bad: list[tuple[bytes, str]]
    told: tuple[str, ...] = ()


class ImageDataset(Dataset[Sample]):
    """Map-style dataset of the files of an index.

    `training` lets files be decoded at a part of their size; `least` of the area is kept by a random crop.
    Decoded images are taken from `kept` and put there.
    """

    def __init__(
        self,
        index: Index,
        spec: Spec,
        augment: str = "none",
        seed: int = 0,
        *,
        training: bool = False,
        least: float = 0.5,
        shrinks: bool = False,
    ) -> None:
        self._root, self._index = os.fsencode(index.root), index
        self._pictures = index.pictures
        self.shape = (spec.image_size, spec.image_size, spec.channels)
        self.pipeline = Pipeline(spec, augment, seed, scaled=training, least=least, shrinks=shrinks)
        self.kept: Slots | None = None
        self._whole: npt.NDArray[np.uint32] | None = None  # bytes of each file that was decoded whole, 0 if none was

    def __getstate__(self) -> dict[str, Any]:
        """A worker process sees for itself which files are whole; one that ends with its epoch never knows."""
        return {**self.__dict__, "_whole": None}

    def __len__(self) -> int:
        return len(self._index)

    @property
    def row_bytes(self) -> int:
        """What an image takes in a batch."""
        return math.prod(self.shape)

    def __getitem__(self, at: Address) -> Sample:
        """The sample at (epoch, index)."""
        batch = self.read([at])
        name, target = self._index.name(at[1]), self._index.targets[at[1]]
        if batch.bad:
            return Sample(None, target, name, batch.bad[0][1])
        return Sample(batch.inputs[0], target, name, "")

    def __getitems__(self, addresses: list[Address]) -> RawBatch:
        """A whole batch, which DataLoader asks for at once; `collate` leaves it as it is."""
        return self.read(addresses)

    def read(self, addresses: list[Address], memory: Tensor | None = None) -> RawBatch:
        """The samples as a batch, in `memory` (flat, uint8) if given; files that cannot be read are left out.

        What is kept may be given where it lies, not to be changed, to whoever gives memory that no device reads.
        """
        lend = memory is not None and not memory.is_pinned()
        memory = torch.empty(len(addresses) * self.row_bytes, dtype=torch.uint8) if memory is None else memory
        rows = memory.view(len(addresses), *self.shape)
        if addresses and self.keeps_whole:
            whole = self.whole(np.array([index for _, index in addresses]), rows, lend=lend)
            if whole is not None:
                return whole
        good, bad = list[int](), list[tuple[bytes, str]]()
        single = rows.numpy()
        for epoch, index in addresses:
            try:
                self._fill(single[len(good)], epoch, index)
                good.append(index)
            except BadImageError as error:
                bad.append((self._index.name(index), str(error)))
        told = (self.kept.told,) if self.kept is not None and self.kept.told else ()
        return RawBatch(inputs=rows[: len(good)], targets=self._targets(good), bad=bad, told=told)

    @property
    def keeps_whole(self) -> bool:
        """Whether samples, once kept, are the same in each epoch."""
        return self.kept is not None and not self.pipeline.random

    def whole(self, samples: npt.NDArray[np.int64], rows: Tensor, *, lend: bool) -> RawBatch | None:
        """Samples by their numbers, in `rows` (N, S, S, C) or as they lie, if all of them are kept whole."""
        inputs = self.kept.batch(samples, rows, lend=lend) if self.kept is not None else None
        return None if inputs is None else RawBatch(inputs=inputs, targets=self._targets(samples), bad=[])

    def _targets(self, samples: list[int] | npt.NDArray[np.int64]) -> Tensor:
        wanted = self._index.targets[samples]
        return torch.from_numpy(wanted if wanted.ndim == 2 else wanted.astype(np.int64))

    def _fill(self, row: Pixels, epoch: int, index: int) -> None:
        """One sample, through what is kept of its image if anything can be."""
        if self.kept is None and not self.pipeline.shrinks:
            self._filled(self._encoded(index)[0], row, epoch, index)
            return
        pixels = None if self.kept is None else self.kept.get(index, self._path)
        if pixels is not None:
            self.pipeline.fill_from(pixels, row, epoch, index)
            return
        data, stamp = self._encoded(index)
        pixels = self.pipeline.stored(data, None if self.kept is None else self.kept.room(index))
        if pixels is None:
            self._filled(data, row, epoch, index)
            return
        self.pipeline.fill_from(pixels, row, epoch, index)  # first, while the pixels are near the processor
        if self.kept is not None:
            self.kept.put(index, pixels, stamp)

    def _filled(self, data: bytes, row: Pixels, epoch: int, index: int) -> None:
        """One sample from its file; what is damaged shows in the whole of it only, so that this comes first."""
        if self._whole is None:
            self._whole = np.zeros(len(self._index), np.uint32)
        size = len(data) & 0xFFFFFFFF
        self.pipeline.fill(data, row, epoch, index, is_whole=bool(self._whole[index] == size))
        self._whole[index] = size

    def _path(self, index: int) -> bytes | None:
        return os.path.join(self._root, self._index.name(index)) if self._pictures is None else None

    def _encoded(self, index: int) -> tuple[bytes, Stamp]:
        path = self._path(index)
        if path is not None:
            return read_with_stamp(path)
        return self._pictures.encoded(index), FOREVER  # type: ignore[union-attr]


def collate(samples: list[Sample] | RawBatch) -> RawBatch:
    """Samples to a batch; files that could not be read are named and left out."""
    if isinstance(samples, RawBatch):
        return samples
    good = [sample for sample in samples if sample.image is not None]
    images = [sample.image for sample in good if sample.image is not None]
    return RawBatch(
        inputs=torch.stack(images) if images else torch.empty(0, dtype=torch.uint8),
        targets=torch.from_numpy(np.array([sample.target for sample in good])),
        bad=[(sample.name, sample.reason) for sample in samples if sample.image is None],
    )


class EpochOrder(Sampler[Address]):
    """The samples of one epoch as (epoch, index), shuffled by (seed, epoch).

    `epoch` and `start` are set before each iteration; `start` samples are passed over without
    being read. `length` may be less than all to leave out the end of the order. `draw` gives the places of
    an epoch instead of the shuffle; a sample that comes again in it has another address.
    """

    def __init__(
        self, members: Tensor, *, shuffle: bool, seed: int, length: int, draw: Callable[[int], Tensor] | None = None
    ) -> None:
        self._members, self._shuffle, self._seed, self._draw = members.int(), shuffle, seed, draw
        self.length, self.epoch, self.start = length, 0, 0

    def __len__(self) -> int:
        return self.length - self.start

    def __iter__(self) -> Iterator[Address]:
        members, repeats = self._members, self._draw is not None
        if self._draw is not None:
            members = members[self._draw(self.epoch)]
        elif self._shuffle:
            generator = torch.Generator().manual_seed(address(self._seed, self.epoch, -1))
            members = members[torch.randperm(len(members), generator=generator)]
        if not repeats:
            for some in members[self.start : self.length].split(LISTED):  # a million numbers of Python take 36 MB
                for index in some.tolist():
                    yield self.epoch, index
            return
        times: dict[int, int] = {}
        for number, index in enumerate(members[: self.length].tolist()):
            if number >= self.start:
                yield self.epoch + times.get(index, 0) * AGAIN, index
            times[index] = times.get(index, 0) + 1

    def samples(self) -> npt.NDArray[np.int64]:
        """Their numbers alone, in the same order."""
        found: npt.NDArray[np.int64] = self._ordered()[self.start : self.length].numpy()
        return found

    def _ordered(self) -> Tensor:
        if self._draw is not None:
            return self._members[self._draw(self.epoch)]
        if not self._shuffle:
            return self._members
        generator = torch.Generator().manual_seed(address(self._seed, self.epoch, -1))
        return self._members[torch.randperm(len(self._members), generator=generator)]
