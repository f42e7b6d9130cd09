"""How an image becomes the model's input, as a weight file says it: the way of validation, and no other.

What a run writes beside its weights and what a prediction reads there stand in this one place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tui_trainer.data.batches import as_floats, is_square
from tui_trainer.data.datasets import Spec
from tui_trainer.data.header import MEGAPIXELS
from tui_trainer.data.transforms import RESAMPLER, Normalize, Standardize

RESIZES = ("squash", "crop", "pad")
LARGEST_SIDE = 4096
LARGEST_IMAGE = 1000  # megapixels, as OpenCV is told


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decode and resize as `spec` says, then (x / 255 - mean) / std for each channel.

    Of a table: columns become the `inputs` as `encoding` says, then (x - mean) / std for each. Of the user's own
    dataset: what it yields, of `shape`, as it is; bytes as shares of 255.
    """

    spec: Spec
    mean: tuple[float, ...]
    std: tuple[float, ...]
    inputs: tuple[str, ...] = ()
    encoding: tuple[Mapping[str, Any], ...] = ()
    shape: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """What the model takes: images, rows of a table, or items of the user's own dataset."""
        return "rows" if self.inputs else "items" if self.shape else "images"

    def normalize(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What takes (N, S, S, C) uint8 to the model's (N, C, S, S) float32, rows (N, F) to (N, F), items to items."""
        if self.shape:
            return as_floats
        return Standardize(self.mean, self.std) if self.inputs else Normalize(self.mean, self.std, device)

    def to_json(self) -> str:
        """As a weight file keeps it."""
        numbers = {"mean": self.mean, "std": self.std}
        if self.inputs:
            return json.dumps({"inputs": self.inputs, "encoding": [dict(one) for one in self.encoding], **numbers})
        if self.shape:
            return json.dumps({"shape": self.shape})
        return json.dumps({**asdict(self.spec), **numbers, "resampler": RESAMPLER})


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The K numbers that a regression predicts; the model itself puts out (number - mean) / std."""

    names: tuple[str, ...] = ()
    unit: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def to_metadata(
    *,
    task: str,
    model: str,
    model_args: tuple[str, ...],
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    targets: Targets,
) -> dict[str, str]:
    """What stands in a weight file beside the tensors: all that a prediction needs."""
    return {
        "format": "tui-trainer",
        "task": task,
        "model": model,
        "model_args": json.dumps(model_args),
        "classes": json.dumps(classes),
        "preprocessing": preprocessing.to_json(),
        **({"targets": json.dumps(asdict(targets))} if targets.names else {}),
    }


def targets_of(metadata: Mapping[str, str]) -> Targets:
    """What the outputs stand for, where they are numbers; empty for a classifier.

    Raises:
        ValueError: it makes no sense.
    """
    if "targets" not in metadata:
        return Targets()
    try:
        said: Any = json.loads(metadata["targets"])
        names = texts(json.dumps(said["names"]))
        mean, std = (tuple(float(number) for number in said[name]) for name in ("mean", "std"))
        unit = str(said["unit"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"targets: no {error}") from None
    mean, std = mean or (0.0,) * len(names), std or (1.0,) * len(names)
    if not len(names) == len(mean) == len(std) or not all(map(math.isfinite, (*mean, *std))):
        raise ValueError(f"targets: mean {mean}, std {std}")
    return Targets(names=names, unit=unit, mean=mean, std=std)


def texts(text: str) -> tuple[str, ...]:
    """A JSON list of texts.

    Raises:
        ValueError: it is none.
    """
    said: Any = json.loads(text)
    if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
        raise ValueError("a list of names is no list of texts")
    return tuple(said)


def validation_preprocessing(metadata: Mapping[str, str]) -> Preprocessing:
    """What validation did with each image or row, from the metadata of its weights.

    Raises:
        ValueError: it is not there, or makes no sense.
    """
    try:
        said: Any = json.loads(metadata["preprocessing"])
        if "inputs" in said:
            return _of_rows(said)
        if "shape" in said:
            return _of_items(said)
        size, channels, resize = said["image_size"], said["channels"], said["resize"]
        mean, std = (tuple(float(number) for number in said[name]) for name in ("mean", "std"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no {error}") from None
    if type(size) is not int or not 1 <= size <= LARGEST_SIDE or channels not in (1, 3) or resize not in RESIZES:
        raise ValueError(f"image_size {size}, channels {channels}, resize {resize}")
    if said.get("resampler", RESAMPLER) != RESAMPLER:
        raise ValueError(f"resampler {said['resampler']}: another version of this program is needed")
    most = said.get("max_megapixels", MEGAPIXELS)
    if not isinstance(most, int | float) or not 0 < most <= LARGEST_IMAGE:
        raise ValueError(f"max_megapixels {most}")
    sensible = all(map(math.isfinite, (*mean, *std))) and all(value > 0 for value in std)
    if not sensible or len(mean) != channels or len(std) != channels:
        raise ValueError(f"mean {mean}, std {std}")
    spec = Spec(image_size=size, channels=channels, resize=resize, max_megapixels=most)
    return Preprocessing(spec=spec, mean=mean, std=std)


def _of_rows(said: Mapping[str, Any]) -> Preprocessing:
    inputs, encoding = texts(json.dumps(said["inputs"])), tuple(said["encoding"])
    mean, std = (tuple(float(number) for number in said[name]) for name in ("mean", "std"))
    made = sum(len(one["categories"]) if "categories" in one else 1 for one in encoding)
    sensible = all(map(math.isfinite, (*mean, *std))) and all(value > 0 for value in std)
    if not sensible or not len(inputs) == made == len(mean) == len(std):
        raise ValueError(f"{len(inputs)} inputs, {made} encoded, {len(mean)} means, {len(std)} deviations")
    spec = Spec(image_size=0, channels=len(inputs), resize="squash")
    return Preprocessing(spec=spec, mean=mean, std=std, inputs=inputs, encoding=encoding)


def _of_items(said: Mapping[str, Any]) -> Preprocessing:
    shape = tuple(said["shape"])
    if not shape or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"shape {shape}")
    spec = Spec(image_size=shape[1] if is_square(shape) else 0, channels=shape[0], resize="squash")
    return Preprocessing(spec=spec, mean=(), std=(), shape=shape)
