"""What metrics are called, how they are shown, and which of them says how good a model is. Plain values.

A metric is `part_name`: part is train, batch, val or test; rates are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable

LABELS = {"top1": "top-1", "top5": "top-5", "f1": "F1", "map": "mAP", "r2": "R2", "mae": "MAE", "rmse": "RMSE"}
RATES = ("top1", "top5", "f1", "map")  # shown in percent
HEADLINES = {"classification": "top1", "regression": "r2", "multilabel": "f1"}  # what a task is judged by
OF_TASK = {
    "classification": ("val_top1", "val_top5", "val_f1", "val_loss", "train_top1", "train_loss"),
    "regression": ("val_r2", "val_mae", "val_rmse", "val_loss", "train_r2", "train_loss"),
    "multilabel": ("val_f1", "val_map", "val_loss", "train_f1", "train_loss"),
}
MONITORS = tuple(dict.fromkeys(name for names in OF_TASK.values() for name in names))


def label(name: str) -> str:
    """The name of a metric, without its part, as a person writes it: top-1, R2."""
    return LABELS.get(name, name)


def long_label(name: str) -> str:
    """The same with its part: val top-1."""
    part, _, rest = name.partition("_")
    return f"{part} {label(rest)}"


def in_words(name: str, value: float, width: int = 0) -> str:
    """A value as it is shown: rates in percent, others with four places; `name` with or without its part."""
    if name.rpartition("_")[2] in RATES:
        return f"{value:{width}.2%}" if math.isfinite(value) else "-"
    return f"{value:{width}.4f}"


def headline(metrics: Iterable[str]) -> str:
    """The metric, without its part, by which a run with these metrics is judged; top1 if none is known."""
    names = {name.partition("_")[2] for name in metrics}
    return next((name for name in HEADLINES.values() if name in names), "top1")


def less_is_better(name: str) -> bool:
    """Whether a metric falls as the model gets better."""
    return name.rpartition("_")[2] in ("loss", "mae", "rmse")
