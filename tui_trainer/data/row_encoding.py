"""Columns of a stream to inputs: decided on rows spread over it, then applied row by row. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tui_trainer.data.encoding import NO_TEXT
from tui_trainer.data.index import ColumnFacts
from tui_trainer.data.stream_columns import as_class, as_number
from tui_trainer.data.tables import MOST_TEXTS
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import DataError
from tui_trainer.text import display

MOSTLY = 0.9  # of the values of a column of numbers are numbers


def encoding_of(
    rows: Sequence[Mapping[str, Any]], features: Sequence[str], data: DataConfig, source: str
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """How each column becomes inputs, and what those are called.

    `fill` stands for a missing number; None: a row that lacks it is left out.

    Raises:
        DataError: a column holds too many texts, or nothing.
    """
    encoding: list[Mapping[str, Any]] = []
    names: list[str] = []
    for name in features:
        there = [row[name] for row in rows if row.get(name) not in (None, "")]
        numbers = [number for number in map(as_number, there) if number is not None]
        if not there:
            raise DataError(f"{display(source)}: column {display(name, 60)} has no value in the rows looked at.")
        if len(numbers) >= MOSTLY * len(there):
            encoding.append({"column": name, "fill": _fill(numbers, data.missing)})
            names.append(name)
            continue
        texts = {as_class(value) or NO_TEXT for value in there} | ({NO_TEXT} if len(there) < len(rows) else set())
        if len(texts) > MOST_TEXTS:
            raise DataError(
                f"{display(source)}: column {display(name, 60)} holds {len(texts):,} different texts, more than an "
                f"input may have ({MOST_TEXTS}); leave it out with --ignore-columns {display(name, 60)}."
            )
        encoding.append({"column": name, "categories": sorted(texts)})
        names += [f"{name}={text}" for text in sorted(texts)]
    return tuple(encoding), tuple(names)


def _fill(numbers: Sequence[float], missing: str) -> float | None:
    if missing not in ("mean", "median"):
        return None
    return float(np.mean(numbers) if missing == "mean" else np.median(numbers))


def encode_row(values: Mapping[str, Any], encoding: Sequence[Mapping[str, Any]]) -> list[float]:
    """The inputs (F,) of a row.

    Raises:
        ValueError: a number is missing or none.
    """
    made: list[float] = []
    for one in encoding:
        name = one["column"]
        value = values.get(name)
        if "categories" in one:
            text = NO_TEXT if value in (None, "") else as_class(value)
            made += [float(text == known) for known in one["categories"]]
            continue
        number = as_number(value)
        if number is None and value in (None, ""):
            number = one["fill"]
            if number is None:
                raise ValueError(f"lacks {display(name, 40)}")
        if number is None:
            raise ValueError(f"its {display(name, 40)} is {display(repr(value), 40)}, no number")
        made.append(number)
    return made


def facts_of(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], roles: Mapping[str, str]
) -> tuple[ColumnFacts, ...]:
    """What there is to say of each column, by rows spread over the stream."""
    return tuple(_fact([row.get(name) for row in rows], name, roles.get(name, "ignored")) for name in names)


def _fact(values: Sequence[Any], name: str, role: str) -> ColumnFacts:
    there = [value for value in values if value not in (None, "")]
    gone = len(values) - len(there)
    different = len({value if isinstance(value, str | bytes) else repr(value) for value in there})
    numbers = [number for number in map(as_number, there) if number is not None]
    if role == "image" or not numbers or len(numbers) < MOSTLY * len(there):
        kind = "image" if role == "image" else "text"
        return ColumnFacts(name=name, role="input" if role == "image" else role, kind=kind, missing=gone,
                           different=different)  # fmt: skip
    whole = all(number.is_integer() for number in numbers)
    return ColumnFacts(
        name=name, role=role, kind="whole number" if whole else "number", missing=gone, different=different,
        low=min(numbers), high=max(numbers),
    )  # fmt: skip
