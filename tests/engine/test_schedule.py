import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.engine.schedule import SHAPES, WARMUP_START, Schedule


def lr_factor(shape: str, epoch: float, epochs: float, warmup: float) -> float:
    return Schedule(shape=shape, warmup=warmup).lr(1.0, epoch, epochs)


@pytest.mark.parametrize(
    ("shape", "epoch", "factor"),
    [
        ("none", 0, 1), ("none", 29.9, 1), ("step", 0, 1), ("step", 9.99, 1), ("step", 10, 0.1), ("step", 20, 0.01),
        ("step", 30, 0.01), ("cosine", 0, 1), ("cosine", 15, 0.5), ("cosine", 10, 0.75), ("cosine", 30, 0),
        ("linear", 0, 1), ("linear", 7.5, 0.75), ("linear", 30, 0), ("linear", 40, 0),
    ],
)  # fmt: skip
def test_shapes_worked_out_by_hand(shape: str, epoch: float, factor: float) -> None:
    assert lr_factor(shape, epoch, 30, 0) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "onecycle"])
def test_the_warmup_rises_in_a_line_and_meets_the_shape(shape: str) -> None:
    assert lr_factor(shape, 0, 10, 4) == WARMUP_START
    assert lr_factor(shape, 2, 10, 4) == pytest.approx((1 + WARMUP_START) / 2)
    assert lr_factor(shape, 4, 10, 4) == 1
    assert lr_factor(shape, math.nextafter(4, 0), 10, 4) == pytest.approx(1)


@given(st.sampled_from(SHAPES), st.floats(0, 100), st.floats(0.1, 100), st.floats(0, 200))
def test_it_is_between_nothing_and_all(shape: str, epoch: float, epochs: float, warmup: float) -> None:
    assert 0 <= lr_factor(shape, epoch, epochs, warmup) <= 1
