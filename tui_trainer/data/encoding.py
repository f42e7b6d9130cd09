"""Columns of a table to the inputs of a model that is trained already, as its weight file says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.table_file import Column, column_texts, find_column
from tui_trainer.errors import DataError
from tui_trainer.text import display

NO_TEXT = "(missing)"


def encode_as(columns: Sequence[Column], encoding: Sequence[Mapping[str, Any]], path: Path) -> npt.NDArray[np.float32]:
    """Inputs (M, F): missing numbers filled as in training; a text that was not seen there is none of its texts.

    Raises:
        DataError: a column is not there, or holds texts where numbers were learned.
    """
    made: list[npt.NDArray[np.float32]] = []
    for one in encoding:
        column = find_column(columns, str(one["column"]), "features", path)
        if "categories" in one:
            made += [
                np.array([text == known for text in known_texts(column)], np.float32) for known in one["categories"]
            ]
        elif column.numbers is None:
            raise DataError(f"{display(path)}: column {display(column.name, 60)} holds texts; numbers were learned.")
        elif one["fill"] is None and column.missing.any():
            raise DataError(f"{display(path)}: column {display(column.name, 60)} lacks values; the model learned none.")
        else:
            made.append(np.where(column.missing, one["fill"] or 0.0, column.numbers).astype(np.float32))
    return np.stack(made, 1)


def known_texts(column: Column) -> list[str]:
    """What a column says in each row, and a word where it says nothing."""
    missing = column.missing.tolist()
    return [NO_TEXT if gone else text.strip() for text, gone in zip(column_texts(column), missing, strict=True)]
