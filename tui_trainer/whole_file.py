"""Files that are whole or not there: a temporary file in the same folder, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` once all of it is on disk.

    Raises:
        OSError: it could not be written; `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            os.chmod(temporary, 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # of a read-only disk; what was raised before says more
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that after a crash it has the old content or the new, never a part."""
    with replacing(path) as file:
        file.write(data)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(folder: Path, size: int) -> None:
    """Refuse what will not fit before a byte of it is written; others may need what is left of the disk.

    Raises:
        OSError: there is less room than `size` bytes.
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written; only the owner of the run's lock may."""
    for left in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)
