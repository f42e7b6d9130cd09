"""A table of numbers and texts becomes an index of rows: encoded, filled, split. No torch here.

Numbers stay as they are, a column of texts becomes one column of 0 and 1 for each different text.
What a missing value becomes is measured on the training part. Letters: M rows, F inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_trainer.data.encoding import known_texts
from tui_trainer.data.index import TRAIN, VAL, ColumnFacts, Index, Rows, split
from tui_trainer.data.names import Names
from tui_trainer.data.table_file import Column, column_texts, find_column, read_table
from tui_trainer.data.targets import must_be_there, part_column, parts_of, read_targets, target_columns
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

MOST_TEXTS = 100  # different texts of an input column, each of which becomes an input
Parts = npt.NDArray[np.uint8]


def scan(path: Path, columns: list[Column], data: DataConfig, seed: int) -> Index:
    """The rows of a table, with those of `val_data` as the validation part if there is one.

    Raises:
        DataError: it cannot be read, a column is not there, or values are missing and may not be.
        ConfigError: the columns and the settings do not go together.
    """
    own_rows = len(columns[0])
    if data.val_data:
        columns = _with_rows(columns, read_table(user_path(data.val_data), data.header), data.val_data)
    return index_of(columns, own_rows, path, data, seed)


def _with_rows(columns: Sequence[Column], more: Sequence[Column], val_data: str) -> list[Column]:
    by_name = {one.name: one for one in more}
    lacking = next((one.name for one in columns if one.name not in by_name), None)
    if lacking is not None:
        raise DataError(f"{display(val_data)} has no column {display(lacking, 60)}, which the training table has.")
    return [_joined(one, by_name[one.name]) for one in columns]


def _joined(one: Column, other: Column) -> Column:
    if one.numbers is not None and other.numbers is not None:
        return Column(name=one.name, numbers=np.concatenate([one.numbers, other.numbers]))
    return Column(name=one.name, texts=(*column_texts(one), *column_texts(other)))


def index_of(columns: Sequence[Column], own_rows: int, path: Path, data: DataConfig, seed: int) -> Index:
    """The rows of a table that is read; those after the first `own_rows` are the validation part."""
    wanted, chosen = target_columns(columns, data, path)
    part = part_column(columns, data, path)
    inputs = _input_columns(columns, wanted, part, data, path)
    must = must_be_there(wanted, data)
    rows, warnings = complete_rows([*inputs, *must], must, data, path)
    facts = _facts(columns, wanted, part, inputs)
    targets = read_targets([one.take(rows) for one in wanted], data, path)
    names = [str(i + 1).encode() for i in rows.tolist()]
    given: Parts | None = None
    if own_rows < len(columns[0]):
        given = np.where(rows < own_rows, TRAIN, VAL).astype(np.uint8)
    elif part is not None:
        given = parts_of(part.take(rows), path)
    base = Index(
        root=path,
        names=Names.of(names),
        targets=targets.values,
        parts=np.zeros(len(rows), np.uint8) if given is None else given,
        classes=targets.classes,
        task=targets.task,
        task_reason=targets.reason,
        target_names=targets.names,
        unit="rows",
        chosen=chosen,
        warnings=tuple(warnings),
    )
    index = base if given is not None else _split(base, data, seed)
    encoded = _encode([one.take(rows) for one in inputs], index.parts == TRAIN, data, path)
    encoded = replace(encoded, facts=facts)
    content = hashlib.sha256(encoded.features.tobytes()).digest()
    return replace(index, inputs=encoded, content=content)


def _split(index: Index, data: DataConfig, seed: int) -> Index:
    made, lonely = split(index, data.val_fraction, seed)
    return replace(made, warnings=(*made.warnings, *lonely))


def _input_columns(
    columns: Sequence[Column], wanted: Sequence[Column], part: Column | None, data: DataConfig, path: Path
) -> list[Column]:
    """The columns to learn from: those named, or all but the target, the part and those to ignore."""
    ignored = [find_column(columns, name, "ignore_columns", path) for name in data.ignore_columns]
    given = [find_column(columns, name, "features", path) for name in data.features]
    both = next((one for one in given if one in wanted), None)
    if both is not None:
        raise ConfigError(f"features names {display(both.name, 60)}, which is the target: leave it out.")
    left_out = {one.name for one in (*wanted, *ignored, *([part] if part else []))}
    inputs = given or [one for one in columns if one.name not in left_out]
    if not inputs:
        raise DataError(f"{display(path)} has no column besides the target: there is nothing to learn from.")
    for one in inputs:
        texts = len(set(one.texts))
        if texts > MOST_TEXTS:
            raise DataError(
                f"{display(path)}: column {display(one.name, 60)} holds {texts:,} different texts, more than an input "
                f"may have ({MOST_TEXTS}); leave it out with --ignore-columns {display(one.name, 60)}."
            )
    return inputs


def complete_rows(
    used: Sequence[Column], wanted: Sequence[Column], data: DataConfig, path: Path
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The rows that are kept, and what to say of the others.

    Raises:
        DataError: values are missing and `missing` refuses them, or no row is left.
    """
    total = len(used[0])
    gaps = {one.name: one.missing for one in used}
    holes = {name: int(missing.sum()) for name, missing in gaps.items() if missing.any()}
    if holes and data.missing == "refuse":
        listed = ", ".join(f"{display(name, 40)} ({count})" for name, count in list(holes.items())[:5])
        raise DataError(
            f"{display(path)} lacks values in {listed}: choose --missing drop (leave such rows out), mean or median."
        )
    must = used if data.missing == "drop" else wanted
    whole = ~np.any([np.zeros(total, bool), *(gaps[one.name] for one in must)], axis=0)
    left_out = total - int(whole.sum())
    if left_out == total:
        raise DataError(f"{display(path)}: no row has all its values; choose --missing mean or median.")
    why = "a value" if data.missing == "drop" else "the target"
    return np.flatnonzero(whole), [f"{left_out} of {total} rows lack {why} and are left out."] if left_out else []


