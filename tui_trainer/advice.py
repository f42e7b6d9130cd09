"""One factual line from the numbers of a run, with the setting that would change them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_trainer.run_state import RunState

LATELY = 3  # epochs that make a trend
DATA_BOUND = 0.5  # share of the time spent waiting for batches


def advice(state: RunState) -> str:
    """The most urgent thing to know, or nothing."""
    return next((line for line in (_rate(state), _data(state), _trend(state)) if line), "")


def _rate(state: RunState) -> str:
    """A learning rate that is plainly too high: the loss stays above that of guessing."""
    losses = [past.metrics["train_loss"] for past in state.history if "train_top1" in past.metrics]
    guess = math.log(len(state.classes)) if len(state.classes) > 1 else math.inf
    if losses and not math.isfinite(losses[-1]):
        return "The loss is not a number: training diverged; start again with a lower lr."
    if losses and losses[-1] > 1.5 * guess:
        return f"Train loss {losses[-1]:.2f} is above guessing ({guess:.2f}): lr {state.lr:g} is too high."
    if len(losses) >= LATELY and min(losses[-LATELY:]) > 0.98 * guess:
        return f"Train loss is still that of guessing ({guess:.2f}): try another lr than {state.lr:g}."
    return ""


def _data(state: RunState) -> str:
    if state.data_wait > DATA_BOUND and state.step > 20:
        share = f"{state.data_wait:.0%} of the time goes into waiting for images"
        return f"{share}: m on the Loader screen measures num_workers."
    return ""


def _trend(state: RunState) -> str:
    train = [past.metrics.get("train_loss", math.nan) for past in state.history]
    val = [past.metrics.get("val_loss", math.nan) for past in state.history]
    count = rising(val)
    if count >= LATELY and train[-1] < train[-1 - count]:
        return f"Overfitting: val loss has risen for {count} epochs while train loss fell; patience would stop here."
    return ""


def rising(values: Sequence[float]) -> int:
    """For how many steps to the end the values have only risen."""
    count = 0
    for before, after in zip(reversed(values[:-1]), reversed(values), strict=False):
        if not after > before:
            break
        count += 1
    return count
