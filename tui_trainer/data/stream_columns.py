"""What the columns of a stream mean: which is the image, which the target, and what the targets are. No torch here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_trainer.data.image_columns import PATH, kind_of
from tui_trainer.data.index import CLASSIFICATION, MULTILABEL, PARTS, REGRESSION, TRAIN
from tui_trainer.data.manifest import PATH_WORDS
from tui_trainer.data.targets import FEW_NUMBERS, IN_PART, PART_WORDS, TARGET_WORDS
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display

MOST_CLASSES = 10_000  # different texts of a target
ODD = 3  # rows that are named


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """`image`: the column of images and how it holds them, none for rows of numbers; `why`: where targets come from."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    image: str = ""
    kind: str = ""
    why: str = ""
    ignored: tuple[str, ...] = ()


def choose(rows: Sequence[Mapping[str, Any]], data: DataConfig, source: str, key: str = "") -> Chosen:
    """What to learn from what, by the first rows.

    Raises:
        ConfigError: settings do not go together.
        DataError: there is no such column.
    """
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    image, kind = _image(rows, names, data, source)
    targets, why = _targets([name for name in names if name not in (key, image)], data, source)
    listed = next((name for name in targets if any(isinstance(row.get(name), list | dict) for row in rows)), "")
    if listed:
        raise DataError(
            f"{display(source)}: the target {display(listed, 60)} holds lists, and a stream has one class or number in "
            "each target column: give each a column, or labels in one text as a table (--label-separator)."
        )
    ignored = tuple(_named(name, names, "ignore_columns", source) for name in data.ignore_columns)
    given = tuple(_named(name, names, "features", source) for name in data.features)
    if image:
        return Chosen(targets=targets, features=(), image=image, kind=kind, why=why)
    both = next((name for name in given if name in targets), "")
    if both:
        raise ConfigError(f"features names {display(both, 60)}, which is the target: leave it out.")
    others = tuple(name for name in names if name not in (*targets, *ignored, key))
    features = given or others
    part = next((name for name in others if not given and _says_part(name, [row.get(name) for row in rows])), "")
    if part:
        raise ConfigError(
            f"{display(source)}: column {display(part, 60)} says train or val, and a stream is split by a hash of its "
            f"keys: leave the column out with --ignore-columns {display(part, 60)}, or give two streams (--val-data)."
        )
    if not features:
        raise DataError(f"{display(source)} has no column besides the target: there is nothing to learn from.")
    odd = next((name for name in features if any(isinstance(row.get(name), list | dict | bytes) for row in rows)), "")
    if odd:
        raise DataError(
            f"{display(source)}: column {display(odd, 60)} holds lists or bytes, not numbers or texts: leave it out "
            f"with --ignore-columns {display(odd, 60)}."
        )
    return Chosen(targets=targets, features=features, why=why, ignored=tuple(set(names) - {*features, *targets}))


def _says_part(name: str, values: Sequence[Any]) -> bool:
    return name.lower() in PART_WORDS and all(str(value).strip().lower() in IN_PART for value in values)


def _image(rows: Sequence[Mapping[str, Any]], names: Sequence[str], data: DataConfig, source: str) -> tuple[str, str]:
    if data.path_column:
        name = _named(data.path_column, names, "path_column", source)
        return name, kind_of([row.get(name) for row in rows]) or PATH
    if data.features:
        return "", ""
    kinds = {name: kind_of([row.get(name) for row in rows]) for name in names if name not in data.target}
    found = [name for name, kind in kinds.items() if kind]
    found.sort(key=lambda name: (kinds[name] == PATH, name.lower() not in PATH_WORDS))
    return (found[0], kinds[found[0]]) if found else ("", "")


def _targets(names: Sequence[str], data: DataConfig, source: str) -> tuple[tuple[str, ...], str]:
    if data.target:
        return tuple(_named(name, names, "target", source) for name in data.target), "given"
    if not names:
        raise DataError(f"{display(source)} has no column of targets besides its images.")
    words = ("cls", *TARGET_WORDS, "txt")
    named = [name for word in words for name in names if name.lower() == word]
    return ((named[0],), "its name") if named else ((names[-1],), "the last column")


def _named(asked: str, names: Sequence[str], setting: str, source: str) -> str:
    near = [name for name in names if name == asked] or [name for name in names if name.lower() == asked.lower()]
    if near:
        return near[0]
    try:
        place = int(asked)
        if place:
            return names[place - 1 if place > 0 else place]
    except (ValueError, IndexError):
        pass
    known = ", ".join(display(name, 40) for name in names[:12]) + (", ..." if len(names) > 12 else "")
    raise DataError(f"{setting} = {display(asked, 60)}: {display(source)} has no such column; it has {known}.")


def as_number(value: Any) -> float | None:
    """A finite number, also one that is written as text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_class(value: Any) -> str | None:
    """What a class is called."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return f"{value:.10g}" if math.isfinite(value) else None
    if isinstance(value, list | dict | bytes) or value is None:
        return None
    return str(value).strip() or None


