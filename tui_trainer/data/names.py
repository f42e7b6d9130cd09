"""The names of many samples in little memory: files of a folder share a beginning and an end. No torch here."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hashlib import _Hash

END = b"\0"  # the one byte beside the slash that no name holds
_TOGETHER = 1 << 14  # strings that are hashed at a time: their letters stay in the cache of the processor
_FACTOR = np.uint64(0x100000001B3)

Blob = bytes | mmap.mmap  # of a file that worker processes share
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Names:
    """M names in G groups; of a group are kept its beginning, its end, and what is between them in each name.

    These strings follow each other in `blob`, each ended by a zero byte.
    """

    blob: Blob  # may be longer
    offsets: npt.NDArray[Any]  # (M + 2 G + 1,) uint32, or uint64 of 4 GiB: where each string begins
    starts: npt.NDArray[np.int64]  # (G,), the first name of each group

    @classmethod
    def of(cls, names: Sequence[bytes]) -> Names:
        """As one group that shares nothing; a name holds no zero byte."""
        return cls.of_blocks([END + END + END.join((*names, b""))], [len(names)]) if names else cls.of_blocks([], [])

    @classmethod
    def of_blocks(cls, blocks: Sequence[bytes], counts: Sequence[int]) -> Names:
        """Groups, each as its strings with their ends, and as the number of its names."""
        blob = b"".join(blocks)
        ends = np.flatnonzero(np.frombuffer(blob, np.uint8) == 0)
        offsets = np.zeros(len(ends) + 1, np.uint32 if len(blob) < 1 << 32 else np.uint64)
        offsets[1:] = ends
        offsets[1:] += 1
        return cls(blob, offsets, np.cumsum([0, *counts], dtype=np.int64)[:-1])

    def __len__(self) -> int:
        return len(self.offsets) - 1 - 2 * len(self.starts)

    def __getitem__(self, at: int) -> bytes:
        offsets, starts = self._views
        group = bisect_right(starts, at)
        first, string = starts[group - 1] + 2 * (group - 1), at + 2 * group
        begin, end, after = offsets[first : first + 3]
        return (
            self.blob[begin : end - 1]
            + self.blob[offsets[string] : offsets[string + 1] - 1]
            + self.blob[end : after - 1]
        )

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return int(self.offsets[-1]) + self.offsets.nbytes + self.starts.nbytes

    def __reduce__(self) -> tuple[Any, ...]:
        return Names, (self.blob[: int(self.offsets[-1])], self.offsets, self.starts)

    @cached_property
    def _views(self) -> tuple[memoryview[int], memoryview[int]]:
        """Offsets and starts; an item of an array takes three times as long."""
        return memoryview(self.offsets), memoryview(self.starts)  # type: ignore[arg-type]

    def feed(self, digest: _Hash) -> None:
        """Hash all names, then where each begins and ends among them."""
        for head, tail, ends in self._pieces():
            block = self.blob[int(ends[0]) : int(ends[-1])].replace(END, tail + head)
            digest.update(head + block[: len(block) - len(head)])
        at = np.zeros(1, np.int64)
        digest.update(at.data)
        for head, tail, ends in self._pieces():
            at = at[-1] + np.cumsum(np.diff(ends) + (len(head) + len(tail) - 1))
            digest.update(at.data)

    def _pieces(self) -> Iterator[tuple[bytes, bytes, npt.NDArray[np.int64]]]:
        """Some names of a group at a time: their beginning, their end, and the offsets of what is between."""
        bounds = [*(self.starts + 2 * np.arange(len(self.starts))).tolist(), len(self.offsets) - 1]
        for first, last in pairwise(bounds):
            begin, end, after = self.offsets[first : first + 3].tolist()
            head, tail = self.blob[begin : end - 1], self.blob[end : after - 1]
            for at in range(first + 2, last, _TOGETHER):
                yield head, tail, self.offsets[at : min(at + _TOGETHER, last) + 1].astype(np.int64)

    def ranks(self, seed: int) -> Hashes:
        """A 64-bit hash of (seed, name) for each of the M names: that of its three strings, put together."""
        lengths = np.diff(self.offsets).astype(np.int64) - 1
        heads = self.starts + 2 * np.arange(len(self.starts))
        sizes = np.diff(self.starts, append=len(self))
        powers = _powers(int(lengths.max(initial=0)) + 1)
        hashes, after = _hashes(self.blob, self.offsets, powers), powers[lengths]
        head, tail, beside = hashes[heads] - after[heads], hashes[heads + 1] - after[heads + 1], after[heads]
        between = np.ones(len(lengths), np.bool_)
        between[heads] = between[heads + 1] = False
        found = hashes[between]  # each with the zero byte behind it, which counts as 1
        found *= np.repeat(beside, sizes)
        found += after[between] * np.repeat(beside * (tail - np.uint64(1)), sizes)
        found += np.repeat(head, sizes)
        return _mixed(found, seed)


def ranks(texts: Sequence[bytes], seed: int) -> Hashes:
    """A 64-bit hash of (seed, text) for each of M texts, which are not empty."""
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return _mixed(_hashes(b"".join(texts), offsets, _powers(max(map(len, texts), default=0))), seed)


def _powers(count: int) -> Hashes:
    powers: Hashes = np.power(_FACTOR, np.arange(count, dtype=np.uint64))
    return powers


def _hashes(blob: Blob, offsets: npt.NDArray[Any], powers: Hashes) -> Hashes:
    """Of each of the strings a polynomial of its bytes."""
    found = np.empty(len(offsets) - 1, np.uint64)
    for first in range(0, len(found), _TOGETHER):
        ends = offsets[first : first + _TOGETHER + 1].astype(np.int64)
        lengths = np.diff(ends)
        letters = np.frombuffer(blob, np.uint8, int(ends[-1] - ends[0]), int(ends[0])).astype(np.uint64)
        letters += np.uint64(1)
        letters *= powers[np.arange(len(letters)) - np.repeat(ends[:-1] - ends[0], lengths)]
        found[first : first + len(lengths)] = np.add.reduceat(letters, ends[:-1] - ends[0])
    return found


def _mixed(found: Hashes, seed: int) -> Hashes:
    """As SplitMix64 does."""
    found += np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found ^= found >> np.uint64(shift)
        found *= np.uint64(factor)
    found ^= found >> np.uint64(31)
    return found
