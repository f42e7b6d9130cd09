"""A large index in a file that worker processes map, where each would else be sent a copy of its own."""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tui_trainer.data.index import Index
from tui_trainer.data.index_file import open_index, write_index
from tui_trainer.data.scan_cache import cache_folder

LARGE = 4 << 20  # bytes; less is sent as fast as it is mapped


def shared(index: Index) -> Index:
    """The same samples; the file goes with the last reference to them, or with what was not used for long."""
    arrays = index.arrays()
    if index.file is not None or index.names.nbytes + sum(array.nbytes for array in arrays.values()) < LARGE:
        return index
    try:
        cache_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=cache_folder())
        os.close(descriptor)
        path = Path(name)
        write_index(path, index.names, arrays, {})
        file = open_index(path, check=False)
    except OSError:  # a full disk costs memory only
        return index
    weakref.finalize(file, _remove, path)
    return replace(index, names=file.names, file=file, **file.arrays)  # type: ignore[arg-type]


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
