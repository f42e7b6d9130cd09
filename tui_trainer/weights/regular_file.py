"""Opening a file that nobody vouches for, and reading exact byte ranges of it."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights.limits import UnreadableError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class FileBytes:
    """The bytes of an open regular file, by position. A file that ends early is an error, never less data."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        info = os.fstat(raw.fileno())
        self.size = info.st_size
        self.modified_ns = info.st_mtime_ns

    def at(self, start: int, count: int) -> bytes:
        """`count` bytes from `start`."""
        self._raw.seek(start)
        data = self._raw.read(self._checked(start, count))
        if len(data) != count:  # one call reads at most 2 GiB
            buffer = bytearray(count)
            self._fill(start, memoryview(buffer))
            data = bytes(buffer)
        return data

    def into(self, start: int, buffer: bytearray) -> None:
        """Fills `buffer` with the bytes from `start`."""
        self._checked(start, len(buffer))
        self._fill(start, memoryview(buffer))

    def head(self, count: int) -> bytes:
        """The first bytes, at most `count` of them."""
        return self.at(0, min(count, self.size))

    def _checked(self, start: int, count: int) -> int:
        if start < 0 or count < 0 or start + count > self.size:
            raise UnreadableError("it ends before the data it announces (cut off while copying?)")
        return count

    def _fill(self, start: int, view: memoryview) -> None:
        self._raw.seek(start)
        filled = 0
        while filled < len(view):
            got = self._raw.readinto(view[filled:])
            if not got:
                raise UnreadableError("it became shorter while it was read")
            filled += got


class Window(io.RawIOBase):
    """A part of `source` as a stream: `size` bytes from `start`."""

    def __init__(self, source: FileBytes, start: int, size: int) -> None:
        self._source = source
        self._start = start
        self._size = max(0, min(size, source.size - start))
        self._at = 0

    def readable(self) -> bool:
        """A window can be read, and nothing else."""
        return True

    def tell(self) -> int:
        """Bytes read so far."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fills `buffer` as far as the window goes."""
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        buffer[:count] = self._source.at(self._start + self._at, count)
        self._at += count
        return count


def _refuse(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "no regular file")
    raise WeightsError(f"a weight file is expected, and this is {kind}: {display(path)}: give the file itself.")


def _open(path: Path) -> int:
    """A descriptor of the regular file `path`; nothing else is opened, and opening never waits."""
    _refuse(path, os.stat(path).st_mode)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:  # what the path names can change between the two calls
        _refuse(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _why(error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "the weight file does not exist", "check the path"
    if isinstance(error, PermissionError):
        return "the weight file may not be read", "change its permissions"
    if error.errno == errno.ELOOP:
        return "the weight file is a link that leads back to itself", "give the file itself"
    return f"the weight file cannot be opened ({error.strerror or type(error).__name__})", "check the path"


@contextmanager
def opened(path: Path) -> Iterator[FileBytes]:
    """The bytes of the regular file at `path`.

    Raises:
        WeightsError: it is missing, no regular file, or may not be read.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        what, remedy = _why(error)
        raise WeightsError(f"{what}: {display(path)}: {remedy}.") from None
    except ValueError:
        raise WeightsError(f"no file can have this name: {display(path)}: check the path.") from None
    with io.FileIO(descriptor, "r") as raw:
        yield FileBytes(raw)
