"""Streams to learn from: a database, sharded tar, JSON lines. No torch here.

One pass over keys and targets plans the blocks and counts the targets; then rows spread over the stream say how columns
become inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tui_trainer.data.index import CLASSIFICATION, PARTS, PLANS, TARGETS, TRAIN, VAL, Index, Stream
from tui_trainer.data.json_lines import ENDINGS as LINES
from tui_trainer.data.json_lines import JsonLines
from tui_trainer.data.names import Names
from tui_trainer.data.plan import Plan, Planner, parts_of
from tui_trainer.data.plan_cache import PlanCache
from tui_trainer.data.raw import RowSource, Walked
from tui_trainer.data.row_encoding import encoding_of, facts_of
from tui_trainer.data.sql import Database, is_database
from tui_trainer.data.stream_columns import Chosen, Tally, choose, missing
from tui_trainer.data.stream_files import SEVERAL, UnreadableError, ends_with, is_remote
from tui_trainer.data.stream_rows import spread_rows, understood
from tui_trainer.data.tar_shards import ENDINGS as TARS
from tui_trainer.data.tar_shards import TarShards
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

FIRST = 200  # rows that decide which column is what
SPREAD = 4096  # rows that decide how columns become inputs
AT_A_TIME = 1024  # rows that are counted together
LARGE = 1 << 30  # bytes of JSON lines that are not loaded whole


def is_stream(source: str, asked: bool | None = None) -> bool:
    """Whether `source` is one; JSON lines are a table that is loaded whole unless asked for, several or very large."""
    if is_database(source) or ends_with(source, TARS):
        return True
    if not ends_with(source, LINES):
        return False
    if asked is not None:
        return asked
    path = user_path(source)
    several = is_remote(source) or ends_with(source, (".gz",)) or bool(SEVERAL.search(source)) or "*" in source
    return several or (path.is_file() and path.stat().st_size > LARGE)


def open_rows(source: str, data: DataConfig) -> RowSource:
    """The rows of a source.

    Raises:
        ConfigError: its library is missing, or a setting.
        DataError: it is not there.
    """
    if is_database(source):
        return Database(source, data.query, data.order_key)
    if data.query or data.order_key:
        raise ConfigError("query and order_key are for databases: leave them out.")
    return TarShards(source) if ends_with(source, TARS) else JsonLines(source)


def scan(data: DataConfig, seed: int, folder: Path | None = None) -> Index:
    """The parts of a stream; `folder` is that of a run which goes on with the plan it began with.

    Raises:
        ConfigError: settings do not go together.
        DataError: there is nothing to learn from.
    """
    if data.part_column or data.label_separator:
        raise ConfigError("A stream is split by a hash of its keys and has one target a row: leave out part_column, "
                          "label_separator.")  # fmt: skip
    if data.follow and not (data.val_data and ends_with(data.data, LINES[:2])):
        raise ConfigError("follow reads a growing file of JSON lines: give that, and --val-data to validate on.")
    sources = [open_rows(source, data) for source in (data.data, data.val_data) if source]
    key = sources[0].key if isinstance(sources[0], Database) else ""
    rows = _first_rows(sources[0])
    chosen = choose(rows, data, data.data, key)
    tally = Tally(len(chosen.targets), data.max_bad)
    fraction = 0.0 if len(sources) > 1 else data.val_fraction
    kept = PlanCache(sources, chosen, data, seed, fraction)
    plans = kept.known(tally) if folder is None else _of_run(folder, tally, len(sources))
    if plans is None:
        each = _row_bytes(rows) if isinstance(sources[0], Database) else 0.0
        plans = tuple(
            _planned(source, chosen, tally, seed, fraction, number, _saved(folder, number), each)
            for number, source in enumerate(sources)
        )
        if folder is None:
            kept.keep(plans, tally)
    index = _index(data, seed, tuple(sources), plans, chosen, tally, fraction)
    for source in sources:
        source.close()
    return index


def _of_run(folder: Path | None, tally: Tally, count: int) -> tuple[Plan, ...] | None:
    """The plans that a run began with, and what it counted; None of a run that has not kept that.

    Raises:
        DataError: a plan is damaged.
    """
    plans = [_saved(folder, number) for number in range(count)]
    if folder is None or None in plans:
        return None
    try:
        tally.restore(json.loads((folder / TARGETS).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return tuple(plan for plan in plans if plan is not None)


def _row_bytes(rows: Sequence[Mapping[str, Any]]) -> float:
    """What a row takes, about."""
    sizes = [len(value) if isinstance(value, str | bytes) else 32 for row in rows for value in row.values()]
    return sum(sizes) / len(rows)


def _saved(folder: Path | None, number: int) -> Plan | None:
    path = folder / PLANS[number] if folder is not None else None
    return Plan.from_bytes(path.read_bytes()) if path is not None and path.is_file() else None


def _first_rows(source: RowSource) -> list[Mapping[str, Any]]:
    """Enough to tell which column is what.

    Raises:
        DataError: there are none.
    """
    rows: list[Mapping[str, Any]] = []
    reason = ""
    walk = source.walk()
    for one in walk:
        if one.values is not None:
            rows.append(one.values)
        reason = reason or f"{display(one.name, 80)}: {one.reason}" * bool(one.reason)
        if len(rows) == FIRST:
            break
    walk.close()  # type: ignore[attr-defined]
    if not rows:
        why = f" ({reason})" if reason else ""
        raise DataError(f"{source} has no {source.unit} that can be read{why}.")
    return rows


def _planned(
    source: RowSource, chosen: Chosen, tally: Tally, seed: int, fraction: float, number: int, saved: Plan | None,
    row_bytes: float,
) -> Plan:  # fmt: skip
    """The plan of a source, whose targets are counted on the way; of one that is known, the rows it knows."""
    planner = Planner(row_bytes)
    wanted = (*chosen.targets, *((chosen.image,) if chosen.image and source.unit != "rows" else ()))
    known = _within(source, chosen, saved) if saved is not None else source.walk(chosen.targets)
    for some in _chunks(known):
        parts = parts_of([one.name for one in some], seed, fraction).tolist()
        for one, part in zip(some, parts, strict=True):
            if one.place is not None:
                planner.add(one.place, part)
            reason = one.reason or missing(one.values or {}, wanted)
            if not reason and one.values is not None:
                values = [one.values[name] for name in chosen.targets]
                reason = tally.add(values, VAL if number else part, one.name)
            if reason:
                planner.bad(one.name, reason)
    return saved if saved is not None else planner.plan()


def _within(source: RowSource, chosen: Chosen, plan: Plan) -> Iterator[Walked]:
    """The rows of a plan that was made before."""
    del chosen
    for block in range(len(plan)):
        try:
            rows = source.read(plan, block)
        except UnreadableError as error:
            yield Walked(None, b"block %d" % block, None, str(error))
            continue
        for raw in rows:
            yield understood(source, raw)


def _chunks(rows: Iterator[Walked]) -> Iterator[list[Walked]]:
    some: list[Walked] = []
    for one in rows:
        some.append(one)
        if len(some) == AT_A_TIME:
            yield some
            some = []
    yield some


def _index(
    data: DataConfig, seed: int, sources: tuple[RowSource, ...], plans: tuple[Plan, ...], chosen: Chosen, tally: Tally,
    fraction: float,
) -> Index:  # fmt: skip
    name = chosen.targets[0]
    task, why = tally.task(data, name)
    classes = tally.classes(name, data.data) if task == CLASSIFICATION else ()
    counts = tuple(tuple(tally.different[part][one] for one in classes) for part in range(len(PARTS)))
    stream = Stream(
        sources=sources, plans=plans, chosen=chosen, base=data.data_root or str(sources[0].base), val_fraction=fraction,
        seed=seed, counts=counts, target_moments=tally.moments(), follow=data.follow,
        counted=json.dumps(tally.to_dict()),
    )  # fmt: skip
    for part in (TRAIN, VAL):
        if not stream.size(part):
            raise DataError(f"{display(data.data)} has too few {sources[0].unit}: none for {PARTS[part]}.")
    rows = tuple(islice(spread_rows(stream, FIRST if chosen.image else SPREAD), SPREAD))
    encoding, names = ((), ()) if chosen.image else encoding_of(rows, chosen.features, data, data.data)
    columns = tuple(dict.fromkeys(one for row in rows for one in row))
    roles = dict.fromkeys(chosen.features, "input") | dict.fromkeys(chosen.targets, "target")
    facts = facts_of(rows, columns, {**roles, chosen.image: "image"})
    looked_at = tuple({name: row.get(name) for name in (*chosen.features, *chosen.targets)} for row in rows)
    size = _row_bytes(rows) if rows else 0.0
    stream = replace(stream, names=names, encoding=encoding, facts=facts, looked_at=looked_at, row_bytes=size)
    given: tuple[tuple[str, Any, str], ...] = () if data.target else (("target", chosen.targets, chosen.why),)
    if data.stream is None and isinstance(sources[0], JsonLines):
        given += (("stream", True, "several files, packed, remote or large"),)
    return Index(
        root=Path(data.data) if is_remote(data.data) else user_path(data.data),
        names=Names.of([]),
        targets=np.zeros((0,) if classes else (0, len(chosen.targets)), np.int32 if classes else np.float32),
        parts=np.zeros(0, np.uint8),
        classes=classes,
        task=task,
        task_reason=why,
        unit=sources[0].unit,
        target_names=() if classes else chosen.targets,
        inputs=stream,
        chosen=given,
        content=_content(plans, data, seed, fraction),
        warnings=tuple(_warnings(plans, tally)),
    )


def agreed(index: Index, by_first: Callable[[Any], Any]) -> Index:
    """The same for all ranks: of a stream the plan of the first, for rows may come while each makes its own."""
    stream = index.inputs
    if not isinstance(stream, Stream):
        return index
    names = ("counts", "encoding", "names", "looked_at", "target_moments")
    plans = tuple(plan.to_bytes() for plan in stream.plans)
    said = by_first((plans, index.content, index.classes, {name: getattr(stream, name) for name in names}))
    if said[1] == index.content:
        return index
    plans, content, classes, others = said
    stream = replace(stream, plans=tuple(map(Plan.from_bytes, plans)), **others)
    return replace(index, inputs=stream, content=content, classes=classes)


def _content(plans: Sequence[Plan], data: DataConfig, seed: int, fraction: float) -> bytes:
    """What must be the same to go on: the blocks, and which rows are held out."""
    digest = hashlib.sha256(json.dumps([data.query, data.order_key, seed, fraction]).encode())
    for plan in plans:
        for array in (plan.file, plan.start, plan.end, plan.first, plan.rows):
            digest.update(array.tobytes())
        digest.update(repr(plan.keys).encode())
    return digest.digest()


def _warnings(plans: Sequence[Plan], tally: Tally) -> Iterator[str]:
    bad = sum(plan.bad_count for plan in plans)
    if bad:
        name, reason = next(one for plan in plans for one in plan.bad)
        yield f"{bad:,} rows cannot be used, the first {display(name, 80)}: {reason}."
    if tally.texts and not tally.of_texts:
        yield f"{tally.texts:,} rows have a target that is no number, the first {display(tally.odd[0], 80)}."
