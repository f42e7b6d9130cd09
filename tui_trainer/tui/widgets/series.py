"""What a chart knows about its lines: bounded storage, honest smoothing, and words for them.

Letters: x is a time in epochs, y a value (loss, or accuracy in 0..1). Nothing here draws.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from tui_trainer.text import display

LADDER = (0.0, 0.6, 0.9, 0.97, 0.99)
"""Smoothing factors. All run while samples arrive, so that another one can be shown later."""

_MANTISSAS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.5)
_LARGEST = 1e200  # beyond it, sums and differences of a chart's values would overflow
_NEWEST_EPOCHS = 100  # how far back a trend is looked for; bounds what a crosshair step costs


class Series:
    """One line of a chart, of any length, in at most `capacity` slots (an even number).

    Each slot sums up `stride` samples in a row. When all slots are full, neighbours are merged
    and the stride doubles. The averages have seen every sample by then. Values that are not
    finite are gaps: counted in `gaps`, and a slot that holds nothing else has low > high.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self.capacity = capacity
        self.stride = 1  # samples per slot
        self.gaps = 0  # samples that were NaN or infinite
        self.misplaced = 0  # samples left out, because x went back or was not finite
        self.dirty = 0  # first slot that changed since `settle`
        self.broken = False  # the newest sample is a gap
        self.first_x = array("d")  # all arrays: one entry per slot
        self.last_x = array("d")
        self.low = array("d")  # of the finite samples
        self.high = array("d")
        self.positive = array("d")  # the lowest sample above zero, for a logarithmic axis
        self.total = array("d")  # sum of the finite samples
        self.count = array("d")  # number of finite samples
        self.smooth = tuple(array("d") for _ in LADDER)  # averages after the last sample, by level
        self.lowest, self.highest, self.lowest_positive = math.inf, -math.inf, math.inf
        self._room = 0  # samples that the newest slot still takes
        self._averages = [0.0] * len(LADDER)
        self._weights = [0.0] * len(LADDER)  # 1 - factor ** samples, which corrects the bias

    def __len__(self) -> int:
        return len(self.last_x)

    def append(self, x: float, y: float) -> None:
        """Take one sample. Its x must not be smaller than the one before."""
        if not abs(x) <= _LARGEST or (self.last_x and x < self.last_x[-1]):
            self.misplaced += 1
            return
        self.broken = not abs(y) <= _LARGEST
        self.gaps += self.broken
        if self.broken and not self.last_x:
            return
        if not self.broken:
            self._average(y)
        self._reserve(x)
        if not self.broken:
            self._put(y)

    def extend(self, points: Iterable[tuple[float, float]]) -> None:
        """Take samples (x, y) in the order of x."""
        for x, y in points:
            self.append(x, y)

    def squeeze(self, since: float, factor: float) -> None:
        """Move what lies after `since` towards it."""
        for xs in (self.first_x, self.last_x):
            for i in range(bisect_right(xs, since), len(xs)):
                xs[i] = since + (xs[i] - since) * factor
        self.dirty = 0

    def settle(self) -> None:
        """Say that everything up to here has been drawn."""
        self.dirty = len(self)

    def at(self, x: float, level: int) -> float | None:
        """The average of `level` at the last sample not after x (None: a gap, or before the first)."""
        slot = bisect_right(self.last_x, x) - 1
        return None if slot < 0 or self.low[slot] > self.high[slot] else self.smooth[level][slot]

    def epoch_means(self, last: int) -> dict[int, float]:
        """The mean of each of the newest epochs up to `last`, where epoch k holds k - 1 < x <= k."""
        sums: dict[int, tuple[float, float]] = {}
        slot = bisect_right(self.last_x, last + 1e-6)
        while slot:
            slot -= 1
            epoch = math.ceil(self.last_x[slot] - 1e-6)
            if epoch <= last - _NEWEST_EPOCHS:
                break
            total, count = sums.get(epoch, (0.0, 0.0))
            sums[epoch] = total + self.total[slot], count + self.count[slot]
        return {epoch: total / count for epoch, (total, count) in sums.items() if count}

    def _average(self, y: float) -> None:
        """Move the averages by one sample.

        Adding a share of the difference keeps a constant exactly constant, unlike sum / weight.
        """
        for level, factor in enumerate(LADDER):
            weight = self._weights[level] = self._weights[level] * factor + (1.0 - factor)
            self._averages[level] += (y - self._averages[level]) * ((1.0 - factor) / weight)

    def _reserve(self, x: float) -> None:
        """Make the newest slot reach to x, in a new slot where the newest is full."""
        if self._room:
            self._room -= 1
            self.last_x[-1] = x
        else:
            if len(self) == self.capacity:
                self._halve()
            self._room = self.stride - 1
            self.first_x.append(x)
            self.last_x.append(x)
            for column, empty in self._bounds():
                column.append(empty)
            for smooth, average in zip(self.smooth, self._averages, strict=True):
                smooth.append(average)
        self.dirty = min(self.dirty, len(self) - 1)

    def _bounds(self) -> tuple[tuple[array[float], float], ...]:
        """The arrays that grow with a sample's value, and what an empty slot holds."""
        return (
            (self.low, math.inf),
            (self.high, -math.inf),
            (self.positive, math.inf),
            (self.total, 0.0),
            (self.count, 0.0),
        )

    def _put(self, y: float) -> None:
        """Add a finite sample to the newest slot."""
        if y < self.low[-1]:
            self.low[-1] = y
            self.lowest = min(self.lowest, y)
        if y > self.high[-1]:
            self.high[-1] = y
            self.highest = max(self.highest, y)
        if 0.0 < y < self.positive[-1]:
            self.positive[-1] = y
            self.lowest_positive = min(self.lowest_positive, y)
        self.total[-1] += y
        self.count[-1] += 1.0
        for smooth, average in zip(self.smooth, self._averages, strict=True):
            smooth[-1] = average

    def _halve(self) -> None:
        """Merge slots 0 and 1, 2 and 3, and so on."""
        self.first_x = self.first_x[::2]
        self.last_x = self.last_x[1::2]
        self.low = array("d", map(min, self.low[::2], self.low[1::2]))
        self.high = array("d", map(max, self.high[::2], self.high[1::2]))
        self.positive = array("d", map(min, self.positive[::2], self.positive[1::2]))
        self.total = array("d", map(sum, zip(self.total[::2], self.total[1::2], strict=True)))
        self.count = array("d", map(sum, zip(self.count[::2], self.count[1::2], strict=True)))
        self.smooth = tuple(column[1::2] for column in self.smooth)
        self.stride *= 2
        self.dirty = 0


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least` (above zero)."""
    power = math.floor(math.log10(least))
    return next(step for m in (1, 2, 5, 10, 20) if (step := float(f"{m}e{power}")) >= least * (1 - 1e-9))


def log_marks(power: int) -> tuple[float, float, float]:
    """The logarithms of 1, 2 and 5 times 10^power."""
    return float(power), power + math.log10(2), power + math.log10(5)


def fit_limits(current: tuple[float, float] | None, low: float, high: float, *, log: bool) -> tuple[float, float]:
    """Round limits for an axis of values `low`..`high`; powers of ten, both above zero, if `log`.

    The `current` limits stay while the values are inside and fill 40 % of them, so that the axis
    does not jitter.
    """
    if log:
        low, high = math.log10(low), math.log10(high)
    if current and current[0] <= low and high <= current[1] and high - low >= 0.4 * (current[1] - current[0]):
        return current
    return _log_limits(low, high) if log else _linear_limits(low, high)


def _linear_limits(low: float, high: float) -> tuple[float, float]:
    largest = max(abs(low), abs(high))
    if high - low <= max(largest * 1e-9, 1e-280):  # one value, as far as an axis can tell
        pad = largest * 0.1 if largest > 1e-280 else 1.0
        low, high = (low - pad, high + pad) if low else (0.0, pad)
    step = round_step((high - low) / 4)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _log_limits(low: float, high: float) -> tuple[float, float]:
    marks = [u for k in range(math.floor(low) - 1, math.ceil(high) + 2) for u in log_marks(k)]
    first = max(u for u in marks if u <= low + 1e-9)
    return first, min(u for u in marks if u >= high - 1e-9 and u > first)


def grown(span: float) -> float:
    """The round number of epochs that an axis reaches to, which must hold `span` epochs."""
    scale = 10.0 ** math.floor(math.log10(max(span, 0.01)))
    return next(scale * m for m in _MANTISSAS if scale * m >= span)


def run_length(values: Sequence[float]) -> int:
    """How many steps in a row `values` has been rising (positive) or falling (negative) at its end."""
    if len(values) < 2 or values[-1] == values[-2]:
        return 0
    sign = 1 if values[-1] > values[-2] else -1
    steps = 0
    for before, after in zip(reversed(values[:-1]), reversed(values), strict=False):
        if (after - before) * sign <= 0:
            break
        steps += 1
    return sign * steps


def gap_trend(first: dict[int, float], second: dict[int, float]) -> str:
    """Words for how the distance of two lines has moved, from their means by epoch ("": no trend)."""
    epochs = sorted(first.keys() & second.keys())
    steps = run_length([abs(first[epoch] - second[epoch]) for epoch in epochs])
    if abs(steps) < 2:
        return ""
    span = epochs[-1] - epochs[-1 - abs(steps)]
    return f"gap {'rising' if steps > 0 else 'falling'} for {span} epochs"


def describe(x: float, lines: Sequence[tuple[str, Series, int]], *, percent: bool) -> str:
    """A sentence for epoch x: the value of each line (name, series, level), then how the gap moves.

    The gap is the distance between the first two lines, over the epochs that are complete at x.
    """
    parts = []
    for name, series, level in lines:
        if len(series) and series.first_x[0] <= x:
            value = series.at(x, level)
            parts.append(f"{display(name)} {'not finite' if value is None else format_value(value, percent)}")
    if len(lines) > 1:
        last = math.floor(x + 1e-6)
        trend = gap_trend(lines[0][1].epoch_means(last), lines[1][1].epoch_means(last))
        parts += [trend] if trend else []
    return f"epoch {format_epoch(x)}: {', '.join(parts)}"


def format_epoch(x: float) -> str:
    """An epoch with one decimal where that is exact, else with three."""
    return f"{x:.1f}" if abs(x * 10 - round(x * 10)) < 1e-6 else f"{x:.3f}"


def format_value(y: float, percent: bool) -> str:
    """A value with three significant digits, as a share of 100 if `percent`."""
    if percent:
        return f"{y * 100:.1f} %"
    if y == 0:
        return "0"
    if not 1e-3 <= abs(y) < 1e5:
        mantissa, exponent = f"{y:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    digits = max(0, 2 - math.floor(math.log10(abs(y))))
    return f"{y:.{digits}f}"
