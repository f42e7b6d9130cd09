"""What is in a table and what is wrong with it: the counterpart of `report.Report`. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.data.index import CLASSIFICATION, PARTS, REGRESSION, TRAIN, VAL, ColumnFacts, Index, Rows, Stream
from tui_trainer.data.stream_columns import as_number
from tui_trainer.data.target_bars import Bars, bars_of, ranges_of, targets_in_words
from tui_trainer.text import display

NAMED = 12  # columns that are described
FEW = 10  # training rows with which a class is hardly learned


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """What is known of a table. `classes`: labels of the bars; `counts`: rows of each part and bar."""

    root: Path | str
    task: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    in_part: tuple[int, ...]
    columns: tuple[ColumnFacts, ...]
    inputs: int
    target: str
    notes: tuple[str, ...] = ()
    bad: tuple[tuple[bytes, str], ...] = ()
    stage: str = ""
    unit: str = "rows"
    read: str = ""  # how a stream is read

    @property
    def in_train(self) -> tuple[int, ...]:
        """Training rows of each bar."""
        return self.counts[TRAIN]

    @property
    def in_class(self) -> tuple[int, ...]:
        """Rows of each bar."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    def coverage(self) -> str:
        """How much was looked at: all of it."""
        return f"all {self.unit}"

    def facts(self) -> list[tuple[str, str]]:
        """Label and text of what there is."""
        parts = ", ".join(f"{n:,} {part}" for n, part in zip(self.in_part, PARTS, strict=True) if n)
        found = [
            (self.unit, f"{sum(self.in_part):,}: {parts}"),
            *([("read", self.read)] if self.read else []),
            ("columns", f"{len(self.columns):,}, {self.inputs:,} inputs" if self.inputs else f"{len(self.columns):,}"),
            ("predicts", f"{self.target} ({self.task})"),
        ]
        found += [(one.role, _column_in_words(one)) for one in self.columns[:NAMED]]
        if len(self.columns) > NAMED:
            found.append(("", f"and {len(self.columns) - NAMED:,} more columns"))
        return found

    def warnings(self) -> list[str]:
        """What is wrong, a sentence each."""
        found = list(self.notes)
        constant = [one.name for one in self.columns if one.role == "input" and one.different < 2]
        if constant:
            found.append(f"Nothing can be learned from a column that never changes: {_listed(constant)}.")
        if self.task == CLASSIFICATION:
            named = list(zip(self.classes, self.in_train, self.counts[VAL], strict=True))
            few = [name for name, train, _ in named if train < FEW]
            unseen = [name for name, _, val in named if not val]
            if few:
                found.append(f"Fewer than {FEW} training {self.unit}: {_listed(few)}.")
            if unseen:
                found.append(f"Nothing to validate {_listed(unseen)} on.")
        return found

    def record(self) -> dict[str, Any]:
        """The same for `--json`."""
        return {
            "root": os.fsdecode(self.root),
            "task": self.task,
            self.unit: sum(self.in_part),
            **({"read": self.read, "bad": [[os.fsdecode(name), why] for name, why in self.bad]} if self.read else {}),
            "parts": dict(zip(PARTS, self.in_part, strict=True)),
            "columns": [dict(vars(one)) for one in self.columns],
            "targets": [
                {"name": name, **dict(zip(PARTS, numbers, strict=True))}
                for name, *numbers in zip(self.classes, *self.counts, strict=True)
            ],
            "warnings": self.warnings(),
        }


def report_of(index: Index) -> TableReport:
    """The report of an index of rows."""
    rows = index.inputs
    assert isinstance(rows, Rows)
    labels, counts = bars_of(index)
    words = targets_in_words(index)
    return TableReport(
        root=index.root,
        task=index.task,
        classes=labels,
        counts=counts,
        in_part=tuple(len(index.part(part)) for part in range(len(PARTS))),
        columns=rows.facts,
        inputs=len(rows.names),
        target=words if index.task == REGRESSION else _target(rows, words),
        notes=index.warnings,
    )


def report_of_stream(index: Index) -> TableReport:
    """The report of a stream: all rows are counted, columns are described by rows spread over it."""
    stream = index.inputs
    assert isinstance(stream, Stream)
    labels, counts = index.classes, tuple(tuple(index.counts(part)) for part in range(len(PARTS)))
    words = f"one of {len(labels):,} classes"
    if index.task == REGRESSION:
        labels, counts = _looked_at(stream)
        (mean, *_), (std, *_) = stream.target_moments
        words = f"mean {mean:.4g}, standard deviation {std:.4g}"
    blocks = sum(map(len, stream.plans))
    spread = f"; what columns hold is said of {len(stream.looked_at):,} training {index.unit} spread over it"
    return TableReport(
        root=str(stream.source),
        task=index.task,
        classes=labels,
        counts=counts,
        in_part=tuple(index.size(part) for part in range(len(PARTS))),
        columns=stream.facts,
        inputs=len(stream.names),
        target=f"{', '.join(display(name, 40) for name in stream.chosen.targets[:3])}: {words}",
        notes=index.warnings,
        bad=tuple(one for plan in stream.plans for one in plan.bad),
        unit=index.unit,
        read=f"in {blocks:,} blocks, a few at a time{spread}",
    )


def _looked_at(stream: Stream) -> Bars:
    """Ranges of the first target, over the rows looked at: all are of the training part."""
    values = [as_number(row[stream.chosen.targets[0]]) for row in stream.looked_at]
    labels, counts = ranges_of([value for value in values if value is not None])
    return labels, (counts, *((0,) * len(labels) for _ in PARTS[1:]))


def _target(rows: Rows, words: str) -> str:
    names = [display(one.name, 40) for one in rows.facts if one.role == "target"]
    return f"{', '.join(names[:3])}: {words}"


def _column_in_words(one: ColumnFacts) -> str:
    missing = f", {one.missing:,} missing" if one.missing else ""
    values = f"{one.different:,} different"
    if one.kind not in ("text", "image"):
        values = f"{one.low:.6g} to {one.high:.6g}, {values}"
    return f"{display(one.name, 40)}: {one.kind}, {values}{missing}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(display(name, 40) for name in names[:3])
    return f"{shown} and {len(names) - 3:,} more" if len(names) > 3 else shown
