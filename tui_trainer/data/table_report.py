"""What is in a table and what is wrong with it: the counterpart of `report.Report`. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.data.index import CLASSIFICATION, PARTS, REGRESSION, TRAIN, VAL, ColumnFacts, Index, Rows
from tui_trainer.data.target_bars import bars_of, targets_in_words
from tui_trainer.text import display

NAMED = 12  # columns that are described
FEW = 10  # training rows with which a class is hardly learned


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """What is known of a table. `classes`: labels of the bars; `counts`: rows of each part and bar."""

    root: Path
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
        return "all rows"

    def facts(self) -> list[tuple[str, str]]:
        """Label and text of what there is."""
        parts = ", ".join(f"{n:,} {part}" for n, part in zip(self.in_part, PARTS, strict=True) if n)
        found = [
            ("rows", f"{sum(self.in_part):,}: {parts}"),
            ("columns", f"{len(self.columns):,}, {self.inputs:,} inputs"),
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
                found.append(f"Fewer than {FEW} training rows: {_listed(few)}.")
            if unseen:
                found.append(f"Nothing to validate {_listed(unseen)} on.")
        return found

    def record(self) -> dict[str, Any]:
        """The same for `--json`."""
        return {
            "root": os.fsdecode(self.root),
            "task": self.task,
            "rows": sum(self.in_part),
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


def _target(rows: Rows, words: str) -> str:
    names = [display(one.name, 40) for one in rows.facts if one.role == "target"]
    return f"{', '.join(names[:3])}: {words}"


def _column_in_words(one: ColumnFacts) -> str:
    missing = f", {one.missing:,} missing" if one.missing else ""
    values = f"{one.different:,} different"
    if one.kind != "text":
        values = f"{one.low:.6g} to {one.high:.6g}, {values}"
    return f"{display(one.name, 40)}: {one.kind}, {values}{missing}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(display(name, 40) for name in names[:3])
    return f"{shown} and {len(names) - 3:,} more" if len(names) > 3 else shown
