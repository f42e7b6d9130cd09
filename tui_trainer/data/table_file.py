"""Tables in files: CSV and TSV (dialect and header found out), JSON lines, NPY and NPZ, as columns. No torch here.

A column is numbers, with NaN where a value is missing, or texts, with "" there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_trainer.errors import DataError
from tui_trainer.text import display

TEXT_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
ARRAYS = (".npy", ".npz")
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
SNIFFED = 65536  # characters from which the dialect is found out
DELIMITERS = ",\t;|"
LIST = "\x1f"  # between the items of a JSON list
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of M values: `numbers` (M,), or `texts` where one of them is none."""

    name: str
    numbers: Floats | None = None
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts) if self.numbers is None else len(self.numbers)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Where there is no value (M,)."""
        if self.numbers is not None:
            return ~np.isfinite(self.numbers)
        return np.array([text.strip().lower() in MISSING for text in self.texts], dtype=bool)

    def take(self, rows: npt.NDArray[np.int64]) -> Column:
        """The same column of some rows."""
        if self.numbers is not None:
            return Column(name=self.name, numbers=self.numbers[rows])
        return Column(name=self.name, texts=tuple(self.texts[i] for i in rows.tolist()))


def read_table(path: Path, header: bool | None = None) -> list[Column]:
    """The columns of a file; `header`: whether its first row names them, None: found out.

    Raises:
        DataError: it cannot be read, is empty, or its rows are of different lengths.
    """
    try:
        if path.suffix.lower() in ARRAYS:
            return _arrays(path)
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise DataError(f"Cannot read {display(path)}: {error.strerror or error}.") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(text, path)
    return _delimited(text, path, header)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")  # a path in it need not be UTF-8


def _delimited(text: str, path: Path, header: bool | None) -> list[Column]:
    dialect: type[csv.Dialect] = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    try:
        if path.suffix.lower() != ".tsv":
            dialect = csv.Sniffer().sniff(text[:SNIFFED], DELIMITERS)
            dialect.doublequote = True
    except csv.Error:
        pass  # one column, or a table of commas that is too odd to be sure
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), dialect) if row]
    except csv.Error as error:
        raise DataError(f"{display(path)} is not a table of text: {display(error)}.") from None
    if not rows:
        raise DataError(f"{display(path)} is empty: it has no rows.")
    named = names_columns(rows) if header is None else header
    names = [cell.strip() for cell in rows[0]] if named else [f"column {i + 1}" for i in range(len(rows[0]))]
    body = rows[1:] if named else rows
    if not body:
        raise DataError(f"{display(path)} has a header and no rows below it.")
    for number, row in enumerate(body, 1 + named):
        if len(row) != len(names):
            raise DataError(f"{display(path)}: row {number} has {len(row)} cells and the first one {len(names)}.")
    _require_different(names, path)
    return [column(name, cells) for name, cells in zip(names, zip(*body, strict=True), strict=True)]


def names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is a header.

    All its cells are words, and below one of them stand numbers, or the words are those that headers have.
    """
    first = [cell.strip() for cell in rows[0]]
    if not all(first) or any(_is_number(cell) for cell in first) or len(rows) < 2:
        return False
    below = rows[1 : 1 + 100]
    numeric = any(all(_is_number(row[i]) for row in below if i < len(row) and row[i]) for i in range(len(first)))
    return numeric or bool(HEADER_WORDS & {cell.lower() for cell in first})


HEADER_WORDS = frozenset(
    ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img", "label", "labels", "class",
     "target", "targets", "y", "split", "part", "subset", "id", "name", "tags", "category")
)  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def column(name: str, cells: Sequence[str]) -> Column:
    """A column of texts, as numbers if each of them is one or missing."""
    plain = ["nan" if cell.strip().lower() in MISSING else cell for cell in cells]
    try:
        numbers = np.array(plain).astype(np.float64)
    except ValueError:
        return Column(name=name, texts=tuple(cells))
    return Column(name=name, numbers=numbers) if np.isfinite(numbers).any() else Column(name=name, texts=tuple(cells))


def _json_lines(text: str, path: Path) -> list[Column]:
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise DataError(f"{display(path)}: line {number} is not a JSON object.")
        records.append(record)
    if not records:
        raise DataError(f"{display(path)} is empty: it has no lines.")
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    return [column(name, [_cell(record.get(name)) for record in records]) for name in names]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return LIST.join(_cell(item) for item in value)
    return "" if value is None else str(value)


def _arrays(path: Path) -> list[Column]:
    try:
        found = np.load(path, allow_pickle=False)
        arrays = dict(found) if path.suffix.lower() == ".npz" else {"column": found}
    except (ValueError, EOFError, KeyError, NotImplementedError) as error:
        raise DataError(f"{display(path)} is not an array that can be read: {display(error, 120)}.") from None
    columns = [one for name, array in arrays.items() for one in _columns(name, np.asarray(array), path)]
    if len({len(one) for one in columns}) != 1:
        lengths = ", ".join(f"{display(name, 40)} {len(array)}" for name, array in arrays.items())
        raise DataError(f"{display(path)}: its arrays have different numbers of rows: {lengths}.")
    if not len(columns[0]):
        raise DataError(f"{display(path)} is empty: it has no rows.")
    _require_different([one.name for one in columns], path)
    return columns


def _columns(name: str, array: npt.NDArray[np.generic], path: Path) -> list[Column]:
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufU":
        raise DataError(
            f"{display(path)}: {display(name, 40)} is {array.dtype} of shape {array.shape}: a table has rows and "
            "columns of numbers or texts."
        )
    if array.ndim == 1:
        parts, names = [array], [name]
    else:
        parts = list(array.T)
        names = [f"{name} {i + 1}" for i in range(len(parts))] if len(parts) != 1 else [name]
    return [
        column(each, part.tolist()) if part.dtype.kind == "U" else Column(name=each, numbers=part.astype(np.float64))
        for each, part in zip(names, parts, strict=True)
    ]


def _require_different(names: Sequence[str], path: Path) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(f"{display(path)} has two columns of the name {display(twice[0], 60)}: rename one.")


def column_texts(column: Column) -> tuple[str, ...]:
    """What each row says, as text; nothing where a number is missing."""
    if column.numbers is None:
        return column.texts
    return tuple("" if np.isnan(value) else f"{value:.10g}" for value in column.numbers.tolist())


def find_column(columns: Sequence[Column], asked: str, setting: str, path: Path) -> Column:
    """The column of a name, or at a place: 1 is the first, -1 the last.

    Raises:
        DataError: there is none.
    """
    for one in columns:
        if one.name == asked:
            return one
    near = [one for one in columns if one.name.lower() == asked.lower()]
    if len(near) == 1:
        return near[0]
    try:
        place = int(asked)
        if place:
            return columns[place - 1 if place > 0 else place]
    except (ValueError, IndexError):
        pass
    known = ", ".join(display(one.name, 40) for one in columns[:12]) + (", ..." if len(columns) > 12 else "")
    raise DataError(f"{setting} = {display(asked, 60)}: {display(path)} has no such column; it has {known}.")
