"""Rows of a planned stream: those of a block, and some that are spread over it. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tui_trainer.data.index import TRAIN, Stream
from tui_trainer.data.plan import parts_of
from tui_trainer.data.raw import Raw, RowSource, Walked
from tui_trainer.data.stream_files import UnreadableError
from tui_trainer.errors import DataError


def understood(source: RowSource, raw: Raw) -> Walked:
    """What a row says, or why it says nothing."""
    try:
        return Walked(None, raw.name, source.values(raw.data), "")
    except ValueError as error:
        return Walked(None, raw.name, None, str(error))


def spread_rows(stream: Stream, most: int) -> Iterator[Mapping[str, Any]]:
    """What about `most` training rows say, of blocks that are spread evenly.

    Raises:
        DataError: none can be read.
    """
    source, found = stream.source, 0
    for one in (understood(source, raw) for raw in spread_raws(stream, most)):
        if one.values is not None:
            found += 1
            yield one.values
    if not found:
        raise DataError(f"{source}: none of the {source.unit} looked at can be understood.")


def spread_raws(stream: Stream, most: int, turn: int = 0) -> Iterator[Raw]:
    """About `most` training rows, of blocks that are spread evenly; of others for another `turn`.

    Raises:
        DataError: none can be read.
    """
    source, plan, column = stream.origin(TRAIN)
    blocks = np.flatnonzero(plan.rows[:, column])
    each = max(1.0, float(plan.rows[blocks, column].mean()))
    if len(blocks) * each > most:
        places = np.linspace(0, len(blocks) - 1, max(1, int(most / each))).astype(np.int64)
        blocks = blocks[(places + turn) % len(blocks)]
    found, reason = 0, ""
    for block in blocks.tolist():
        try:
            raws = rows_of(stream, TRAIN, block)
        except UnreadableError as error:
            reason = f" ({error})"
            continue
        found += len(raws)
        yield from raws
    source.close()
    if not found:
        raise DataError(f"{source}: none of the {source.unit} looked at can be read{reason}.")


def rows_of(stream: Stream, part: int, block: int, lane: int = 0) -> list[Raw]:
    """The rows of a block that belong to a part.

    Raises:
        UnreadableError: the block cannot be read.
    """
    source, plan, column = stream.origin(part)
    rows = source.read(plan, block, lane)
    if len(stream.sources) > 1 or not stream.val_fraction:
        return rows
    parts = parts_of([raw.name for raw in rows], stream.seed, stream.val_fraction).tolist()
    return [raw for raw, of in zip(rows, parts, strict=True) if of == column]
