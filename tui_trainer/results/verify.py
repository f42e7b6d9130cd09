"""Whether an exported model computes what the trained one does, on real images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tui_trainer.data.datasets import ImageDataset
from tui_trainer.data.decode import BadImageError, read_image
from tui_trainer.errors import UserError
from tui_trainer.results.graph import Graph, Inside
from tui_trainer.results.inference import decoded
from tui_trainer.results.tested import find_samples
from tui_trainer.results.trained import Trained

IMAGES = 128  # compared at most
RANDOM = 16  # where there are no real ones
TOLERANCE = 1e-4  # of float32, as a share of the largest output where that is beyond 1
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images (S, S, C) uint8 as validation sees them, and (H, W, C) as they are in their files."""

    square: tuple[Tensor, ...]
    whole: tuple[Tensor, ...]
    real: bool


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The comparison. `difference`: the largest of any output; `same`: images with the same first answer."""

    images: int
    real: bool
    difference: float
    same: int
    largest: float  # output

    @property
    def good(self) -> bool:
        """Whether they agree as far as float32 can."""
        return self.difference <= TOLERANCE * max(1.0, self.largest) and self.same == self.images

    def in_words(self) -> str:
        """One sentence."""
        what = "validation images" if self.real else "random images (no validation images at hand)"
        return f"{self.images} {what}: largest difference {self.difference:.2g}, same answer on {self.same}."


def pictures(trained: Trained, data: str = "") -> Pictures:
    """Validation images spread over the part; random ones if there are none, or the dataset is elsewhere now."""
    with contextlib.suppress(UserError):
        index, members, *_ = find_samples(trained, data)
        chosen = members[np.linspace(0, len(members) - 1, min(IMAGES, len(members))).astype(np.int64)]
        spec, square, whole = trained.preprocessing.spec, list[Tensor](), list[Tensor]()
        for numbers, samples in decoded(ImageDataset(index, spec), chosen):
            for number, sample in zip(numbers, samples, strict=True):
                with contextlib.suppress(BadImageError):
                    if sample.image is not None:
                        whole.append(torch.from_numpy(read_image(index.path(number), spec.channels)))
                        square.append(sample.image)
        if square:
            return Pictures(square=tuple(square), whole=tuple(whole), real=True)
    spec = trained.preprocessing.spec
    shape = (spec.image_size, spec.image_size, spec.channels)
    generator = torch.Generator().manual_seed(0)
    made = tuple(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(RANDOM))
    return Pictures(square=made, whole=made, real=False)


@torch.no_grad()
def agree(trained: Trained, inside: Inside, reader: Callable[[Tensor], Tensor], shown: Pictures) -> Verified:
    """Compare outputs image by image; the trained model always gets what validation gave it."""
    own = Graph(trained, Inside(preprocessing=True, probabilities=inside.probabilities)).eval()
    normalize = trained.preprocessing.normalize(torch.device("cpu"))
    expected, found = list[Tensor](), list[Tensor]()
    for start in range(0, len(shown.square), BATCH):
        square = torch.stack(shown.square[start : start + BATCH])
        expected.append(own(square))
        if inside.resize:
            found += [reader(image[None]) for image in shown.whole[start : start + BATCH]]
        else:
            found.append(reader(square if inside.preprocessing else normalize(square)))
    theirs, ours = torch.cat(found), torch.cat(expected)
    same = theirs.argmax(1) == ours.argmax(1) if ours.shape[1] > 1 else torch.ones(len(ours), dtype=torch.bool)
    return Verified(
        images=len(ours),
        real=shown.real,
        difference=float((theirs - ours).abs().max()),
        same=int(same.sum()),
        largest=float(ours.abs().max()),
    )
