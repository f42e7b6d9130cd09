"""Test results as text and as plain values."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui_trainer.results.metrics import ClassFigures, Estimate
from tui_trainer.results.outcomes import Classified, Labelled, Regressed, plain
from tui_trainer.results.tested import Tested
from tui_trainer.text import display

LABELS = {
    "loss": "loss",
    "top1": "top-1",
    "top5": "top-5",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1 (macro)",
    "micro_f1": "F1 (micro)",
    "exact": "all labels right",
    "label_accuracy": "labels right",
    "ece": "calibration error",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}
ABSOLUTE = ("loss", "mae", "rmse", "r2")  # shown as they are; all others are rates, shown in percent
PAIRS = 5  # most confused pairs that the summary names


def record(tested: Tested) -> dict[str, Any]:
    """One object for `--json`; None where a number is not defined."""
    outcomes, trained = tested.outcomes, tested.trained
    found: dict[str, Any] = {
        "weights": str(trained.path),
        "data": str(tested.index.root),
        "part": tested.part,
        "task": trained.task,
        "samples": len(outcomes),
        "metrics": {name: plain(estimate) for name, estimate in outcomes.metrics.items()},
        "bad": [{"path": name, "reason": reason} for name, reason in tested.bad],
        "notes": list(tested.notes),
    }
    if isinstance(outcomes, Classified | Labelled):
        found["classes"] = [
            {"name": name, **_figures(figures)}
            for name, figures in zip(outcomes.classes, outcomes.figures, strict=True)
        ]
    if isinstance(outcomes, Classified):
        found["confusion"] = outcomes.confusion.tolist()  # row: true class, column: predicted
    if isinstance(outcomes, Regressed):
        found["targets"] = {
            name: {metric: plain(estimate) for metric, estimate in figures.items()}
            for name, figures in outcomes.by_target.items()
        }
    return found


def _figures(figures: ClassFigures) -> dict[str, Any]:
    both = {"precision": plain(figures.precision), "recall": plain(figures.recall)}
    return {**both, "f1": figures.f1, "support": figures.support}


def summary(tested: Tested) -> Table:
    """Each metric with its interval."""
    table = Table("", "", "95 %", box=None, pad_edge=False, show_header=False)
    for name, estimate in tested.outcomes.metrics.items():
        interval = f"{shown(name, estimate.low)} to {shown(name, estimate.high)}" if _has_interval(estimate) else ""
        table.add_row(LABELS.get(name, name), Text(shown(name, estimate.value), style="bold"), Text(interval, "dim"))
    return table


def _has_interval(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def shown(name: str, value: float) -> str:
    """A metric as a person reads it."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if name in ABSOLUTE else f"{value:.2%}"


def heading(tested: Tested) -> str:
    """What was tested on what, in one line."""
    trained = tested.trained
    epoch = f" of epoch {trained.epoch}" if trained.epoch else ""
    weights = f"{trained.path.stem} weights{epoch}"
    return f"{display(trained.name, 40)}, {weights}, {len(tested.outcomes):,} samples ({tested.part})"


def by_class(tested: Tested) -> Table | None:
    """Precision, recall, F1 and support of each class; None where numbers are predicted."""
    outcomes = tested.outcomes
    if isinstance(outcomes, Regressed):
        return _by_target(outcomes) if len(outcomes.names) > 1 else None
    table = Table("class", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "ellipsis"
    table.columns[0].no_wrap = True
    for name in ("precision", "recall", "95 %", "F1", "support"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figures in zip(outcomes.classes, outcomes.figures, strict=True):
        recall = figures.recall
        interval = f"{recall.low:.1%} - {recall.high:.1%}" if _has_interval(recall) else ""
        values = f"{figures.precision.value:.1%}", f"{recall.value:.1%}", interval, f"{figures.f1:.3f}"
        table.add_row(Text(display(name, 60)), *values, f"{figures.support:,}")
    return table


def _by_target(outcomes: Regressed) -> Table:
    table = Table("target", "MAE", "RMSE", "R²", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, figures in outcomes.by_target.items():
        table.add_row(Text(display(name, 40)), *(f"{figures[key].value:.4f}" for key in ("mae", "rmse", "r2")))
    return table


def report(tested: Tested) -> Group:
    """Everything for a terminal of 80 columns."""
    parts: list[Any] = [Text(heading(tested)), Text(""), summary(tested)]
    table = by_class(tested)
    parts += [table] if table else []
    if isinstance(tested.outcomes, Classified) and (pairs := tested.outcomes.confused()[:PAIRS]):
        names = tested.outcomes.classes
        parts.append(Text("Most often mixed up (true as predicted):"))
        parts += [Text(f"  {count:>5}  {display(names[t], 30)} as {display(names[p], 30)}") for t, p, count in pairs]
    return Group(*parts)
