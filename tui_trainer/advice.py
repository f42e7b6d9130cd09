"""One factual line from the numbers of a run, with the setting that would change them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_trainer.run_state import RunState
from tui_trainer.text import display

LATELY = 3  # epochs that make a trend
NAMED = 2  # classes that a line names
SLOW = 0.01  # of its loss that a run which learns loses in an epoch
DATA_BOUND = 0.5  # share of the time spent waiting for batches


def advice(state: RunState) -> str:
    """The most urgent thing to know, or nothing."""
    return next((line for look in (_rate, _data, _trend, _classes, _slow) if (line := look(state))), "")


def _rate(state: RunState) -> str:
    """A learning rate that is plainly too high: the loss stays above that of guessing."""
    losses = [past.metrics["train_loss"] for past in state.history if "train_top1" in past.metrics]
    guess = math.log(len(state.classes)) if len(state.classes) > 1 else math.inf
    if losses and not math.isfinite(losses[-1]):
        return "The loss is not a number: training diverged; start again with a lower lr."
    if losses and losses[-1] > 1.5 * guess:
        return f"Train loss {losses[-1]:.2f} is above guessing ({guess:.2f}): lr {state.lr:g} is too high."
    if len(losses) >= LATELY and min(losses[-LATELY:]) > 0.98 * guess:
        return f"Train loss is that of guessing ({guess:.2f}) at lr {state.lr:g}; tune --lr tests others."
    return ""


def _data(state: RunState) -> str:
    if state.data_wait > DATA_BOUND and state.step > 20:
        return f"{state.data_wait:.0%} of the time waits for data; m on Loader (2) measures num_workers."
    return ""


def _trend(state: RunState) -> str:
    train = [past.metrics.get("train_loss", math.nan) for past in state.history]
    val = [past.metrics.get("val_loss", math.nan) for past in state.history]
    count = rising(val)
    if count >= LATELY and train[-1] < train[-1 - count]:
        return f"Overfitting: val loss has risen for {count} epochs, train loss fell; see patience."
    return ""


def _classes(state: RunState) -> str:
    """Classes that the model never says, for several epochs."""
    last = [set(past.never_predicted) for past in state.history[-LATELY:]]
    never = sorted(set.intersection(*last) & set(range(len(state.classes)))) if len(last) == LATELY else []
    if not never:
        return ""
    names = ", ".join(display(state.classes[number], 12) for number in never[:NAMED])
    more = f" and {len(never) - NAMED} more" if len(never) > NAMED else ""
    return f"Never predicted: {names}{more}; class_weights = balanced may help."


def _slow(state: RunState) -> str:
    """A learning rate that moves hardly anything, far from the end."""
    losses = [past.metrics["train_loss"] for past in state.history if "train_top1" in past.metrics][-LATELY - 1 :]
    guess = math.log(len(state.classes)) if len(state.classes) > 1 else math.inf
    if len(losses) <= LATELY or not guess / 2 < losses[-1] < losses[0]:
        return ""
    fell = (losses[0] - losses[-1]) / losses[0]
    if fell >= SLOW * LATELY:
        return ""
    return f"Train loss fell {fell:.1%} in {LATELY} epochs; lr {state.lr:g} may be low: tune --lr tests others."


def rising(values: Sequence[float]) -> int:
    """For how many steps to the end the values have only risen."""
    count = 0
    for before, after in zip(reversed(values[:-1]), reversed(values), strict=False):
        if not after > before:
            break
        count += 1
    return count
