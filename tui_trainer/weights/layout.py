"""Whether a tensor, as a file describes it, lies within the bytes that the file has."""

from __future__ import annotations

import math

from tui_trainer.weights.contents import StoredBytes, TensorInfo
from tui_trainer.weights.dtypes import BYTES
from tui_trainer.weights.limits import MAX_DIMENSIONS, MAX_EXPANDED_BYTES, MAX_NUMBERS
from tui_trainer.weights.records import TensorRecord


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor of `shape` without gaps, last dimension fastest."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def span(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """How many numbers lie between the first and the last of a tensor, both included."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def placed(name: str, record: TensorRecord, stored: StoredBytes | None) -> TensorInfo:
    """The tensor with every bound checked; what is wrong with it stands in `problem`."""
    numel = math.prod(record.shape)
    return TensorInfo(
        name=name,
        dtype=record.dtype,
        shape=record.shape,
        stride=record.stride,
        offset=record.offset,
        numel=min(numel, MAX_NUMBERS),
        nbytes=min(numel, MAX_NUMBERS) * BYTES.get(record.dtype, 1),
        conjugated=record.conjugated,
        negated=record.negated,
        stored=stored,
        problem=record.problem or _problem(record, stored),
    )


def _problem(record: TensorRecord, stored: StoredBytes | None) -> str:
    width = BYTES.get(record.dtype, 0)
    if not width:
        return "its number format is not known"
    if len(record.shape) != len(record.stride) or len(record.shape) > MAX_DIMENSIONS:
        return "its shape and its strides disagree"
    if math.prod(max(size, 1) for size in record.shape) > MAX_NUMBERS:
        return "its shape is larger than any file"
    if stored is None:
        return "its numbers are missing from the file"
    nbytes = math.prod(record.shape) * width
    last = (record.offset + span(record.shape, record.stride)) * width
    if record.storage is not None:
        announced = record.storage.numel * BYTES.get(record.storage.dtype, width)
        if announced > stored.size:
            return "the file holds fewer bytes for it than it announces"
        if 0 not in record.shape and last > announced:
            return "it reaches beyond its storage"
    if 0 not in record.shape and last > stored.size:
        return "it reaches beyond its storage"
    if nbytes > max(stored.size, MAX_EXPANDED_BYTES):
        return "it repeats a small storage to an absurd size"
    return ""
