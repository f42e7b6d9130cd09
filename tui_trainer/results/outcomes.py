"""What became of each sample of a test, and the figures over all. Letters: M samples, C classes, K targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.errors import DataError
from tui_trainer.results import metrics
from tui_trainer.results.metrics import ClassFigures, Estimate

TOP_K = 5
MANY = 200  # classes from which fewer resamples do

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Classified:
    """M samples of a classifier. `confidence`: probability of the predicted class; `true_probability`: of the true."""

    classes: tuple[str, ...]
    true: Ints  # (M,)
    predicted: Ints  # (M,)
    confidence: Floats  # (M,)
    true_probability: Floats  # (M,)
    loss: Floats  # (M,) cross-entropy
    rank: Ints  # (M,) classes that come before the true one; 0: right

    def __len__(self) -> int:
        return len(self.true)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Which were right (M,)."""
        return np.equal(self.predicted, self.true)

    @cached_property
    def confusion(self) -> Ints:
        """Counts (C, C) of (true, predicted)."""
        return metrics.confusion_matrix(self.true, self.predicted, len(self.classes))

    @cached_property
    def figures(self) -> tuple[ClassFigures, ...]:
        """Of each class."""
        return metrics.class_figures(self.confusion)

    @cached_property
    def metrics(self) -> dict[str, Estimate]:
        """loss, top1, top5 (of more than 5 classes), balanced_accuracy, f1 (macro), ece."""
        resamples = metrics.RESAMPLES if len(self.classes) < MANY else metrics.RESAMPLES // 5
        top5 = {"top5": metrics.wilson(int((self.rank < TOP_K).sum()), len(self))} if len(self.classes) > TOP_K else {}
        ece = metrics.calibration_error(self.confidence, self.correct)
        return {
            "loss": metrics.bootstrapped(self.loss[:, None], metrics.mean),
            "top1": metrics.wilson(int(self.correct.sum()), len(self)),
            **top5,
            "balanced_accuracy": metrics.bootstrapped_counts(self.confusion, metrics.balanced_accuracy, resamples),
            "f1": metrics.bootstrapped_counts(self.confusion, metrics.macro_f1, resamples),
            "ece": Estimate(ece),
        }

    def confused(self) -> list[tuple[int, int, int]]:
        """(true, predicted, samples) of every pair that was mixed up, most often first."""
        counts = self.confusion.copy()
        np.fill_diagonal(counts, 0)
        true, predicted = np.nonzero(counts)
        order = np.argsort(-counts[true, predicted], kind="stable")
        return [(int(t), int(p), int(counts[t, p])) for t, p in zip(true[order], predicted[order], strict=True)]

    def cell(self, true: int, predicted: int) -> Ints:
        """The samples behind a cell of the matrix, the most confident first."""
        members = np.flatnonzero((self.true == true) & (self.predicted == predicted))
        return members[np.argsort(-self.confidence[members], kind="stable")]

    def hardest(self) -> Ints:
        """All samples, the greatest loss first."""
        return np.argsort(-self.loss, kind="stable")


