"""Safetensors: 8 bytes length, a JSON header, then the numbers (https://github.com/huggingface/safetensors)."""

from __future__ import annotations

import math

from tui_trainer.text import display
from tui_trainer.weights.contents import StoredBytes, TensorInfo
from tui_trainer.weights.dtypes import BYTES, SAFETENSORS
from tui_trainer.weights.layout import contiguous, placed
from tui_trainer.weights.limits import (
    MAX_JSON_BYTES,
    MAX_METADATA_ENTRIES,
    MAX_METADATA_TEXT,
    MAX_TENSORS,
    Cancelled,
    UnreadableError,
    stop_if,
)
from tui_trainer.weights.records import TensorRecord
from tui_trainer.weights.regular_file import FileBytes
from tui_trainer.weights.search import Found
from tui_trainer.weights.strict_json import parsed
from tui_trainer.weights.torch_archive import Listing
from tui_trainer.weights.torch_names import naturals


def list_safetensors(source: FileBytes, cancelled: Cancelled) -> Listing:
    """The tensors of a safetensors file, in the order of their bytes.

    Raises:
        UnreadableError: its header is damaged or too large.
    """
    size = int.from_bytes(source.at(0, 8), "little")
    if size > MAX_JSON_BYTES:
        raise UnreadableError(f"its header claims {size:,} bytes, more than {MAX_JSON_BYTES:,}")
    header = parsed(source.at(8, size))
    metadata = _metadata(header.pop("__metadata__", None))
    if len(header) > MAX_TENSORS:
        raise UnreadableError(f"it lists more than {MAX_TENSORS:,} tensors")
    tensors = []
    for name, described in header.items():
        stop_if(cancelled)
        tensors.append(_tensor(name, described, 8 + size, source.size))
    tensors.sort(key=lambda tensor: tensor.stored.start if tensor.stored else 0)
    _no_overlap(tensors)
    return Listing("safetensors", [(Found("", "weights"), tuple(tensors))], metadata=metadata)


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UnreadableError("its metadata is no table of texts")
    first = list(value.items())[:MAX_METADATA_ENTRIES]
    return {key[:MAX_METADATA_TEXT]: text[:MAX_METADATA_TEXT] for key, text in first}


def _tensor(name: str, described: object, data_at: int, file_size: int) -> TensorInfo:
    try:
        dtype, shape, start, end = _described(described)
        if data_at + end > file_size:
            raise UnreadableError("the file ends before its numbers (cut off while copying?)")
        if math.prod(shape) * BYTES[dtype] != end - start:
            raise UnreadableError("its shape and its size in the file disagree")
    except UnreadableError as error:
        return placed(name, TensorRecord(None, "unknown", (), (), problem=str(error)), None)
    stored = StoredBytes(key=f"{start}", size=end - start, start=data_at + start)
    return placed(name, TensorRecord(None, dtype, shape, contiguous(shape)), stored)


def _described(described: object) -> tuple[str, tuple[int, ...], int, int]:
    """(dtype, shape, first byte, byte after the last), the bytes counted from the end of the header."""
    if not isinstance(described, dict):
        raise UnreadableError("it is not described")
    dtype = SAFETENSORS.get(str(described.get("dtype")), "")
    if not dtype:
        raise UnreadableError(f"its number format {display(described.get('dtype'), 20)} is not known")
    shape = naturals(described.get("shape"), "shape")
    ends = naturals(described.get("data_offsets"), "position")
    if len(ends) != 2 or ends[0] > ends[1]:
        raise UnreadableError("its position is not a start and an end")
    return dtype, shape, ends[0], ends[1]


def _no_overlap(tensors: list[TensorInfo]) -> None:
    """Raises when two tensors share bytes, which the format does not allow."""
    end = 0
    for tensor in tensors:
        if tensor.stored is None or not tensor.stored.size:
            continue
        if tensor.stored.start < end:
            raise UnreadableError("two of its tensors overlap")
        end = tensor.stored.start + tensor.stored.size
