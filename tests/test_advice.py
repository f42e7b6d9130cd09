"""Advice is factual: each line needs its numbers."""

from __future__ import annotations

import pytest

from tui_trainer.advice import advice, rising
from tui_trainer.events import Evaluated
from tui_trainer.run_state import RunState


def state_of(*epochs: tuple[float, float], classes: int = 10) -> RunState:
    state = RunState(lr=0.5, classes=tuple(map(str, range(classes))))
    for number, (train, val) in enumerate(epochs):
        metrics = {"train_loss": train, "train_top1": 0.5, "val_loss": val, "val_top1": 0.5}
        state.add(Evaluated(epoch=number, step=number, lr=0.5, metrics=metrics, best=False, seconds=1.0))
    return state


def test_a_healthy_run_is_left_alone() -> None:
    assert advice(state_of((2.0, 2.1), (1.0, 1.2), (0.5, 0.8))) == ""


def test_a_loss_above_guessing_names_the_learning_rate() -> None:
    assert "lr 0.5 is too high" in advice(state_of((9.0, 9.0)))


def test_a_loss_that_stays_at_guessing_is_told_after_three_epochs() -> None:
    stuck = [(2.30, 2.30)] * 3
    assert "guessing" not in advice(state_of(*stuck[:2]))
    assert "guessing" in advice(state_of(*stuck))


def test_overfitting_needs_three_epochs_of_rising_val_loss_and_falling_train_loss() -> None:
    rising_val = ((1.0, 1.0), (0.8, 1.1), (0.6, 1.2), (0.4, 1.3))
    assert advice(state_of(*rising_val[:3])) == ""
    assert "risen for 3 epochs" in advice(state_of(*rising_val))
    both = ((0.4, 1.0), (0.5, 1.1), (0.6, 1.2), (0.7, 1.3))
    assert advice(state_of(*both)) == ""


def test_a_class_that_is_never_predicted_for_three_epochs_is_named() -> None:
    state = RunState(lr=0.1, classes=("cat", "dog", "[red]x"))
    for number in range(3):
        assert advice(state) == ""
        metrics = {"train_loss": 1.0 - 0.1 * number, "val_loss": 1.0 - 0.1 * number}
        never = (1, 2) if number else (0, 1, 2)
        state.add(Evaluated(epoch=number, step=1, lr=0.1, metrics=metrics, best=True, seconds=1, never_predicted=never))
    assert advice(state).startswith("Never predicted: dog, [red]x; class_weights")


def test_a_loss_that_hardly_falls_far_from_the_end_is_told() -> None:
    slow = [(2.0 - 0.005 * number,) * 2 for number in range(4)]
    assert advice(state_of(*slow[:3])) == ""
    assert "lr 0.5 may be low" in advice(state_of(*slow))
    near = [(0.5 - 0.001 * number,) * 2 for number in range(4)]
    assert advice(state_of(*near)) == ""


def test_waiting_for_data_names_the_workers() -> None:
    state = RunState(data_wait=0.7, step=100)
    assert "70% of the time waits" in advice(state)
    assert "num_workers" in advice(state)
    state.step = 3
    assert advice(state) == ""


@pytest.mark.parametrize(
    ("values", "count"), [([], 0), ([1], 0), ([1, 2], 1), ([3, 1, 2, 3], 2), ([1, 2, float("nan")], 0)]
)
def test_rising_counts_from_the_end(values: list[float], count: int) -> None:
    assert rising(values) == count