def _encode(inputs: Sequence[Column], in_train: npt.NDArray[np.bool_], data: DataConfig, path: Path) -> Rows:
    """Columns to inputs (M, F) float32."""
    made: list[npt.NDArray[np.float32]] = []
    names: list[str] = []
    encoding: list[dict[str, object]] = []
    for one in inputs:
        if one.numbers is not None:
            known = one.numbers[in_train & ~one.missing]
            if not len(known):
                raise DataError(f"{display(path)}: column {display(one.name, 60)} has no value in the training part.")
            fill = float(np.median(known) if data.missing == "median" else np.mean(known))
            made.append(np.where(one.missing, fill, one.numbers).astype(np.float32))
            names.append(one.name)
            encoding.append({"column": one.name, "fill": fill})
            continue
        texts = known_texts(one)
        categories = sorted(set(texts))
        made += [np.array([text == category for text in texts], np.float32) for category in categories]
        names += [f"{one.name}={category}" for category in categories]
        encoding.append({"column": one.name, "categories": categories})
    return Rows(features=np.stack(made, 1), names=tuple(names), encoding=tuple(encoding))


def _facts(
    columns: Sequence[Column], wanted: Sequence[Column], part: Column | None, inputs: Sequence[Column]
) -> tuple[ColumnFacts, ...]:
    """What there is to say of each column of the file."""
    roles = {one.name: "input" for one in inputs} | {one.name: "target" for one in wanted}
    if part is not None:
        roles[part.name] = "part"
    return tuple(_fact(one, roles.get(one.name, "ignored")) for one in columns)


def _fact(column: Column, role: str) -> ColumnFacts:
    missing = column.missing
    if column.numbers is None:
        texts = {text.strip() for text, gone in zip(column.texts, missing.tolist(), strict=True) if not gone}
        return ColumnFacts(name=column.name, role=role, kind="text", missing=int(missing.sum()), different=len(texts))
    known = column.numbers[~missing]
    whole = bool(np.array_equal(known, np.round(known)))
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    return ColumnFacts(
        name=column.name,
        role=role,
        kind="whole number" if whole else "number",
        missing=int(missing.sum()),
        different=len(np.unique(known)),
        low=low,
        high=high,
    )
