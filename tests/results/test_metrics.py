"""Figures against scikit-learn's, on random and on degenerate input."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from tui_trainer.errors import DataError
from tui_trainer.results import metrics
from tui_trainer.results.outcomes import TOP_K, classified, labelled, regressed

CLOSE = 1e-6


@st.composite
def answered(draw: st.DrawFn) -> tuple[Any, Any]:
    """Outputs (M, C) and true classes (M,): few samples, so that classes are absent; few levels, so that many tie."""
    samples, classes = draw(st.integers(1, 40)), draw(st.integers(2, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs = generator.normal(size=(samples, classes)) * draw(st.sampled_from((0.1, 1.0, 30.0)))
    if draw(st.booleans()):
        outputs = outputs.round()
    true = generator.integers(0, draw(st.integers(1, classes)), samples)
    return outputs.astype(np.float32), true


@given(answered())
@settings(max_examples=70, deadline=None)
def test_classification_equals_scikit_learn(case: tuple[Any, Any]) -> None:
    outputs, true = case
    classes = outputs.shape[1]
    found = classified(outputs, true, [str(i) for i in range(classes)])
    every, predicted = range(classes), outputs.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.simplefilter("ignore", UserWarning)
        p, r, f1, support = sk.precision_recall_fscore_support(true, predicted, labels=every, zero_division=0)
        balanced = sk.balanced_accuracy_score(true, predicted)
        macro = sk.f1_score(true, predicted, average="macro", zero_division=0)
    assert np.array_equal(found.confusion, sk.confusion_matrix(true, predicted, labels=every))
    assert found.metrics["top1"].value == pytest.approx(sk.accuracy_score(true, predicted), abs=CLOSE)
    assert found.metrics["balanced_accuracy"].value == pytest.approx(balanced, abs=CLOSE)
    assert found.metrics["f1"].value == pytest.approx(macro, abs=CLOSE)
    assert [c.precision.value for c in found.figures] == pytest.approx(list(p), abs=CLOSE)
    assert [c.recall.value for c in found.figures] == pytest.approx(list(r), abs=CLOSE)
    assert [c.f1 for c in found.figures] == pytest.approx(list(f1), abs=CLOSE)
    assert [c.support for c in found.figures] == list(support)
    wide = outputs.astype(np.float64)
    probability = np.exp(wide - np.logaddexp.reduce(wide, 1, keepdims=True))
    own = probability[np.arange(len(true)), true]
    if own.min() > 1e-12:  # scikit-learn cuts probabilities at the smallest number
        assert found.metrics["loss"].value == pytest.approx(
            sk.log_loss(true, probability / probability.sum(1, keepdims=True), labels=every), abs=CLOSE
        )
    if classes > TOP_K:  # of ties scikit-learn takes the last class, so it is given the classes the other way round
        top5 = sk.top_k_accuracy_score(classes - 1 - true, wide[:, ::-1], k=TOP_K, labels=every)
        assert found.metrics["top5"].value == pytest.approx(top5, abs=CLOSE)
    assert found.metrics["ece"].value == pytest.approx(by_hand(found.confidence, found.correct), abs=CLOSE)
    for estimate in found.metrics.values():
        assert math.isnan(estimate.low) or estimate.low <= estimate.value <= estimate.high


def by_hand(confidence: Any, correct: Any) -> float:
    """The calibration error, a bin at a time."""
    gaps = 0.0
    for k in range(metrics.BINS):
        low, high = k / metrics.BINS, (k + 1) / metrics.BINS
        there = (confidence > low) & (confidence <= high)
        if there.any():
            gaps += there.sum() * abs(correct[there].mean() - confidence[there].mean())
    return gaps / len(confidence)


@given(st.integers(2, 60), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_regression_equals_scikit_learn(samples: int, targets: int, seed: int, constant: bool) -> None:
    generator = np.random.default_rng(seed)
    true = np.full((samples, targets), 3.0) if constant else generator.normal(size=(samples, targets)) * 100
    predicted = true + generator.normal(size=true.shape)
    found = regressed(predicted, true, [f"t{k}" for k in range(targets)])
    assert found.metrics["mae"].value == pytest.approx(sk.mean_absolute_error(true, predicted), abs=CLOSE)
    assert found.metrics["rmse"].value == pytest.approx(sk.root_mean_squared_error(true, predicted), abs=CLOSE)
    assert found.metrics["r2"].value == pytest.approx(sk.r2_score(true, predicted), abs=CLOSE)


def test_r2_of_one_sample_is_not_defined_and_of_an_exact_constant_is_1() -> None:
    assert math.isnan(regressed(np.ones((1, 1)), np.ones((1, 1)), ["t"]).metrics["r2"].value)
    same = np.full((4, 1), 2.0)
    assert regressed(same, same, ["t"]).metrics["r2"].value == sk.r2_score(same, same)


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_labels_equal_scikit_learn(samples: int, labels: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    outputs, true = generator.normal(size=(samples, labels)), generator.integers(0, 2, (samples, labels))
    found = labelled(outputs, true, [str(i) for i in range(labels)])
    claimed = outputs >= 0
    both = [[int(((true == t) & (claimed == c))[:, k].sum()) for t in (0, 1) for c in (0, 1)] for k in range(labels)]
    f1 = [2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else 0.0 for _, fp, fn, tp in both]
    assert [c.f1 for c in found.figures] == pytest.approx(f1, abs=CLOSE)
    if labels > 1:
        macro = sk.f1_score(true, claimed, average="macro", zero_division=0)
        assert found.metrics["f1"].value == pytest.approx(macro, abs=CLOSE)
        assert found.metrics["exact"].value == pytest.approx(sk.accuracy_score(true, claimed), abs=CLOSE)
        assert found.metrics["micro_f1"].value == pytest.approx(
            sk.f1_score(true, claimed, average="micro", zero_division=0), abs=CLOSE
        )
    assert found.metrics["label_accuracy"].value == pytest.approx(1 - sk.hamming_loss(true, claimed), abs=CLOSE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    outputs, true = np.zeros((3, 2)), np.zeros(3, np.int64)
    outputs[1, 1] = bad
    for judge, wanted in ((classified, true), (regressed, np.zeros((3, 2))), (labelled, np.zeros((3, 2)))):
        with pytest.raises(DataError, match="NaN"):
            judge(outputs, wanted, ["a", "b"])
    with pytest.raises(DataError, match="NaN"):
        regressed(np.zeros((3, 1)), np.array([[0.0], [bad], [0.0]]), ["t"])


def test_nothing_to_test_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to test"):
        classified(np.zeros((0, 2)), np.zeros(0, np.int64), ["a", "b"])


def test_wilson_holds_the_rate_and_is_wider_for_fewer() -> None:
    few, many = metrics.wilson(9, 10), metrics.wilson(900, 1000)
    assert few.low < many.low < 0.9 < many.high < few.high <= 1
    assert metrics.wilson(0, 10).low == 0
    assert metrics.wilson(10, 10).high == 1
    assert math.isnan(metrics.wilson(0, 0).value)
    assert few.low == pytest.approx(0.5958, abs=1e-3)  # Wilson (1927), as statsmodels has it
    assert few.high == pytest.approx(0.9821, abs=1e-3)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(0), 0
    for _ in range(200):
        found = metrics.bootstrapped(generator.normal(5, 1, (60, 1)), metrics.mean, 300)
        covered += found.low <= 5 <= found.high
    assert 0.88 <= covered / 200 <= 0.99
