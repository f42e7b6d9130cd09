"""Torch datasets over sources, and the order in which an epoch reads them.

Randomness has an address. The order of an epoch is a function of (seed, epoch), and what a
sampler yields is (epoch, index): with it the address of each sample's augmentation travels to
whatever process decodes it, so that any number of workers gives the same batches bit for bit.
This module is what worker processes import; it is preloaded in their forkserver.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tui_trainer.data.decode import BadImageError, read_image
from tui_trainer.data.index import Index
from tui_trainer.data.transforms import address, addressed, build_augment, make_square, to_tensor

Address = tuple[int, int]  # (epoch, index of the sample)


class Sample(NamedTuple):
    """One decoded sample: `image` (S, S, C) uint8, or why there is none."""

    image: Tensor | None
    target: int
    name: bytes
    reason: str


class RawBatch(NamedTuple):
    """What crosses from a worker: inputs, of images (N, S, S, C) uint8; targets; files left out."""

    inputs: Tensor
    targets: Tensor
    bad: list[tuple[bytes, str]]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How an image file becomes a tensor; the same in training, test and prediction."""

    image_size: int
    channels: int
    resize: str


class ImageDataset(Dataset[Sample]):
    """Map-style dataset of the files of an index."""

    def __init__(self, index: Index, spec: Spec, augment: str = "none", seed: int = 0) -> None:
        self._root = os.fsencode(index.root)
        self._blob, self._offsets, self._targets = index.blob, index.offsets, index.targets
        self._spec, self._preset, self._seed = spec, augment, seed
        self._augment = None if augment == "none" else build_augment(augment, spec.image_size)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, at: Address) -> Sample:
        """The sample at (epoch, index)."""
        epoch, index = at
        name = self._blob[self._offsets[index] : self._offsets[index + 1]]
        target = int(self._targets[index])
        try:
            image = to_tensor(read_image(os.path.join(self._root, name), self._spec.channels))
        except BadImageError as error:
            return Sample(None, target, name, str(error))
        if self._augment is not None:
            image = addressed(self._augment, image, self._seed, epoch, index)
        image = make_square(image, self._spec.image_size, self._spec.resize)
        return Sample(image.permute(1, 2, 0), target, name, "")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_augment": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """In a worker the transforms are built again: importing torchvision is cheaper than shipping it."""
        self.__dict__.update(state)
        if self._preset != "none":
            self._augment = build_augment(self._preset, self._spec.image_size)


def collate(samples: list[Sample]) -> RawBatch:
    """Samples to a batch; files that could not be read are named and left out."""
    good = [sample for sample in samples if sample.image is not None]
    images = [sample.image for sample in good if sample.image is not None]
    return RawBatch(
        inputs=torch.stack(images) if images else torch.empty(0, dtype=torch.uint8),
        targets=torch.tensor([sample.target for sample in good], dtype=torch.int64),
        bad=[(sample.name, sample.reason) for sample in samples if sample.image is None],
    )


class EpochOrder(Sampler[Address]):
    """The samples of one epoch as (epoch, index), shuffled by (seed, epoch).

    `epoch` and `start` are set before each iteration; `start` samples are passed over without
    being read. `length` may be less than all to leave out the end of the order.
    """

    def __init__(self, members: Tensor, *, shuffle: bool, seed: int, length: int) -> None:
        self._members, self._shuffle, self._seed = members, shuffle, seed
        self.length, self.epoch, self.start = length, 0, 0

    def __len__(self) -> int:
        return self.length - self.start

    def __iter__(self) -> Iterator[Address]:
        members = self._members
        if self._shuffle:
            generator = torch.Generator().manual_seed(address(self._seed, self.epoch, -1))
            members = members[torch.randperm(len(members), generator=generator)]
        for index in members[self.start : self.length].tolist():
            yield self.epoch, index
