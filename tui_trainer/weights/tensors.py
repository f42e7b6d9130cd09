"""The numbers of a listed file as torch tensors: bytes are copied out of the file, nothing is mapped."""

from __future__ import annotations

import zlib

import torch

from tui_trainer.text import display
from tui_trainer.weights.contents import StoredBytes, TensorInfo
from tui_trainer.weights.dtypes import BYTES
from tui_trainer.weights.layout import span
from tui_trainer.weights.limits import Cancelled, UnreadableError, stop_if
from tui_trainer.weights.regular_file import FileBytes
from tui_trainer.weights.zip_archive import data_at, inflate

_COMPLEX_PARTS = 2


def read_all(source: FileBytes, wanted: list[TensorInfo], cancelled: Cancelled) -> dict[str, torch.Tensor]:
    """The tensors `wanted` by name, in that order; those of one storage are views of one memory.

    Raises:
        UnreadableError: the file ends early, a checksum does not match, or packed data is damaged.
    """
    by_storage: dict[StoredBytes, list[TensorInfo]] = {}
    for info in wanted:
        if info.stored is None or info.problem:
            raise UnreadableError(f"{display(info.name, 80)} cannot be read: {info.problem}")
        by_storage.setdefault(info.stored, []).append(info)
    tensors: dict[str, torch.Tensor] = {}
    for stored, infos in by_storage.items():
        stop_if(cancelled)
        first, after = _byte_range(infos)
        data = _read(source, stored, first, after)
        for info in infos:
            try:
                tensors[info.name] = _view(data, info, first, stored.big_endian)
            except RuntimeError:  # an operation that torch has not for every number format
                raise UnreadableError(f"torch cannot make {display(info.name, 80)} of its bytes") from None
    return {info.name: tensors[info.name] for info in wanted}


def _byte_range(infos: list[TensorInfo]) -> tuple[int, int]:
    """First byte and byte after the last that any of `infos` uses in their storage."""
    used = [info for info in infos if info.numel]
    if not used:
        return 0, 0
    first = min(info.offset * BYTES[info.dtype] for info in used)
    after = max((info.offset + span(info.shape, info.stride)) * BYTES[info.dtype] for info in used)
    widest = max(BYTES[info.dtype] for info in used)
    return first - first % widest, after


def _read(source: FileBytes, stored: StoredBytes, first: int, after: int) -> bytearray:
    """The bytes of a storage from `first` up to `after`, with the checksum compared where all are read."""
    start = data_at(source, stored.entry, stored.start) if stored.entry else stored.start
    if stored.deflated:
        data = bytearray(inflate(source.at(start, stored.packed_size), stored.size))
    elif 2 * (after - first) < stored.size:
        data = bytearray(after - first)
        source.into(start + first, data)
        return data
    else:
        data = bytearray(stored.size)
        source.into(start, data)
    if stored.crc and zlib.crc32(data) != stored.crc:
        raise UnreadableError("its checksum does not match: the file is damaged, copy it again")
    return data[first:after] if (first, after) != (0, stored.size) else data


def _view(data: bytearray, info: TensorInfo, first: int, big_endian: bool) -> torch.Tensor:
    """The tensor that `info` describes over `data`, whose byte 0 is byte `first` of the storage."""
    dtype = getattr(torch, info.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise UnreadableError(f"this torch has no {info.dtype} numbers: update torch")
    width = BYTES[info.dtype]
    if not info.numel:
        return torch.empty_strided(info.shape, info.stride, dtype=dtype)
    if big_endian and width > 1:
        data = _swapped(data, width // _COMPLEX_PARTS if dtype.is_complex else width)
    flat = torch.frombuffer(data, dtype=torch.uint8)
    flat = flat[: len(data) // width * width]
    flat = flat != 0 if dtype is torch.bool else flat.view(dtype)  # any other byte than 0 and 1 is undefined
    tensor = flat.as_strided(info.shape, info.stride, info.offset - first // width)
    tensor = tensor.conj().resolve_conj() if info.conjugated else tensor
    return -tensor if info.negated else tensor


def _swapped(data: bytearray, width: int) -> bytearray:
    """The bytes with those of each number in reverse order."""
    usable = len(data) // width * width
    bytes_of_numbers = torch.frombuffer(data, dtype=torch.uint8)[:usable].view(-1, width)
    return bytearray(bytes_of_numbers.flip(1).contiguous().numpy().tobytes())
