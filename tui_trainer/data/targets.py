"""What is to be learned from the target columns of a table or a manifest: classes, numbers or labels. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.index import CLASSIFICATION, MULTILABEL, PARTS, REGRESSION, TEST, TRAIN, VAL
from tui_trainer.data.table_file import LIST, Column, find_column
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display

FEW_NUMBERS = 20  # different whole numbers that are taken as classes
TARGET_WORDS = ("target", "label", "class", "y", "labels", "targets", "category", "tags")
PART_WORDS = ("split", "part", "subset")
IN_PART = {"train": TRAIN, "training": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL, "test": TEST}
Chosen = tuple[tuple[str, Any, str], ...]  # setting, value, why


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets of M rows: (M,) int32 classes, (M, L) float32 labels, or (M, K) float32 numbers."""

    task: str
    reason: str
    values: npt.NDArray[Any]
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def target_columns(columns: Sequence[Column], data: DataConfig, path: Path) -> tuple[list[Column], Chosen]:
    """The columns that are given, else the one that is called like a target, else the last.

    Raises:
        DataError: there is no such column.
    """
    if data.target:
        return [find_column(columns, name, "target", path) for name in data.target], ()
    named = [one for word in TARGET_WORDS for one in columns if one.name.lower() == word]
    found = named[0] if named else columns[-1]
    why = "its name" if named else "the last column"
    return [found], (("target", (found.name,), why),)


def part_column(columns: Sequence[Column], data: DataConfig, path: Path) -> Column | None:
    """The column that says which part a row belongs to, if there is one."""
    if data.part_column:
        return find_column(columns, data.part_column, "part_column", path)
    for one in columns:
        if one.name.lower() in PART_WORDS and {text.strip().lower() for text in one.texts} <= set(IN_PART):
            return one
    return None


def parts_of(column: Column, path: Path) -> npt.NDArray[np.uint8]:
    """The part of each row (M,).

    Raises:
        DataError: a word is none of train, val, test, or a part has no rows.
    """
    words = [text.strip().lower() for text in column.texts] or ["a number"]
    unknown = next((word for word in words if word not in IN_PART), None)
    if unknown is not None:
        raise DataError(
            f"{display(path)}: column {display(column.name, 40)} holds {display(unknown, 40)}: "
            "a part is train, val or test."
        )
    parts = np.array([IN_PART[word] for word in words], dtype=np.uint8)
    if not (parts == VAL).any() and (parts == TEST).any():
        parts[parts == TEST] = VAL
    for part in (TRAIN, VAL):
        if not (parts == part).any():
            raise DataError(f"{display(path)}: column {display(column.name, 40)} has no row of {PARTS[part]}.")
    return parts


def must_be_there(wanted: Sequence[Column], data: DataConfig) -> list[Column]:
    """The target columns of which no value may be missing: no label at all is a row of its own right."""
    return [] if data.label_separator or data.task == MULTILABEL else list(wanted)


def read_targets(columns: Sequence[Column], data: DataConfig, path: Path) -> Targets:
    """What the target columns say; every value is there.

    Raises:
        ConfigError: the task that is asked for does not go with them.
        DataError: there is nothing to tell apart.
    """
    task, reason = _task(columns, data)
    if task == MULTILABEL:
        return _labels(columns, data, reason, path)
    if task == REGRESSION:
        texts = [one for one in columns if one.numbers is None]
        if texts:
            raise ConfigError(
                f"task = regression: column {display(texts[0].name, 40)} of {display(path)} holds texts such as "
                f"{display(texts[0].texts[0], 40)}, not numbers."
            )
        values = np.stack([one.numbers for one in columns if one.numbers is not None], 1).astype(np.float32)
        return Targets(task=task, reason=reason, values=values, names=tuple(one.name for one in columns))
    if len(columns) > 1:
        raise ConfigError("task = classification has one target column; several 0/1 columns are --task multilabel.")
    return _classes(columns[0], reason, path)


def _task(columns: Sequence[Column], data: DataConfig) -> tuple[str, str]:
    """The task, and why."""
    if data.task is not None:
        return data.task, "given"
    first = columns[0]
    if data.label_separator or any(LIST in text for text in first.texts):
        return MULTILABEL, "the target column holds several labels"
    if len(columns) > 1:
        if all(_are_flags(one) for one in columns):
            return MULTILABEL, f"{len(columns)} target columns of 0 and 1"
        return REGRESSION, f"{len(columns)} target columns of numbers"
    name = display(first.name, 40)
    if first.numbers is None:
        return CLASSIFICATION, f"{name} holds texts"
    different = np.unique(first.numbers)
    if len(different) <= FEW_NUMBERS and np.array_equal(different, np.round(different)):
        return CLASSIFICATION, f"{name} has {len(different)} different whole numbers"
    return REGRESSION, f"{name} has {len(different):,} different numbers"


def _are_flags(column: Column) -> bool:
    return column.numbers is not None and bool(np.isin(column.numbers, (0.0, 1.0)).all())


def _classes(column: Column, reason: str, path: Path) -> Targets:
    if column.numbers is not None:
        found, values = np.unique(column.numbers, return_inverse=True)
        names = tuple(f"{value:.10g}" for value in found.tolist())
    else:
        names = tuple(sorted({text.strip() for text in column.texts}))
        number = {name: i for i, name in enumerate(names)}
        values = np.array([number[text.strip()] for text in column.texts])
    if len(names) < 2:
        raise DataError(
            f"{display(path)}: column {display(column.name, 40)} holds one class only, {display(names[0], 40)}: "
            "a classifier needs two or more."
        )
    return Targets(task=CLASSIFICATION, reason=reason, values=values.astype(np.int32), classes=names)


def _labels(columns: Sequence[Column], data: DataConfig, reason: str, path: Path) -> Targets:
    if len(columns) > 1 or _are_flags(columns[0]):
        odd = next((one for one in columns if not _are_flags(one)), None)
        if odd is not None:
            raise ConfigError(f"task = multilabel: column {display(odd.name, 40)} holds more than 0 and 1.")
        values = np.stack([one.numbers for one in columns if one.numbers is not None], 1).astype(np.float32)
        return Targets(task=MULTILABEL, reason=reason, values=values, classes=tuple(one.name for one in columns))
    if columns[0].numbers is not None:
        raise ConfigError(f"task = multilabel: column {display(columns[0].name, 40)} holds numbers, not labels.")
    texts = columns[0].texts
    given = [[label.strip() for label in _split(text, data.label_separator) if label.strip()] for text in texts]
    names = tuple(sorted({label for labels in given for label in labels}))
    if not names:
        raise DataError(f"{display(path)}: column {display(columns[0].name, 40)} holds no label.")
    number = {name: i for i, name in enumerate(names)}
    values = np.zeros((len(texts), len(names)), np.float32)
    for row, labels in enumerate(given):
        values[row, [number[label] for label in labels]] = 1.0
    return Targets(task=MULTILABEL, reason=reason, values=values, classes=names)


def _split(text: str, separator: str) -> list[str]:
    return text.split(LIST) if LIST in text else text.split(separator or "|")