@dataclass(frozen=True, kw_only=True)
class Regressed:
    """M samples of K numbers each, in the units of the dataset."""

    names: tuple[str, ...]  # of the K targets
    true: Floats  # (M, K)
    predicted: Floats  # (M, K)

    def __len__(self) -> int:
        return len(self.true)

    @property
    def residuals(self) -> Floats:
        """Predicted minus true (M, K)."""
        return self.predicted - self.true

    @cached_property
    def by_target(self) -> dict[str, dict[str, Estimate]]:
        """mae, rmse and r2 of each target."""
        return {name: self._figures(k) for k, name in enumerate(self.names)}

    def _figures(self, k: int) -> dict[str, Estimate]:
        error = self.residuals[:, k : k + 1]
        both = np.stack([self.true[:, k], self.predicted[:, k]], 1)
        return {
            "mae": metrics.bootstrapped(np.abs(error), metrics.mean),
            "rmse": metrics.bootstrapped(error**2, metrics.root_mean),
            "r2": metrics.bootstrapped(both, metrics.r2),
        }

    @property
    def metrics(self) -> dict[str, Estimate]:
        """mae, rmse and r2: of the only target, or their means over the targets."""
        found = list(self.by_target.values())
        if len(found) == 1:
            return found[0]
        return {name: Estimate(float(np.mean([f[name].value for f in found]))) for name in ("mae", "rmse", "r2")}

    def hardest(self) -> Ints:
        """All samples, the greatest error first."""
        return np.argsort(-np.abs(self.residuals).sum(1), kind="stable")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """M samples with any number of C labels each; a label is claimed from a probability of 0.5 on."""

    classes: tuple[str, ...]
    true: npt.NDArray[np.bool_]  # (M, C)
    probability: Floats  # (M, C)
    loss: Floats  # (M,) mean binary cross-entropy over the labels

    def __len__(self) -> int:
        return len(self.true)

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """Labels claimed (M, C)."""
        return self.probability >= 0.5

    @cached_property
    def figures(self) -> tuple[ClassFigures, ...]:
        """Of each label."""
        hits = (self.true & self.predicted).sum(0)
        misses, false = self.true.sum(0) - hits, self.predicted.sum(0) - hits
        tables = (np.array([[0, f], [m, h]]) for h, m, f in zip(hits, misses, false, strict=True))
        return tuple(metrics.class_figures(table)[1] for table in tables)

    @cached_property
    def metrics(self) -> dict[str, Estimate]:
        """loss, exact (all labels right), label_accuracy, f1 (macro, over all labels), micro_f1."""
        right = self.true == self.predicted
        both, either = int((self.true & self.predicted).sum()), int(self.true.sum() + self.predicted.sum())
        return {
            "loss": metrics.bootstrapped(self.loss[:, None], metrics.mean),
            "exact": metrics.wilson(int(right.all(1).sum()), len(self)),
            "label_accuracy": metrics.bootstrapped(right.mean(1, keepdims=True), metrics.mean),
            "f1": Estimate(float(np.mean([figure.f1 for figure in self.figures]))),
            "micro_f1": Estimate(2 * both / either if either else 0.0),
        }

    def hardest(self) -> Ints:
        """All samples, the greatest loss first."""
        return np.argsort(-self.loss, kind="stable")


Outcomes = Classified | Regressed | Labelled


def classified(outputs: npt.NDArray[Any], true: npt.NDArray[Any], classes: Sequence[str]) -> Classified:
    """What outputs (M, C), before softmax, make of samples whose class is `true` (M,).

    Of equal outputs the first class is taken, in top-1 as in top-5.

    Raises:
        DataError: there are none, or an output is not a finite number.
    """
    logits, rows = _finite(outputs), np.arange(len(outputs))
    true = true.astype(np.int64)
    shifted = logits - logits.max(1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    predicted = logits.argmax(1)
    own = logits[rows, true][:, None]
    before = np.arange(logits.shape[1])[None, :] < true[:, None]
    return Classified(
        classes=tuple(classes),
        true=true,
        predicted=predicted,
        confidence=np.exp(log_probability[rows, predicted]),
        true_probability=np.exp(log_probability[rows, true]),
        loss=-log_probability[rows, true],
        rank=((logits > own) | ((logits == own) & before)).sum(1),
    )


def regressed(outputs: npt.NDArray[Any], true: npt.NDArray[Any], names: Sequence[str]) -> Regressed:
    """What outputs (M, K) make of the numbers `true` (M, K).

    Raises:
        DataError: there are none, or one is not a finite number.
    """
    predicted, wanted = _finite(outputs), _finite(true)
    return Regressed(names=tuple(names), true=wanted.reshape(predicted.shape), predicted=predicted)


def labelled(outputs: npt.NDArray[Any], true: npt.NDArray[Any], classes: Sequence[str]) -> Labelled:
    """What outputs (M, C), before the sigmoid, make of the labels `true` (M, C).

    Raises:
        DataError: there are none, or an output is not a finite number.
    """
    logits, wanted = _finite(outputs), true > 0.5
    loss = np.logaddexp(0, np.where(wanted, -logits, logits)).mean(1)
    probability = np.exp(-np.logaddexp(0, -logits))
    return Labelled(classes=tuple(classes), true=wanted, probability=probability, loss=loss)


def _finite(numbers: npt.NDArray[Any]) -> Floats:
    """Float64 (M, C).

    Raises:
        DataError: there are none, or one is NaN or infinite.
    """
    if not len(numbers):
        raise DataError("There is nothing to test: no sample could be read.")
    wide = numbers.astype(np.float64).reshape(len(numbers), -1)
    if not np.isfinite(wide).all():
        raise DataError("NaN or infinite numbers cannot be tested: metrics over them would say nothing.")
    return wide


JUDGES: Mapping[str, Callable[[npt.NDArray[Any], npt.NDArray[Any], Sequence[str]], Outcomes]] = {
    "classification": classified,
    "regression": regressed,
    "multilabel": labelled,
}


def plain(estimate: Estimate) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    pairs = (("value", estimate.value), ("low", estimate.low), ("high", estimate.high))
    return {name: value if math.isfinite(value) else None for name, value in pairs}
