"""The index of a folder kept in the user's cache folder, so that a second start lists nothing. No torch here.

An entry holds the state of every folder that was listed and is good as long as none has changed.
A folder that changed within `RACY` of the scan could change again within one tick of its file
system's clock, unseen: such a scan is not kept.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.data import folders
from tui_trainer.data.index import Index
from tui_trainer.data.index_file import IndexFile, open_index, write_index
from tui_trainer.data.walk import EXTENSIONS, Stamp, Walk, stamp

RACY = 2_000_000_000  # nanoseconds: the coarsest clock of a file system in use, that of FAT
KEPT = 30 * 86_400  # seconds without use after which an entry goes
SMALLEST = 2_000  # images; fewer are listed as fast as they are looked up


def cache_folder() -> Path:
    """Where the entries lie."""
    import platformdirs

    return platformdirs.user_cache_path("tui-trainer") / "index"


def scan(root: Path, val_root: Path | None, val_fraction: float, seed: int) -> Index:
    """`folders.scan`, from the cache if no folder has changed.

    Raises:
        DataError: there is nothing to train on, or the parts do not go together.
    """
    entry = _entry(root, val_root, val_fraction, seed)
    known = _known(entry)
    if known is not None:
        return known
    index = _scanned(entry, root, val_root, val_fraction, seed)
    if len(index) >= SMALLEST:
        _trim()
    return index


def _scanned(entry: Path, root: Path, val_root: Path | None, val_fraction: float, seed: int) -> Index:
    """Listed, and kept if it can be."""
    started, walk = time.time_ns(), Walk()
    index = folders.scan(root, val_root, val_fraction, seed, walk)
    settled = all(max(folder.mtime_ns, folder.ctime_ns) < started - RACY for folder in walk.folders)
    if len(index) < SMALLEST or not walk.complete or not settled:
        return index
    with suppress(OSError):  # a full disk, or a home without a cache, costs time only
        _keep(entry, index, walk.folders)
        sweep(entry.parent)
        return _known(entry) or index
    return index


def _trim() -> None:
    """Give back the memory that a scan needed: by itself glibc does so for the end of its heap only."""
    with suppress(AttributeError, TypeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)


def _entry(root: Path, val_root: Path | None, val_fraction: float, seed: int) -> Path:
    asked: list[Any] = [
        os.fspath(root.resolve()),
        os.fspath(val_root.resolve()) if val_root else None,
        val_fraction,
        seed,
    ]
    asked += (ending.decode() for ending in EXTENSIONS)
    return cache_folder() / f"{hashlib.blake2b(json.dumps(asked).encode(), digest_size=12).hexdigest()}.index"


def _known(entry: Path) -> Index | None:
    """The index of an entry; None if there is none, it is damaged, or a folder has changed."""
    try:
        file = open_index(entry)
        if not _unchanged(file.facts.pop("folders")):
            return None
        os.utime(entry)
        return _index(file)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _unchanged(folders_then: Sequence[Sequence[Any]]) -> bool:
    return all(stamp(os.fsencode(path)) == (os.fsencode(path), *state) for path, *state in folders_then)


def _index(file: IndexFile) -> Index:
    facts = file.facts
    values: dict[str, Any] = {
        **file.arrays,
        "classes": tuple(facts["classes"]),
        "warnings": tuple(facts["warnings"]),
        "root": Path(facts["root"]),
    }
    return Index(names=file.names, file=file, **values)


def _keep(entry: Path, index: Index, listed: Sequence[Stamp]) -> None:
    facts = {
        "root": os.fspath(index.root),
        "classes": index.classes,
        "warnings": index.warnings,
        "folders": [(os.fsdecode(folder.path), *folder[1:]) for folder in listed],
    }
    write_index(entry, index.names, index.arrays(), facts)


def sweep(folder: Path) -> None:
    """What was not used for long goes, and what a crash left."""
    oldest = time.time() - KEPT
    for path in (*folder.glob("*.index"), *folder.glob("*.look"), *folder.glob("*.plan"), *folder.glob(".*.tmp")):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
