"""Where the labels of an axis stand, and what they say. Plain numbers and text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from tui_trainer.tui.widgets.raster import Frame
from tui_trainer.tui.widgets.series import log_marks, round_step


def ticks(low: float, high: float, most: int) -> list[float]:
    """2 to `most` multiples of a round step within `low`..`high`."""
    step = round_step((high - low) / (most - 1))
    while True:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last > first:
            break
        step = round_step(step * 0.4)
    every = 1 if last - first < most else last - first
    return [k * step for k in range(first, last + 1, every)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` logarithms of round values within `low`..`high` (powers of ten)."""
    marks = sorted({u for k in range(math.floor(low), math.ceil(high) + 1) for u in log_marks(k)})
    inside = [u for u in marks if low - 1e-9 <= u <= high + 1e-9]
    decades = [u for u in inside if u == round(u)]
    chosen = inside if len(inside) <= most or len(decades) < 2 else decades
    return chosen[:: math.ceil(len(chosen) / most)]


def spread(frame: Frame, rows: int) -> list[float]:
    """The marks of the y axis: as many as leave a row free between two labels."""
    view = frame.view
    for most in range(min(6, rows // 2 + 1), 1, -1):
        marks = (log_ticks if view.log else ticks)(view.bottom, view.top, most)
        at = [frame.row(10.0**mark if view.log else mark) * rows // frame.down for mark in marks]
        if all(abs(one - two) > 1 for one, two in pairwise(at)):
            break
    else:
        marks = (log_ticks if view.log else ticks)(view.bottom, view.top, 2)
    return marks


def x_labels(values: Sequence[float], axis: str) -> list[str]:
    """Texts for the values of `ticks` under a chart; where x is a learning rate they are its powers of ten."""
    return [f"1e{value:g}" for value in values] if axis == "lr" else tick_labels(values, log=False, percent=False)


def tick_labels(values: Sequence[float], *, log: bool, percent: bool) -> list[str]:
    """Texts for the values of `ticks` (all with as many decimals as one needs), or of `log_ticks`."""
    scale, unit = (100.0, " %") if percent else (1.0, "")
    if log:
        return [_short(10.0**u * scale) + unit for u in values]
    shown = [value * scale for value in values]
    close = 1e-6 * (shown[1] - shown[0])
    plain = max(map(abs, shown)) < 1e5
    for digits in range(5 if plain else 0):
        if all(abs(round(value, digits) - value) <= close for value in shown):
            return [f"{round(value, digits) + 0.0:.{digits}f}{unit}" for value in shown]
    digits = next(n for n in range(18) if all(abs(float(f"{v:.{n}e}") - v) <= close or n == 17 for v in shown))
    return [_scientific(value, digits) + unit for value in shown]


def _short(value: float) -> str:
    return f"{value:.6g}" if 1e-3 <= value < 1e5 else _scientific(value, 0)


def _scientific(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
