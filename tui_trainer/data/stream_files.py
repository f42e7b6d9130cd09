"""The bytes of a shard from any place on: a local file, one behind HTTP, packed with gzip or not. No torch here.

Places count in the unpacked file. What is packed can only be read from its begin on, as can a file of a server that
knows no ranges; a cursor that is asked for what comes next reads on, and for anything else opens the file again.
"""

from __future__ import annotations

import glob
import gzip
import http.client
import io
import itertools
import os
import re
import stat
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from tui_trainer.errors import DataError
from tui_trainer.text import display, user_path

State = tuple[str, int, int, int, int]  # path, size, mtime and ctime in nanoseconds, inode
TRIES, WAIT = 3, 0.3  # of a request, and seconds before the second one
TIMEOUT = 30.0  # seconds without an answer
SKIP = 1 << 20
SEVERAL = re.compile(r"\{([^{}]*)\}")  # {000..009} or {a,b}
GONE = (OSError, EOFError, zlib.error, http.client.HTTPException)  # what reading a file can raise


class UnreadableError(Exception):
    """Why bytes cannot be read, in a few words."""


def is_remote(place: str) -> bool:
    """Whether it is behind HTTP."""
    return place.lower().startswith(("http://", "https://"))


def is_packed(place: str) -> bool:
    """Whether its name says that it is packed with gzip."""
    return _path_of(place).lower().endswith((".gz", ".tgz"))


def ends_with(source: str, endings: Sequence[str]) -> bool:
    """Whether a source is one file, or several, of names that end so."""
    return _path_of(source).lower().endswith(tuple(endings))


def _path_of(place: str) -> str:
    return urlsplit(place).path if is_remote(place) else place


def shards_of(source: str) -> tuple[str, ...]:
    """The files that a source names: one, a pattern with `*`, or with braces as in `shard-{000..009}.tar`.

    Raises:
        DataError: there is none.
    """
    places = [place for one in _in_braces(source) for place in _matching(one)]
    if not places:
        raise DataError(f"{display(source)} does not exist: give a file, or a pattern such as shard-{{000..009}}.tar.")
    return tuple(dict.fromkeys(places))


def require(source: str) -> None:
    """Refuse at once what plainly is not there.

    Raises:
        DataError: it is not.
    """
    shards_of(source)


def _matching(source: str) -> list[str]:
    if is_remote(source):
        return [source]
    path = user_path(source)
    if path.exists() or not glob.has_magic(source):
        return [str(path)] if path.exists() else []
    return sorted(glob.glob(str(path)))


def _in_braces(source: str) -> list[str]:
    """With each of the values in braces in its place."""
    found = SEVERAL.search(source)
    if found is None:
        return [source]
    first, dots, last = found[1].partition("..")
    if dots and first.isdecimal() and last.isdecimal():
        width = len(first) if first.startswith("0") else 0
        values = [f"{number:0{width}}" for number in range(int(first), int(last) + 1)]
    else:
        values = found[1].split(",")
    rest = _in_braces(source[found.end() :])
    return [source[: found.start()] + value + tail for value, tail in itertools.product(values, rest)]


def short_names(places: Sequence[str]) -> tuple[bytes, ...]:
    """What files are called in messages, and hashed by: their names without the folder that all are in."""
    paths = [_path_of(place) for place in places]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""  # noqa: PTH120 - of URLs too
    return tuple(os.fsencode(os.path.relpath(path, root) if root else path) for path in paths)


