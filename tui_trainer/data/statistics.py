"""Mean and standard deviation of inputs and of numbers to predict, measured on the training part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tui_trainer.data.datasets import ImageDataset, Spec
from tui_trainer.data.index import REGRESSION, TRAIN, Index, Own, Rows, Stream
from tui_trainer.data.stream_items import some_decoded, some_rows
from tui_trainer.data.transforms import statistics
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display

MEASURED = 2000  # images over which they are measured
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def input_statistics(
    data: DataConfig, index: Index, spec: Spec, train_set: object = None
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean and standard deviation to normalise with, and where they come from in words.

    Images of `train_set` are used where it changes nothing at random, so that what it keeps is decoded once.

    Raises:
        ConfigError: those given do not fit the inputs.
        DataError: no image can be read.
    """
    if isinstance(index.inputs, Own):
        if data.mean or data.normalize not in (None, "none") or data.augment != "none":
            raise ConfigError("Your own dataset prepares its inputs: leave out mean, std, normalize and augment.")
        return (), (), "what your own dataset gives"
    if isinstance(index.inputs, Rows):
        return _row_statistics(data, index.inputs.names, lambda: _of_table(index), "training rows")
    if isinstance(index.inputs, Stream) and index.inputs.names:
        stream = index.inputs
        return _row_statistics(data, stream.names, lambda: some_rows(stream), f"training {index.unit}, spread evenly")
    if data.mean:
        if len(data.mean) != spec.channels:
            raise ConfigError(f"mean has {len(data.mean)} numbers, but the images have {spec.channels} channels.")
        return data.mean, data.std, "given"
    if data.normalize == "none":
        return (0.0,) * spec.channels, (1.0,) * spec.channels, "given"
    if data.normalize == "imagenet":
        if spec.channels != 3:
            raise ConfigError(
                "normalize = imagenet: its statistics are of colour images; use measured, or --channels 3."
            )
        return *IMAGENET, "given"
    images = _decoded(index, spec, train_set)
    if not images:
        raise DataError(f"None of the images in {display(index.root)} can be read.")
    return *statistics(images), f"measured on {len(images)} training images"


def _decoded(index: Index, spec: Spec, train_set: object) -> list[Tensor]:
    if isinstance(index.inputs, Stream):
        return some_decoded(index, spec, MEASURED)
    dataset = ImageDataset(index, spec, training=True)
    if isinstance(train_set, ImageDataset) and not train_set.pipeline.random:
        dataset = train_set
    samples = (dataset[0, int(i)].image for i in spread(index.part(TRAIN), MEASURED))
    return [image for image in samples if image is not None]


def _of_table(index: Index) -> npt.NDArray[np.float32]:
    assert isinstance(index.inputs, Rows)
    return index.inputs.features[index.part(TRAIN)]


def _row_statistics(
    data: DataConfig, names: tuple[str, ...], looked: Callable[[], npt.NDArray[np.float32]], unit: str
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    inputs = len(names)
    if data.mean:
        if len(data.mean) != inputs:
            raise ConfigError(f"mean has {len(data.mean)} numbers, but the table has {inputs} inputs.")
        return data.mean, data.std, "given"
    if data.normalize == "imagenet":
        raise ConfigError("normalize = imagenet: its statistics are of colour images; use measured, or none.")
    if data.normalize == "none":
        return (0.0,) * inputs, (1.0,) * inputs, "given"
    rows = looked()
    if not len(rows):
        raise DataError("None of the rows looked at has all its numbers: choose --missing mean or median.")
    return *moments(rows), f"measured on {len(rows):,} {unit}"


def target_statistics(index: Index) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each number to predict, over the training part; empty if there are none."""
    if index.task != REGRESSION:
        return (), ()
    if isinstance(index.inputs, Stream):
        return index.inputs.target_moments
    if not len(index):  # a stream, which is not read for it
        return (0.0,) * len(index.target_names), (1.0,) * len(index.target_names)
    return moments(index.targets[index.part(TRAIN)])


def moments(values: npt.NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column of (M, F); a constant column is left as it is."""
    mean, std = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    std[std <= 1e-12 * np.abs(mean)] = 1.0  # rounding alone
    return tuple(float(f"{v:.9g}") for v in mean.tolist()), tuple(float(f"{v:.9g}") or 1.0 for v in std.tolist())


def spread(members: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the members, evenly spread."""
    if len(members) <= most:
        return members
    return members[np.linspace(0, len(members) - 1, most).astype(np.int64)]
