"""A table that names images and says what to learn from each becomes an index. No torch here.

CSV, TSV or JSON lines with a column of paths, relative to the file or to `data_root`, and target columns:
a class, numbers, or labels (in one column with a separator, or several of 0 and 1).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tui_trainer.data.index import Index, split
from tui_trainer.data.names import Names
from tui_trainer.data.table_file import Column, find_column, read_table
from tui_trainer.data.tables import complete_rows
from tui_trainer.data.targets import must_be_there, part_column, parts_of, read_targets, target_columns
from tui_trainer.data.walk import EXTENSIONS
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import DataError
from tui_trainer.text import display, user_path

PATH_WORDS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img")
MOSTLY = 0.9  # of the texts of a column of paths end like images


def path_column(columns: Sequence[Column], data: DataConfig, path: Path) -> Column | None:
    """The column that names images: given, called so, or full of such names; None: it is no manifest."""
    if data.path_column:
        return find_column(columns, data.path_column, "path_column", path)
    texts = [one for one in columns if one.texts and _names_images(one)]
    named = [one for one in texts if one.name.lower() in PATH_WORDS]
    return next(iter(named or texts), None)


def _names_images(column: Column) -> bool:
    images = sum(os.fsencode(text.strip()).lower().endswith(EXTENSIONS) for text in column.texts)
    return images >= MOSTLY * len(column.texts)


def scan(path: Path, columns: Sequence[Column], paths: Column, root: Path, data: DataConfig, seed: int) -> Index:
    """The images that a manifest names, split by its column of parts or as `val_fraction` says.

    Raises:
        DataError: a column is not there, or a value is missing.
        ConfigError: the targets and the task do not go together.
    """
    others = [one for one in columns if one is not paths]
    part = part_column(others, data, path)
    wanted, chosen = target_columns([one for one in others if one is not part], data, path)
    must = [paths, *must_be_there(wanted, data)]
    rows, warnings = complete_rows(must, must, data, path)
    targets = read_targets([one.take(rows) for one in wanted], data, path)
    names = [os.fsencode(text.strip()) for text in paths.take(rows).texts]
    if any(b"\0" in name for name in names):
        raise DataError(f"{display(path)}: a path in column {display(paths.name, 40)} holds a zero byte.")
    index = Index(
        root=root,
        names=Names.of(names),
        targets=targets.values,
        parts=np.zeros(len(rows), np.uint8) if part is None else parts_of(part.take(rows), path),
        classes=targets.classes,
        task=targets.task,
        task_reason=targets.reason,
        target_names=targets.names,
        chosen=chosen,
        warnings=tuple(warnings),
    )
    if part is not None:
        return index
    made, lonely = split(index, data.val_fraction, seed)
    return made if not lonely else _with_warnings(made, lonely)


def _with_warnings(index: Index, more: Sequence[str]) -> Index:
    from dataclasses import replace

    return replace(index, warnings=(*index.warnings, *more))


def scan_targets(folder: Path, data: DataConfig, seed: int) -> Index:
    """The images of a folder with the targets that another file gives for their paths."""
    path = user_path(data.targets)
    columns = read_table(path, data.header)
    paths = path_column(columns, data, path)
    if paths is None:
        raise DataError(f"{display(path)} has no column of image paths: name it with --path-column.")
    return scan(path, columns, paths, folder.resolve(), data, seed)
