"""Files with the same content: those of one length are hashed, the others cannot be copies. No torch here."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tui_trainer.data.index import TRAIN, Index
from tui_trainer.data.report import Copies
from tui_trainer.data.together import together

PIECE = 1 << 20  # bytes that are read at a time
AT_ONCE = 64  # files a task


def copies_among(index: Index, members: Sequence[int], most_bytes: int) -> Iterator[Copies | int]:
    """How many files more are compared, and what copies were found; at most so many bytes are read, short files first.

    The lengths come first: while they are looked up, no file is compared yet.
    """
    lengths = np.zeros(len(members), np.int64)
    for k, (_, length) in enumerate(together(lambda i: _length(index.path(i)), members, 16 * AT_ONCE)):
        lengths[k] = length
        if k % AT_ONCE == 0:
            yield 0
    budget = most_bytes
    for length, group in _of_one_length(lengths):
        if len(group) < 2 or not length:
            yield len(group)
            continue
        budget -= length * len(group)
        if budget < 0:
            return
        same: dict[bytes, list[int]] = {}
        for i, digest in together(lambda i: _digest(index.path(i)), [members[k] for k in group], AT_ONCE):
            if digest:
                same.setdefault(digest, []).append(i)
            yield 1
        yield from (_copies(index, samples) for samples in same.values() if len(samples) > 1)


def _length(path: bytes) -> int:
    """Of a regular file; 0 for anything else."""
    try:
        status = os.stat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _of_one_length(lengths: npt.NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    """Each length and the places where it stands, rising."""
    order = np.argsort(lengths, kind="stable")
    _, starts = np.unique(lengths[order], return_index=True)
    for group in np.split(order, starts[1:]):
        if len(group):
            yield int(lengths[group[0]]), group.tolist()


def _digest(path: bytes) -> bytes:
    """Of the content; empty if it cannot be read, or is no file by now."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError:
        return b""
    return digest.digest()


def _copies(index: Index, group: list[int]) -> Copies:
    held_out = index.parts[group] != TRAIN
    return Copies(
        names=tuple(index.name(i) for i in group),
        across_parts=bool(held_out.any() and not held_out.all()),
        across_classes=len(np.unique(index.targets[group], axis=0)) > 1,
    )
