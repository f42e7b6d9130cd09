"""Rows of a stream on their way to a batch. Worker processes import this. N: batch, F: inputs, S: side, C: channels."""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tui_trainer.data.datasets import RawBatch, Sample, Spec
from tui_trainer.data.decode import BadImageError, read_file
from tui_trainer.data.image_columns import BYTES, PATH
from tui_trainer.data.index import CLASSIFICATION, Index, Stream
from tui_trainer.data.pipeline import Pipeline
from tui_trainer.data.raw import Raw
from tui_trainer.data.row_encoding import encode_row
from tui_trainer.data.stream_columns import as_class, as_number, missing
from tui_trainer.data.stream_rows import spread_raws
from tui_trainer.text import display

DRAWN = 200  # rows that a few are drawn from
At = tuple[int, Raw]  # (epoch, row)


class StreamItems(Dataset[Sample]):
    """Decodes rows: images to (N, S, S, C) uint8, others to (N, F) float32; what cannot be decoded is left out."""

    def __init__(
        self, index: Index, spec: Spec, augment: str = "none", seed: int = 0, *, training: bool = False,
        least: float = 0.5,
    ) -> None:  # fmt: skip
        stream = index.inputs
        assert isinstance(stream, Stream)
        self._values, self._chosen, self._base = stream.source.values, stream.chosen, stream.base
        self._encoding, self._width = stream.encoding, len(stream.names)
        self._classes = {name: number for number, name in enumerate(index.classes)}
        self._of_classes = index.task == CLASSIFICATION
        self._pipeline = None
        if not stream.names:
            self._shape = (spec.image_size, spec.image_size, spec.channels)
            self._pipeline = Pipeline(spec, augment, seed, scaled=training, least=least)

    @property
    def row_bytes(self) -> int:
        """What a row takes in a batch."""
        return math.prod(self._shape) if self._pipeline else 4 * self._width

    def __getitem__(self, at: At) -> Sample:
        """One row."""
        batch = self.read([at])
        if batch.bad:
            return Sample(None, 0, *batch.bad[0])
        return Sample(batch.inputs[0], batch.targets[0], at[1].name, "")

    def __getitems__(self, rows: list[At]) -> RawBatch:
        """A whole batch at once."""
        return self.read(rows)

    def read(self, rows: Sequence[At], memory: Tensor | None = None) -> RawBatch:
        """The rows as a batch, in `memory` (flat, uint8) if it suffices."""
        size = len(rows) * self.row_bytes
        if memory is None or memory.numel() < size:
            memory = torch.empty(size, dtype=torch.uint8)
        if self._pipeline:
            inputs = memory[:size].view(len(rows), *self._shape)
        else:
            inputs = memory[:size].view(torch.float32).view(len(rows), self._width)
        targets: list[Any] = []
        bad: list[tuple[bytes, str]] = []
        for epoch, raw in rows:
            try:
                targets.append(self._one(raw, epoch, inputs, len(targets)))
            except (ValueError, BadImageError) as error:
                bad.append((raw.name, str(error)))
        dtype = torch.int64 if self._of_classes else torch.float32
        return RawBatch(inputs[: len(targets)], torch.tensor(targets, dtype=dtype), bad)

    def _one(self, raw: Raw, epoch: int, inputs: Tensor, place: int) -> Any:
        """Write an input and return its target.

        Raises:
            ValueError, BadImageError: the row is of no use.
        """
        if raw.reason:
            raise ValueError(raw.reason)
        values = self._values(raw.data)
        target = self._target(values)
        if self._pipeline:
            self._pipeline.fill(self._image(values), inputs[place].numpy(), epoch, raw.number)
        else:
            inputs[place] = torch.tensor(encode_row(values, self._encoding), dtype=torch.float32)
        return target

    def _target(self, values: Mapping[str, Any]) -> Any:
        value = values.get(self._chosen.targets[0])
        if self._of_classes and type(value) is str and value in self._classes:  # nearly always
            return self._classes[value]
        if reason := missing(values, self._chosen.targets):
            raise ValueError(reason)
        found = [values[name] for name in self._chosen.targets]
        if self._of_classes:
            name = as_class(found[0])
            if name not in self._classes:
                raise ValueError(f"its class {display(name, 40)} is none of those that were planned")
            return self._classes[name]
        numbers = [as_number(value) for value in found]
        if None in numbers:
            raise ValueError(f"its target {display(found[numbers.index(None)], 40)} is no number")
        return numbers

    def _image(self, values: Mapping[str, Any]) -> bytes:
        return image_bytes(values, self._chosen.image, self._chosen.kind, self._base)


def image_bytes(values: Mapping[str, Any], column: str, kind: str, base: str) -> bytes:
    """The image file that a row holds, or names.

    Raises:
        ValueError: it is missing, or is no image.
        BadImageError: the file that it names cannot be read.
    """
    value = values.get(column)
    if value is None or value == "":
        raise ValueError(f"lacks {display(column, 40)}")
    if kind == BYTES and isinstance(value, bytes | memoryview | bytearray):
        return bytes(value)
    if kind == BYTES or not isinstance(value, str):
        raise ValueError(f"its {display(column, 40)} is of another type, {type(value).__name__}")
    if kind == PATH:
        name = value.strip()
        if "\0" in name:
            raise ValueError(f"its {display(column, 40)} holds a zero byte")
        return read_file(os.fsencode(os.path.join(base, name)))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"its {display(column, 40)} is not base64") from None


def some_images(stream: Stream, most: int) -> Iterator[Callable[[], bytes]]:
    """What reads an image, for about `most` of the training part."""
    for raw in islice(spread_raws(stream, most), most):
        yield partial(_bytes_of, stream, raw)


def _bytes_of(stream: Stream, raw: Raw) -> bytes:
    return image_bytes(stream.source.values(raw.data), stream.chosen.image, stream.chosen.kind, stream.base)


def some_decoded(index: Index, spec: Spec, most: int) -> list[Tensor]:
    """Images (S, S, C) uint8 of about `most` training rows, those that can be decoded."""
    assert isinstance(index.inputs, Stream)
    items = StreamItems(index, spec, training=True)
    samples = (items[0, raw].image for raw in islice(spread_raws(index.inputs, most), most))
    return [image for image in samples if image is not None]


def some_rows(stream: Stream) -> npt.NDArray[np.float32]:
    """Inputs (M, F) of the rows that were looked at, those that can be encoded."""
    found: list[list[float]] = []
    for row in stream.looked_at:
        with suppress(ValueError):
            found.append(encode_row(row, stream.encoding))
    return np.array(found, np.float32).reshape(len(found), len(stream.names))


def drawn(
    index: Index, spec: Spec, augment: str, seed: int, number: int
) -> Iterator[tuple[npt.NDArray[np.uint8], str]]:
    """Images (S, S, C) uint8 as training sees them, and their targets in words; another draw is of another `number`."""
    stream = index.inputs
    assert isinstance(stream, Stream)
    items = StreamItems(index, spec, augment, seed)
    raws = list(spread_raws(stream, DRAWN, turn=number))
    for place in np.random.default_rng([seed, number]).permutation(len(raws)).tolist():
        one = items[number, raws[place]]
        if one.image is not None:
            target = one.target.tolist()
            words = index.classes[target] if index.classes else " ".join(f"{value:.6g}" for value in target)
            yield np.ascontiguousarray(one.image.numpy()), words
