"""Whether an exported model computes what the trained one does, on real samples."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tui_trainer.data.datasets import ImageDataset
from tui_trainer.data.index import Own, Rows
from tui_trainer.data.own_items import OwnDataset, stack
from tui_trainer.errors import UserError
from tui_trainer.results.graph import Graph, Inside
from tui_trainer.results.inference import decoded, of_stream
from tui_trainer.results.samples import Samples, find_samples, picture
from tui_trainer.results.trained import Trained

SAMPLES = 128  # compared at most
RANDOM = 16  # where there are no real ones
TOLERANCE = 1e-4  # of float32, as a share of the largest output where that is beyond 1
BATCH = 32
UNITS = {"images": "images", "rows": "rows", "items": "items"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Samples as validation sees them, images (S, S, C) uint8; `whole`: images (H, W, C) as they are in their files."""

    square: tuple[Tensor, ...]
    whole: tuple[Tensor, ...]
    real: bool
    unit: str  # what a sample is called


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The comparison. `difference`: the largest of any output; `same`: samples with the same first answer."""

    samples: int
    unit: str
    real: bool
    difference: float
    same: int
    largest: float  # output

    @property
    def good(self) -> bool:
        """Whether they agree as far as float32 can."""
        return self.difference <= TOLERANCE * max(1.0, self.largest) and self.same == self.samples

    def in_words(self) -> str:
        """One sentence."""
        real = f"validation {self.unit}"
        what = real if self.real else f"random {self.unit} (no {real} at hand)"
        return f"{self.samples} {what}: largest difference {self.difference:.2g}, same answer on {self.same}."


def inputs(trained: Trained, data: str = "") -> Inputs:
    """Validation samples spread over the part; random ones if there are none, or the dataset is elsewhere now."""
    with contextlib.suppress(UserError):
        samples = find_samples(trained, data)
        members = samples.members
        chosen = members[np.linspace(0, len(members) - 1, min(SAMPLES, len(members))).astype(np.int64)]
        found = _read(trained, samples, [int(number) for number in chosen])
        if found.square:
            return found
    learned = trained.preprocessing
    side = learned.spec.image_size
    generator = torch.Generator().manual_seed(0)
    if learned.kind == "images":
        shape = (side, side, learned.spec.channels)
        made = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(RANDOM)]
    else:
        made = [torch.randn(learned.shape or (len(learned.inputs),), generator=generator) for _ in range(RANDOM)]
    return Inputs(square=tuple(made), whole=tuple(made), real=False, unit=UNITS[learned.kind])


def _read(trained: Trained, samples: Samples, chosen: list[int]) -> Inputs:
    """These samples, those that can be read."""
    index, spec = samples.index, trained.preprocessing.spec
    square, whole = list[Tensor](), list[Tensor]()
    if samples.is_stream:
        for batch in of_stream(samples):
            square += batch.inputs[: SAMPLES - len(square)]
            if len(square) == SAMPLES:
                break
    elif isinstance(index.inputs, Rows):
        square += torch.from_numpy(index.inputs.features[chosen])
    elif isinstance(index.inputs, Own):
        own = OwnDataset(index, 0)
        square += stack([own[0, number] for number in chosen]).inputs if chosen else []
    else:
        for numbers, read in decoded(ImageDataset(index, spec), chosen):
            for number, sample in zip(numbers, read, strict=True):
                pixels = picture(index, number, spec.channels)
                if sample.image is not None and pixels is not None:
                    whole.append(torch.from_numpy(pixels))
                    square.append(sample.image)
    return Inputs(square=tuple(square), whole=tuple(whole), real=True, unit=UNITS[trained.preprocessing.kind])


@torch.no_grad()
def agree(trained: Trained, inside: Inside, reader: Callable[[Tensor], Tensor], shown: Inputs) -> Verified:
    """Compare outputs sample by sample; the trained model always gets what validation gave it."""
    own = Graph(trained, Inside(preprocessing=True, probabilities=inside.probabilities)).eval()
    normalize = trained.preprocessing.normalize(torch.device("cpu"))
    expected, found = list[Tensor](), list[Tensor]()
    for start in range(0, len(shown.square), BATCH):
        square = torch.stack(shown.square[start : start + BATCH])
        square = normalize(square) if trained.preprocessing.kind == "items" else square
        expected.append(own(square))
        if inside.resize:
            found += [reader(image[None]) for image in shown.whole[start : start + BATCH]]
        else:
            found.append(reader(square if inside.preprocessing else normalize(square)))
    theirs, ours = torch.cat(found), torch.cat(expected)
    same = theirs.argmax(1) == ours.argmax(1) if ours.shape[1] > 1 else torch.ones(len(ours), dtype=torch.bool)
    return Verified(
        samples=len(ours),
        unit=shown.unit,
        real=shown.real,
        difference=float((theirs - ours).abs().max()),
        same=int(same.sum()),
        largest=float(ours.abs().max()),
    )
