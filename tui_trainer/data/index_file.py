"""The arrays of an index in one file, mapped into memory: worker processes share its pages. No torch here.

    names, their offsets and groups, targets, parts, facts (JSON), CRC-32, length of the facts, magic

A file is written aside, renamed, and never changed afterwards, so that whoever holds its name and
its `token` gets what was written, or an error.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.names import Names
from tui_trainer.errors import DataError
from tui_trainer.text import display

VERSION = 2
_TAIL = struct.Struct("<IQ8s")  # CRC-32 of the rest, bytes of the facts, magic
_MAGIC = b"TUIINDEX"
_ALIGNED = 64
_OF_NAMES = ("offsets", "starts")


@dataclass(frozen=True, eq=False, repr=False)
class IndexFile:
    """An open file; `facts` are what the writer added."""

    path: Path
    token: str
    names: Names
    arrays: dict[str, npt.NDArray[Any]]
    facts: dict[str, Any]


def write_index(path: Path, names: Names, arrays: Mapping[str, npt.NDArray[Any]], facts: object) -> None:
    """Whole or not at all; two processes that write the same name do not disturb each other.

    Raises:
        OSError: the disk is full, or not to be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    at = int(names.offsets[-1])
    layout, parts = {}, [memoryview(names.blob)[:at]]
    for name, array in {"offsets": names.offsets, "starts": names.starts, **arrays}.items():
        whole = np.ascontiguousarray(array)
        gap = -at % _ALIGNED
        layout[name] = [whole.dtype.str, list(whole.shape), at + gap]
        parts += memoryview(bytes(gap)), whole.reshape(-1).view(np.uint8).data
        at += gap + whole.nbytes
    told = {"version": VERSION, "token": secrets.token_hex(8), "arrays": layout, "facts": facts}
    parts.append(memoryview(json.dumps(told).encode("ascii")))
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    descriptor, aside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(parts)
            file.write(_TAIL.pack(crc, len(parts[-1]), _MAGIC))
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink()
        raise


def open_index(path: Path, token: str = "", check: bool = True) -> IndexFile:
    """The arrays of a file; `token`: it must be that very one.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not whole.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _TAIL.size + 1:
            raise ValueError("no index")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        crc, length, magic = _TAIL.unpack(whole[-_TAIL.size :])
        end = size - _TAIL.size
        if magic != _MAGIC or length > end or (check and zlib.crc32(memoryview(whole)[:end]) != crc):
            raise ValueError("damaged")
    told = json.loads(whole[end - length : end])
    if told["version"] != VERSION or token not in ("", told["token"]):
        raise ValueError("another one")
    if hasattr(mmap, "MADV_DONTNEED"):
        whole.madvise(mmap.MADV_DONTNEED)  # the check has read all of it; what is used comes back
    arrays = {
        name: np.frombuffer(whole, dtype, int(np.prod(shape)), offset).reshape(shape)
        for name, (dtype, shape, offset) in told["arrays"].items()
    }
    names = Names(whole, *(arrays.pop(name) for name in _OF_NAMES))
    return IndexFile(path=path, token=told["token"], names=names, arrays=arrays, facts=told["facts"])


def reopen(path: Path, token: str) -> IndexFile:
    """In a worker process: the file that the main process has open.

    Raises:
        DataError: it is gone, because somebody emptied the cache folder.
    """
    try:
        return open_index(path, token, check=False)
    except (OSError, ValueError):
        raise DataError(f"The index {display(path)} was removed while a run used it: start again.") from None