class Cursor:
    """A file that is read here and there, mostly onwards. Not for several threads at once."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._file: IO[bytes] | None = None
        self._at = 0

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end).

        Raises:
            UnreadableError: they are not there or cannot be read.
        """
        for turn in range(TRIES):
            try:
                data = self._read(start, end)
            except GONE as error:
                self.close()
                reason = in_words(error)
                if not is_remote(self._place) or not worth_another(error):
                    break
                time.sleep(WAIT * 4**turn * (turn < TRIES - 1))
            else:
                if len(data) == end - start:
                    return data
                self.close()
                reason = "shorter than it was" if not is_packed(self._place) else "truncated"
        raise UnreadableError(reason)

    def _read(self, start: int, end: int) -> bytes:
        if self._file is None or start < self._at or (start > self._at and not is_packed(self._place)):
            self.close()
            self._file, self._at = open_at(self._place, start)
        while self._at < start:
            skipped = len(self._file.read(min(SKIP, start - self._at)))
            if not skipped:
                raise EOFError
            self._at += skipped
        data = self._file.read(end - start)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Let the file go; it is opened again when it is needed."""
        if self._file is not None:
            self._file.close()
        self._file = None


class Shards:
    """The files of a source, of which each lane holds one open. Not for several threads at once."""

    def __init__(self, source: str) -> None:
        self.places = shards_of(source)
        self.names = short_names(self.places)
        self._cursors: dict[tuple[int, int], Cursor] = {}  # by lane and file

    @property
    def packed(self) -> bool:
        """Whether one of them can only be read from its begin on."""
        return any(is_packed(place) for place in self.places)

    def read(self, lane: int, file: int, start: int, end: int) -> bytes:
        """The bytes [start, end) of a file.

        Raises:
            UnreadableError: they are not there or cannot be read.
        """
        for held in [one for one in self._cursors if one[0] == lane and one[1] != file]:
            self._cursors.pop(held).close()
        return self._cursors.setdefault((lane, file), Cursor(self.places[file])).read(start, end)

    def state(self) -> list[State] | None:
        """What changes when one of them does; None where that costs a request, or one is not there."""
        return None if any(map(is_remote, self.places)) else states_of(self.places)

    def close(self) -> None:
        """Close the files."""
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cursors": {}}


def states_of(places: Sequence[str]) -> list[State] | None:
    """Size, times and number of each file; None if one is not there."""
    try:
        found = [os.stat(place) for place in places]
    except OSError:
        return None
    times = [(one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) for one in found]
    return [(place, *time) for place, time in zip(places, times, strict=True)]


def open_at(place: str, start: int = 0) -> tuple[IO[bytes], int]:
    """The unpacked file, and where in it reading begins: at `start`, or before where it cannot be entered there.

    Raises:
        OSError: it cannot be opened.
    """
    packed = is_packed(place)
    file, at = _open_remote(place, 0 if packed else start) if is_remote(place) else (open_local(place), 0)
    if packed:
        return cast(IO[bytes], _Unpacked(file)), 0
    if not is_remote(place):
        file.seek(start)
        at = start
    return file, at


class _Unpacked(gzip.GzipFile):
    """Closes the packed file too, which GzipFile leaves open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = file
        super().__init__(fileobj=file, mode="rb")

    def close(self) -> None:
        """Close both."""
        super().close()
        self._packed.close()


def open_local(place: str) -> IO[bytes]:
    """A regular file; a pipe is not waited for.

    Raises:
        OSError: it is none.
    """
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return open(descriptor, "rb")


def _open_remote(url: str, start: int) -> tuple[IO[bytes], int]:
    request = urllib.request.Request(url, headers={"User-Agent": "tui-trainer", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    answer: Any = urllib.request.urlopen(request, timeout=TIMEOUT)
    return io.BufferedReader(answer, SKIP), start if answer.status == 206 else 0


def worth_another(error: Exception) -> bool:
    """Whether asking a server again may help."""
    return not isinstance(error, urllib.error.HTTPError) or error.code >= 500 or error.code in (408, 429)


def in_words(error: Exception) -> str:
    """Why a file cannot be read."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {display(error.reason, 60)}"
    if isinstance(error, urllib.error.URLError):
        return f"no answer ({display(error.reason, 80)})"
    if isinstance(error, EOFError):
        return "truncated"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return display(error, 80) or type(error).__name__


def absolute(source: str) -> str:
    """The same from any folder."""
    return source if is_remote(source) else str(user_path(source))


def base_of(source: str) -> Path:
    """The folder that paths inside of a source are relative to."""
    return user_path(source).parent if not is_remote(source) else user_path(".")
