"""A stream as blocks of rows, planned once: where each begins and ends and how many rows of each part it holds.

No torch here. The plan is all that is kept of a source, a few numbers for each block of up to 256 rows, so that memory
does not grow with it. It is frozen for the run: what is added behind its end later is not seen, and a row that is put
in between belongs to the block around it. Letters: K blocks.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.index import TRAIN, VAL
from tui_trainer.data.names import ranks
from tui_trainer.errors import DataError

ROWS, BYTES = 256, 1 << 20  # of a block at most
FIRST_ROWS, MOST = 16, 1024  # rows of a block at first; so many blocks are too many, and pairs of them become one
ARRAYS = ("file", "start", "end", "first", "rows")
KEPT = 1000  # bad rows that are named in a report

_TAGGED: dict[str, tuple[type, Any, Any]] = {
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """K blocks. `file`, `start`, `end`: the bytes of a block; `keys`: its last key, for a database."""

    file: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]  # number of its first row
    rows: npt.NDArray[np.int64]  # (K, 2), of the training and the validation part
    keys: tuple[Any, ...] = ()
    bad: tuple[tuple[bytes, str], ...] = ()  # rows that cannot be used, the first of them
    bad_count: int = 0

    def __len__(self) -> int:
        return len(self.file)

    def size(self, part: int) -> int:
        """Rows of a part."""
        return int(self.rows[:, part].sum()) if part < self.rows.shape[1] else 0

    def to_bytes(self) -> bytes:
        """For a file."""
        words = {
            "keys": [_tagged(key) for key in self.keys],
            "bad": [(name.decode("utf-8", "surrogateescape"), reason) for name, reason in self.bad],
            "bad_count": self.bad_count,
        }
        packed = io.BytesIO()
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        np.savez(packed, words=text, **{f"of_{name}": getattr(self, name) for name in ARRAYS})
        return packed.getvalue()

    @classmethod
    def from_bytes(cls, packed: bytes) -> Plan:
        """From a file.

        Raises:
            DataError: it is damaged.
        """
        try:
            found = dict(np.load(io.BytesIO(packed), allow_pickle=False))
            words = json.loads(found.pop("words").tobytes())
            return cls(
                **{name: found[f"of_{name}"] for name in ARRAYS},
                keys=tuple(_untagged(key) for key in words["keys"]),
                bad=tuple((name.encode("utf-8", "surrogateescape"), reason) for name, reason in words["bad"]),
                bad_count=words["bad_count"],
            )
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"The plan of the stream is damaged ({error}): start a new run.") from None


def _tagged(key: Any) -> Any:
    for tag, (kind, to_text, _) in _TAGGED.items():
        if isinstance(key, kind):
            return {tag: to_text(key)}
    return key


def _untagged(key: Any) -> Any:
    if isinstance(key, dict):
        ((tag, text),) = key.items()
        return _TAGGED[tag][2](text)
    return key


@dataclass(kw_only=True)
class _Block:
    file: int
    start: int
    end: int
    first: int
    rows: list[int]
    key: Any

    def __len__(self) -> int:
        return sum(self.rows)


@dataclass(frozen=True)
class Place:
    """Where a row stands: its file, its bytes, its number, its key in a database."""

    file: int
    start: int
    end: int
    number: int
    key: Any = None


class Planner:
    """Rows one after another to blocks, in memory that grows with their number only."""

    def __init__(self, row_bytes: float = 0.0) -> None:
        """`row_bytes`: what a row of a database takes, about, whose bytes no place tells."""
        self._most = max(1, min(ROWS, int(BYTES / row_bytes))) if row_bytes else ROWS
        self._size = min(FIRST_ROWS, self._most)
        self._blocks: list[_Block] = []
        self._bad: list[tuple[bytes, str]] = []
        self._bad_count = 0

    def add(self, place: Place, part: int) -> None:
        """The next row, usable or not."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or not self._fits(last, place):
            last = _Block(file=place.file, start=place.start, end=place.end, first=place.number, rows=[0, 0], key=None)
            self._blocks.append(last)
            if len(self._blocks) > MOST and self._size < self._most:
                self._size = min(2 * self._size, self._most)
                self._blocks = _in_pairs(self._blocks, self._size)
                last = self._blocks[-1]
        last.end, last.key = place.end, place.key
        last.rows[part] += 1

    def bad(self, name: bytes, reason: str) -> None:
        """A row that is of no use, or all that is left of a file."""
        self._bad_count += 1
        if len(self._bad) < KEPT:
            self._bad.append((name, reason))

    def plan(self) -> Plan:
        """The blocks of all rows."""
        blocks = self._blocks
        return Plan(
            file=np.array([one.file for one in blocks], np.int64),
            start=np.array([one.start for one in blocks], np.int64),
            end=np.array([one.end for one in blocks], np.int64),
            first=np.array([one.first for one in blocks], np.int64),
            rows=np.array([one.rows for one in blocks], np.int64).reshape(len(blocks), 2),
            keys=tuple(one.key for one in blocks) if blocks and blocks[0].key is not None else (),
            bad=tuple(self._bad),
            bad_count=self._bad_count,
        )

    def _fits(self, last: _Block, place: Place) -> bool:
        whole = last.file == place.file and len(last) < self._size
        return whole and place.end - last.start <= max(BYTES, last.end - last.start)


def _in_pairs(blocks: Sequence[_Block], most: int) -> list[_Block]:
    joined: list[_Block] = []
    for one in blocks:
        last = joined[-1] if joined else None
        fits = last is not None and last.file == one.file and len(last) + len(one) <= most
        if last is None or not fits or one.end - last.start > BYTES:
            joined.append(one)
        else:
            last.end, last.key = one.end, one.key
            last.rows = [a + b for a, b in zip(last.rows, one.rows, strict=True)]
    return joined


def parts_of(names: Sequence[bytes], seed: int, val_fraction: float) -> npt.NDArray[np.uint8]:
    """The part of each row: a hash of (seed, its name) below `val_fraction` is validation."""
    if not val_fraction or not names:
        return np.full(len(names), TRAIN, np.uint8)
    hashes = ranks(names, seed)
    return np.where(hashes < np.uint64(val_fraction * 2**64), VAL, TRAIN).astype(np.uint8)