def missing(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Why a row is of no use, if one of these is not there."""
    gone = [name for name in names if row.get(name) is None or row.get(name) == ""]
    return f"lacks {', '.join(display(name, 40) for name in gone)}" if gone else ""


@dataclass
class Tally:
    """The targets of a stream while it is planned, in memory that does not grow with it."""

    width: int
    max_bad: float
    texts: int = 0
    odd: list[bytes] = field(default_factory=list)  # rows whose target is a text, the first of them
    different: list[Counter[str]] = field(default_factory=lambda: [Counter() for _ in PARTS])
    counts: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    firsts: list[float] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)  # of what numbers are more than the first
    squares: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    whole: bool = True
    many: bool = False  # more different values than are kept

    def __post_init__(self) -> None:
        self.firsts, self.sums, self.squares = ([0.0] * self.width for _ in range(3))
        self.low, self.high = [math.inf] * self.width, [-math.inf] * self.width

    def to_dict(self) -> dict[str, Any]:
        """What was counted, in values that JSON holds."""
        odd = [row.decode("utf-8", "surrogateescape") for row in self.odd]
        return {**vars(self), "odd": odd, "different": [dict(one) for one in self.different]}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Be where a tally of the same targets was.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        if kept["width"] != self.width or len(kept["different"]) != len(PARTS):
            raise ValueError("other targets")
        values = {name: kept[name] for name in vars(self) if name != "max_bad"}
        values["odd"] = [str(row).encode("utf-8", "surrogateescape") for row in kept["odd"]]
        values["different"] = [Counter({str(name): int(n) for name, n in one.items()}) for one in kept["different"]]
        vars(self).update(values)

    def add(self, values: Sequence[Any], part: int, row: bytes) -> str:
        """Count a row; why it cannot be counted, if so."""
        numbers = [as_number(value) for value in values]
        if self.width == 1:
            name = as_class(values[0])
            if name is None:
                return "its target is neither a number nor a text"
            if numbers[0] is None:
                self.texts += 1
                self.odd += [row] * (len(self.odd) < ODD)
            if name in self.different[part] or not self.many:
                self.different[part][name] += 1
                self.many = self.many or len(self.different[part]) > MOST_CLASSES
        elif None in numbers:
            return "a target is no number"
        self.counts[part] += 1
        if part == TRAIN:
            for i, number in enumerate(numbers):
                if number is not None:
                    self._measure(i, number)
        return ""

    def _measure(self, i: int, number: float) -> None:
        self.whole &= number.is_integer()
        if math.isinf(self.low[i]):
            self.firsts[i] = number
        more = number - self.firsts[i]  # squares of large numbers would leave nothing of a small spread
        self.sums[i] += more
        self.squares[i] += more * more
        self.low[i], self.high[i] = min(self.low[i], number), max(self.high[i], number)

    def task(self, data: DataConfig, name: str) -> tuple[str, str]:
        """What is learned, and why.

        Raises:
            ConfigError: the task that is asked for does not go with the targets.
        """
        named = display(name, 40)
        if data.task == MULTILABEL or data.label_separator:
            raise ConfigError("task = multilabel: a stream has one class, or numbers; use a table or a manifest.")
        if data.task == REGRESSION and self.of_texts:
            raise ConfigError(f"task = regression: column {named} holds texts.")
        if data.task == CLASSIFICATION and self.width > 1:
            raise ConfigError("task = classification has one target column.")
        if data.task is not None:
            return data.task, "given"
        if self.width > 1:
            return REGRESSION, f"{self.width} target columns of numbers"
        if self.of_texts:
            return CLASSIFICATION, f"{named} holds texts"
        different = len(self._names())
        if self.whole and different <= FEW_NUMBERS:
            return CLASSIFICATION, f"{named} has {different} different whole numbers"
        return REGRESSION, f"{named} has {'many' if self.many else f'{different:,}'} different numbers"

    @property
    def of_texts(self) -> bool:
        """Whether targets are texts; a few among numbers are mistakes."""
        return self.texts > self.max_bad * sum(self.counts)

    def _names(self) -> set[str]:
        names = set().union(*self.different)
        return names if self.of_texts else {name for name in names if as_number(name) is not None}

    def classes(self, name: str, source: str) -> tuple[str, ...]:
        """The classes in their order, numbers by value.

        Raises:
            DataError: there are too few, or too many.
        """
        names = self._names()
        if self.many and self.of_texts:
            raise DataError(
                f"{display(source)}: column {display(name, 40)} holds more than {MOST_CLASSES:,} different values, too "
                "many for classes: choose another --target, or --task regression."
            )
        if len(names) < 2:
            raise DataError(
                f"{display(source)}: column {display(name, 40)} holds one class only, "
                f"{display(next(iter(names), 'none'), 40)}: a classifier needs two or more."
            )
        numbers = all(as_number(one) is not None for one in names)
        return tuple(sorted(names, key=float if numbers else None))

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each target over the training part."""
        count = max(1, self.counts[TRAIN])
        more = [total / count for total in self.sums]
        mean = [first + m for first, m in zip(self.firsts, more, strict=True)]
        std = [math.sqrt(max(0.0, s / count - m * m)) or 1.0 for s, m in zip(self.squares, more, strict=True)]
        return tuple(float(f"{v:.9g}") for v in mean), tuple(float(f"{v:.9g}") or 1.0 for v in std)
