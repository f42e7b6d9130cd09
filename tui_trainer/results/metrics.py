"""What test results say, in numbers that scikit-learn agrees with. Letters: M samples, C classes, K targets.

Rates of counts carry Wilson's interval, everything else a percentile bootstrap over the samples with a
fixed seed; both at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

Z = 1.959963984540054  # of the normal distribution at 97.5 %
RESAMPLES = 1000
BINS = 15  # of confidence, for the calibration error (Guo et al., 2017)
CHUNK = 4_000_000  # samples drawn at once: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """One class. `support`: samples that are of it. Undefined ratios are 0, as in scikit-learn."""

    precision: Estimate
    recall: Estimate
    f1: float
    support: int


def wilson(hits: int, total: int) -> Estimate:
    """The rate `hits / total` with Wilson's score interval."""
    if not total:
        return Estimate(math.nan)
    rate, z2 = hits / total, Z * Z
    centre = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = Z * math.sqrt(rate * (1 - rate) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return Estimate(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


def confusion_matrix(true: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Counts (C, C) of (true, predicted)."""
    cells = true.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def class_figures(confusion: npt.NDArray[np.int64]) -> tuple[ClassFigures, ...]:
    """Precision, recall, F1 and support of each class."""
    hits, support, claimed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return tuple(
        ClassFigures(
            precision=_or_zero(wilson(int(h), int(c))),
            recall=_or_zero(wilson(int(h), int(s))),
            f1=2 * int(h) / int(s + c) if s + c else 0.0,
            support=int(s),
        )
        for h, s, c in zip(hits, support, claimed, strict=True)
    )


def _or_zero(estimate: Estimate) -> Estimate:
    return estimate if math.isfinite(estimate.value) else Estimate(0.0)


def balanced_accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Mean recall of the classes that occur."""
    support = confusion.sum(1)
    there = support > 0
    return float((confusion.diagonal()[there] / support[there]).mean()) if there.any() else math.nan


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur, among the true ones or the predicted."""
    either = confusion.sum(1) + confusion.sum(0)
    there = either > 0
    return float((2 * confusion.diagonal()[there] / either[there]).mean()) if there.any() else math.nan


def calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: |accuracy - confidence| over 15 bins of equal width, weighted by their samples."""
    if not len(confidence):
        return math.nan
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.searchsorted(edges[1:-1], confidence)
    gap = np.bincount(bins, confidence.astype(np.float64), BINS) - np.bincount(bins, correct.astype(np.float64), BINS)
    return float(np.abs(gap).sum() / len(confidence))


def bootstrapped_counts(
    confusion: npt.NDArray[np.int64], measure: Callable[[npt.NDArray[np.int64]], float], resamples: int = RESAMPLES
) -> Estimate:
    """`measure` of the confusion matrix; resampling the samples is one multinomial draw over its cells."""
    value, total = measure(confusion), int(confusion.sum())
    if not math.isfinite(value) or total < 2:
        return Estimate(value)
    generator = np.random.default_rng(0)
    filled = np.flatnonzero(confusion)
    rates = confusion.reshape(-1)[filled] / total
    drawn, found = np.zeros(confusion.size, np.int64), []
    for _ in range(resamples):
        drawn[filled] = generator.multinomial(total, rates)
        found.append(measure(drawn.reshape(confusion.shape)))
    return _between(value, np.array(found))


def bootstrapped(values: Floats, measure: Callable[[Floats], Floats], resamples: int = RESAMPLES) -> Estimate:
    """`measure`, from per-sample columns (..., M, Q) to (...), with its interval over resampled samples."""
    value, total = float(measure(values)), len(values)
    if not math.isfinite(value) or total < 2:
        return Estimate(value)
    generator, found = np.random.default_rng(0), []
    at_once = max(1, CHUNK // total)
    for start in range(0, resamples, at_once):
        chosen = generator.integers(0, total, (min(at_once, resamples - start), total))
        found.append(measure(values[chosen]))
    return _between(value, np.concatenate(found))


def _between(value: float, found: Floats) -> Estimate:
    low, high = np.nanpercentile(found, (2.5, 97.5)) if np.isfinite(found).any() else (math.nan, math.nan)
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def mean(columns: Floats) -> Floats:
    """Of one column (..., M, 1)."""
    return np.asarray(columns[..., 0].mean(-1))


def root_mean(columns: Floats) -> Floats:
    """Square root of the mean of one column (..., M, 1): RMSE of squared errors."""
    return np.sqrt(mean(columns))


def r2(columns: Floats) -> Floats:
    """Coefficient of determination of columns (true, predicted); of a constant truth 1 if exact, else 0."""
    true, predicted = columns[..., 0], columns[..., 1]
    left = ((true - predicted) ** 2).sum(-1)
    spread = ((true - true.mean(-1, keepdims=True)) ** 2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        defined = 1 - left / spread
    constant = np.where(left == 0, 1.0, 0.0)
    return np.asarray(np.where(spread > 0, defined, constant) if true.shape[-1] > 1 else np.full(left.shape, math.nan))
