"""What the pass over a stream has found, kept so that a later start need not make it: plans and counted targets.

An entry is of files that are as they were, by size, times and inode, and of the same columns, seed and fraction. A file
that changed just before could change again within one tick of its clock, unseen: of such no entry is kept, nor of a
query that asks for the day.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.data.plan import Plan
from tui_trainer.data.raw import RowSource
from tui_trainer.data.scan_cache import RACY, cache_folder, sweep
from tui_trainer.data.stream_columns import Chosen, Tally
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import DataError
from tui_trainer.whole_file import write_whole

VERSION = 1
WORTH_KEEPING = 0.3  # seconds; what took less is done again
MOVING = re.compile(r"(?i)\b(now|current_\w+|random\w*|date|time|datetime|julianday|unixepoch|strftime)\b")  # in SQL
_LENGTH = struct.Struct("<Q")
_CHECK = 16  # bytes of the hash at the begin


class PlanCache:
    """The entry of these sources, if they can be known again."""

    def __init__(
        self, sources: Sequence[RowSource], chosen: Chosen, data: DataConfig, seed: int, fraction: float
    ) -> None:
        self._began = time.time_ns()
        self._states = [source.state() for source in sources]
        asked: list[Any] = [VERSION, self._states, [type(source).__name__ for source in sources], data.query]
        asked += [data.order_key, chosen.targets, chosen.image, seed, fraction]
        name = hashlib.blake2b(json.dumps(asked).encode(), digest_size=12).hexdigest()
        self._path: Path | None = cache_folder() / f"{name}.plan"
        if data.follow or None in self._states or MOVING.search(data.query):
            self._path = None
        self._sources = sources

    def known(self, tally: Tally) -> tuple[Plan, ...] | None:
        """The plans, with `tally` as it was; None if there is no entry, or a damaged one."""
        if self._path is None:
            return None
        try:
            check, packed = _parted(self._path.read_bytes())
            if hashlib.blake2b(packed, digest_size=_CHECK).digest() != check:
                return None
            counted, *plans = _unpacked(packed)
            found = tuple(map(Plan.from_bytes, plans))
            if len(found) != len(self._sources):
                return None
            tally.restore(json.loads(counted))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error, DataError):
            return None
        with suppress(OSError):  # of another user, or on a disk that cannot be written
            os.utime(self._path)
        return found

    def keep(self, plans: Sequence[Plan], tally: Tally) -> None:
        """For a later start, if the files are as they were when the pass began and have been so for a while."""
        if self._path is None or time.time_ns() - self._began < WORTH_KEEPING * 1e9:
            return
        now = [source.state() for source in self._sources]
        newest = max(max(one[2:4]) for states in now for one in states or [("", 0, 2**63, 2**63, 0)])
        if now != self._states or newest > self._began - RACY:
            return
        packed = _packed([json.dumps(tally.to_dict()).encode(), *(plan.to_bytes() for plan in plans)])
        with suppress(OSError):  # a full disk, or a home without a cache, costs time only
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._path, hashlib.blake2b(packed, digest_size=_CHECK).digest() + packed)
            sweep(self._path.parent)


def _parted(whole: bytes) -> tuple[bytes, bytes]:
    return whole[:_CHECK], whole[_CHECK:]


def _packed(pieces: Sequence[bytes]) -> bytes:
    return b"".join(_LENGTH.pack(len(piece)) + piece for piece in pieces)


def _unpacked(packed: bytes) -> list[bytes]:
    pieces, at = [], 0
    while at < len(packed):
        (length,) = _LENGTH.unpack_from(packed, at)
        pieces.append(packed[at + _LENGTH.size : at + _LENGTH.size + length])
        at += _LENGTH.size + length
    return pieces
