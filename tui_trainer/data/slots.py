"""Decoded images by the number of their sample, each in a slot of one size: in memory, or in one memory-mapped file.

Slots are filled while an epoch is read, by threads, by worker processes, and in a file by several runs at once. Two
that fill the same slot write the same bytes, so that nobody has to wait. A slot of a file is believed only after its
checksum and the state of its image file have been looked at, once in each process: what a crash left half written is
decoded anew. A file is written with `pwritev`, because a full disk would end a process that writes through the mapping,
and its records get their blocks at once, because on tmpfs it would end one that only reads what was never written.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tui_trainer.data.decode import Pixels, Stamp
from tui_trainer.data.pages import Pages

PAGE = 4096
FIELDS = 6  # of a record: height, width, bytes and change time of the image file, sum of the pixels, check of the rest
LARGE = 1 << 16  # bytes of a slot from which on
FOLIO = 1 << 18  # the first one begins at a multiple of this, and is written in larger pieces
_ZEROS = bytes(PAGE)
TOGETHER = 16  # slots for which room is made at once
FOREVER = (0, 0)  # the state of an image that is no file

_RECORD, _CHECK = struct.Struct("=5q"), struct.Struct("=q")
FULL = errno.ENOSPC, errno.EDQUOT

Numbers = npt.NDArray[np.int64]  # of samples
PathOf = Callable[[int], bytes | None]  # the file of a sample, if it is one


class Slots(Protocol):
    """Where decoded images are kept."""

    told: str  # why nothing more is kept, once that is so

    def get(self, sample: int, path_of: PathOf) -> Pixels | None:
        """The image (H, W, C) of a sample, not to be changed; None if it is not there."""

    def room(self, sample: int) -> Pixels | None:
        """Where the image may be decoded to, flat, so that `put` need not copy it; whoever else does so writes the
        same."""  # noqa: D205, D209

    def put(self, sample: int, pixels: Pixels, stamp: Stamp) -> None:
        """Keep an image, made of its file in the state `stamp`; one that is too large for a slot is not kept."""

    def batch(self, samples: Numbers, rows: Tensor, *, lend: bool = False) -> Tensor | None:
        """Whole slots as (N, S, S, C) if all of the samples are there as they are wanted, copied into `rows`.

        `lend`: neighbours may be given where they lie, not to be changed.
        """


class MemorySlots:
    """`shared` with worker processes, or of this process alone; memory is taken when a slot is filled."""

    def __init__(self, members: npt.NDArray[np.int64], samples: int, size: int, channels: int, *, shared: bool) -> None:
        self.told, self._size, self._channels = "", size, channels
        self._place = np.full(samples, -1, np.int64)
        self._place[members] = np.arange(len(members))
        self._pages = None if shared else Pages(len(members) * size)
        memory = _shared(len(members) * size) if self._pages is None else self._pages.memory
        self._memory = memory.view(len(members), size)
        self._shapes = torch.zeros(len(members), 2, dtype=torch.int32)
        if shared:
            self._shapes.share_memory_()
        self._look()

    def _look(self) -> None:
        self._bytes, self._sides = self._memory.numpy(), self._shapes.numpy()

    def __getstate__(self) -> dict[str, Any]:
        """To a worker process goes the memory itself; arrays over it would be copied."""
        return {name: value for name, value in vars(self).items() if name not in ("_bytes", "_sides")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._look()

    def get(self, sample: int, path_of: PathOf) -> Pixels | None:
        """See `Slots`."""
        place = self._place[sample]
        if place < 0:
            return None
        height, width = self._sides[place].tolist()
        if not height or not width:  # another process may have written one of them only
            return None
        return self._bytes[place, : height * width * self._channels].reshape(height, width, self._channels)

    def room(self, sample: int) -> Pixels | None:
        """See `Slots`."""
        place = int(self._place[sample])
        if place < 0:
            return None
        if self._pages is not None:
            self._pages.take(place * self._size, (place + 1) * self._size)
        slot: Pixels = self._bytes[place]
        return slot

    def put(self, sample: int, pixels: Pixels, stamp: Stamp) -> None:
        """See `Slots`; nothing outlives the run. The shape is written last, which says that the pixels are there."""
        room = self.room(sample)
        if room is not None and pixels.size <= self._size:
            if not np.may_share_memory(pixels, room):
                room[: pixels.size] = pixels.reshape(-1)
            self._sides[self._place[sample]] = pixels.shape[:2]

    def batch(self, samples: Numbers, rows: Tensor, *, lend: bool = False) -> Tensor | None:
        """See `Slots`."""
        places = self._place[samples]
        if self._size != rows[0].numel() or not (self._sides[places, 0] == rows.shape[1]).all() or places.min() < 0:
            return None
        return _gathered(self._memory, places, rows, lend)


def _gathered(memory: Tensor, places: npt.NDArray[np.int64], rows: Tensor, lend: bool) -> Tensor:
    """The slots (N,) of `memory` (M, S * S * C): as they lie, if that is one after the other, or copied into `rows`."""
    if lend and (np.diff(places) == 1).all():
        return memory[int(places[0]) : int(places[-1]) + 1].view(rows.shape)
    torch.index_select(memory, 0, torch.from_numpy(places), out=rows.view(len(places), -1))
    return rows


def _shared(count: int) -> Tensor:
    storage = torch.UntypedStorage._new_shared(count, device="cpu")  # as default_collate takes it
    return torch.empty(0, dtype=torch.uint8).set_(storage, 0, (count,), (1,))


class FileSlots:
    """Slots of all samples in a file, of which those below `most` are used. The file is locked as one that is in use.

    Raises:
        OSError: it cannot be made or opened, or has no room for the records.
        ValueError: there is another kind of file.
    """

    def __init__(self, path: Path, samples: int, size: int, channels: int, most: int) -> None:
        self._asked = path, samples, size, channels, most
        self.told, self._size, self._channels, self._most = "", size, channels, most
        step = FOLIO if size >= LARGE else PAGE
        self._start = -(-(PAGE + samples * FIELDS * 8) // step) * step
        self._whole = PAGE if size % PAGE == 0 else 1  # a part of a page takes a quarter longer to write than all of it
        whole = self._start + samples * size
        self._file = _opened(path, whole)
        if (failed := _reserve(self._file, 0, self._start)) in FULL:
            raise OSError(failed, os.strerror(failed))
        self._map = mmap.mmap(self._file, whole)
        self._records = np.frombuffer(self._map, np.int64, samples * FIELDS, PAGE).reshape(samples, FIELDS)
        self._bytes = np.frombuffer(self._map, np.uint8, samples * size, self._start).reshape(samples, size)
        self._memory = torch.from_numpy(self._bytes)
        self._good = np.zeros(samples, bool)  # looked at by this process
        self._reserved = np.zeros(samples // TOGETHER + 1, bool)

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker process opens the file for itself."""
        return FileSlots, self._asked

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)  # the mapping goes with the last array over it

    def get(self, sample: int, path_of: PathOf) -> Pixels | None:
        """See `Slots`."""
        record = self._records[sample].tolist()
        height, width = record[:2]
        count = height * width * self._channels
        if not self._good[sample]:
            if sample >= self._most or not 0 < count <= self._size:
                return None
            if record[5] != zlib.crc32(_RECORD.pack(*record[:5])) or (record[2], record[3]) != _stamp(path_of(sample)):
                return None
            if record[4] != _sum(self._bytes[sample, :count]):
                return None
            self._good[sample] = True
        return self._bytes[sample, :count].reshape(height, width, self._channels)

    def room(self, sample: int) -> Pixels | None:
        """None: what is written through the mapping of a full disk ends the process."""
        return None

    def put(self, sample: int, pixels: Pixels, stamp: Stamp) -> None:
        """See `Slots`; the record is written last."""
        if sample >= self._most or pixels.size > self._size or self.told:
            return
        record = _RECORD.pack(*pixels.shape[:2], *stamp, _sum(pixels))
        record += _CHECK.pack(zlib.crc32(record))
        try:
            self._reserve(sample, pixels.size)
            values = pixels.reshape(-1).data
            self._write([values, _ZEROS[: -len(values) % self._whole]], self._start + sample * self._size)
            self._write([record], PAGE + sample * FIELDS * 8)
        except OSError as error:
            self.told = _not_continued(error)
            return
        self._good[sample] = True

    def _reserve(self, sample: int, count: int) -> None:
        """Have blocks ready, for neighbours too if a slot is filled: each call costs as much as half of the write."""
        first = sample // TOGETHER * TOGETHER
        slots = min(TOGETHER, self._most - first)
        if count < self._size * 7 // 8:
            _reserve(self._file, self._start + sample * self._size, count)
        elif not self._reserved[sample // TOGETHER]:
            self._reserved[sample // TOGETHER] = True
            _reserve(self._file, self._start + first * self._size, slots * self._size)

    def _write(self, values: list[memoryview | bytes], at: int) -> None:
        if os.pwritev(self._file, values, at) < sum(map(len, values)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def batch(self, samples: Numbers, rows: Tensor, *, lend: bool = False) -> Tensor | None:
        """See `Slots`."""
        places = np.asarray(samples, np.int64)
        if self._size != rows[0].numel() or not self._good[places].all():
            return None
        return _gathered(self._memory, places, rows, lend)


def _stamp(path: bytes | None) -> Stamp:
    if path is None:
        return FOREVER
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_ctime_ns


def _not_continued(error: OSError) -> str:
    if error.errno in FULL:
        return "The disk of the cache is full: no more images are kept; the others are decoded each epoch."
    return f"The cache of decoded images is not continued: {error.strerror or 'it cannot be written'}."


def _opened(path: Path, size: int) -> int:
    """The file, made whole under another name first, and locked for as long as it is open."""
    if not path.exists():
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with aside.open("wb") as file:
            os.truncate(file.fileno(), size)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass  # another process was quicker, with the same
        finally:
            aside.unlink()
    opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    if os.fstat(opened).st_size != size:
        os.close(opened)
        raise ValueError("a file of another size")
    fcntl.flock(opened, fcntl.LOCK_SH)
    os.utime(path)
    return opened


def _system_call() -> Any:
    """Linux's `fallocate`: that of POSIX, which Python has, writes zeros where a file system cannot do it."""
    found = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return found


_fallocate = _system_call()


def _reserve(file: int, at: int, count: int) -> int:
    """Have blocks ready at once, which makes the write a third cheaper; an error number if that fails."""
    while _fallocate is not None and _fallocate(file, 0, at, count):
        if (failed := ctypes.get_errno()) != errno.EINTR:
            return failed
    return 0


def _sum(pixels: Pixels) -> int:
    """Of their words: what is missing after a crash is whole pages."""
    flat = pixels.reshape(-1)
    words = len(flat) // 8 * 8
    total = int(np.add.reduce(flat[:words].view(np.uint64)))
    if words < len(flat):
        total += int(np.add.reduce(flat[words:], dtype=np.uint64))
    return total & 0x7FFFFFFFFFFFFFFF
