"""Lines as dots, and dots as character cells.

Letters: x in epochs, y a value; c and r are the column and row of a dot, r = 0 on top.
A cell holds `across` x `down` dots. In a cell that two layers reach, the later one is shown
alone, since a cell has one colour.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from tui_trainer.tui.widgets.series import Series

_FAR = 1e6  # dots; what lies farther out is drawn as if it were there


@dataclass(frozen=True, kw_only=True)
class Glyphs:
    """How one kind of terminal shows dots and axes."""

    bits: tuple[tuple[int, ...], ...]  # the bit of a dot, by its column and row in the cell
    cells: str  # the character by the sum of bits; "" where a layer's own mark is shown
    side: str = "│"  # the left axis and the crosshair
    tick: str = "┤"  # the left axis at a label
    floor: str = "─"  # the lower axis
    corner: str = "└"  # where both axes meet
    foot: str = "┬"  # the lower axis at a label
    times: str = "×"  # before the factor of a zoom
    cut: str = "…"  # after a text that was too long


GLYPHS = {
    "braille": Glyphs(
        bits=((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)),
        cells=" " + "".join(chr(0x2800 + mask) for mask in range(1, 256)),
    ),
    "half": Glyphs(bits=((1, 2),), cells=" ▀▄█"),
    "ascii": Glyphs(bits=((1,),), cells="", side="|", tick="+", floor="-", corner="+", foot="+", times="x", cut="~"),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """The part of the plane that is shown. With `log`, `bottom` and `top` are powers of ten."""

    left: float  # epochs
    right: float  # epochs
    bottom: float
    top: float
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One thing to draw: a series' average of a smoothing level, or its raw range (level None)."""

    series: Series
    level: int | None = None
    mark: str  # the character for it where cells have no dots
    name: str = ""  # its word in a legend, if it has one
    spot: int = 0  # dots around the only sample of a series


class Frame:
    """Where points lie in a view of `across` x `down` dots."""

    def __init__(self, view: View, across: int, down: int) -> None:
        self.view, self.across, self.down = view, across, down
        self._per_x = (across - 1) / (view.right - view.left)
        self._per_y = (down - 1) / (view.top - view.bottom)

    def column(self, x: float) -> int:
        """The dot column of x, which may lie outside."""
        dots = (x - self.view.left) * self._per_x
        return math.floor((dots if -_FAR < dots < _FAR else math.copysign(_FAR, dots)) + 0.5)

    def end(self, c: int) -> float:
        """Where dot column c ends, but for rounding."""
        return self.view.left + (c + 0.5) / self._per_x if self._per_x else math.inf

    def row(self, y: float) -> int:
        """The dot row of y, which may lie outside; below the last row if y has no logarithm."""
        if self.view.log:
            if y <= 0.0:
                return self.down
            y = math.log10(y)
        dots = (self.view.top - y) * self._per_y
        return math.floor((dots if -_FAR < dots < _FAR else math.copysign(_FAR, dots)) + 0.5)


class Trace:
    """One layer's dots: in each dot column the rows from `top` to `bottom` (top > bottom: none)."""

    def __init__(self, across: int, down: int) -> None:
        self.top, self.bottom = [down] * across, [-1] * across
        self._across, self._down = across, down
        self._first = 0  # columns before it are not touched

    def draw(self, layer: Layer, frame: Frame, first: int) -> None:
        """Draw the dot columns from `first` on anew."""
        self._first = first
        self.top[first:] = [self._down] * (self._across - first)
        self.bottom[first:] = [-1] * (self._across - first)
        if layer.level is None or layer.level == 0:
            self._draw_range(layer.series, frame)
        else:
            self._draw_average(layer.series, layer.level, frame)
        if layer.spot and len(layer.series) == 1:
            self._draw_spot(layer.series, layer.spot, frame)

    def _draw_spot(self, series: Series, spot: int, frame: Frame) -> None:
        middle, row = frame.column(series.last_x[0]), frame.row(series.low[0])
        if 0 <= row < self._down:
            for c in range(middle - spot, middle + spot + 1):
                self._mark(c, row - spot, row + spot)

    def _draw_average(self, series: Series, level: int, frame: Frame) -> None:
        before: tuple[int, int] | None = None
        for c, start, stop in _groups(series, frame, self._first):
            values: Sequence[float] = series.smooth[level][start:stop]
            lows, log, first, last = series.low[start:stop], frame.view.log, True, True
            if max(lows) == math.inf or (log and min(values) <= 0.0):  # rare, so that this may be slow
                here = [low < math.inf and (y > 0.0 or not log) for low, y in zip(lows, values, strict=True)]
                values, first, last = [*compress(values, here)], here[0], here[-1]
            if values:
                self._mark(c, frame.row(max(values)), frame.row(min(values)))
                if before and first:
                    self._join(*before, c, frame.row(values[0]))
            before = (c, frame.row(values[-1])) if last else None

    def _draw_range(self, series: Series, frame: Frame) -> None:
        before: tuple[int, int] | None = None
        lows = series.positive if frame.view.log else series.low
        for c, start, stop in _groups(series, frame, self._first):
            low, high = min(lows[start:stop]), max(series.high[start:stop])
            if low <= high:
                self._mark(c, frame.row(high), frame.row(low))
            if lows[start] <= series.high[start]:
                top, bottom = frame.row(series.high[start]), frame.row(lows[start])
                begin = frame.column(series.first_x[start])  # before c, if zoomed in beyond the slots
                self._fill(begin, c, top, bottom)
                if before:  # to the nearest that the next sample can be
                    self._join(*before, begin, min(max(before[1], top), bottom))
            last = series.smooth[0][stop - 1]
            is_value = lows[stop - 1] <= series.high[stop - 1] and (last > 0.0 or not frame.view.log)
            before = (c, frame.row(last)) if is_value else None

    def _mark(self, c: int, top: int, bottom: int) -> None:
        if self._first <= c < self._across:
            if top < self.top[c]:
                self.top[c] = max(top, 0)
            if bottom > self.bottom[c]:
                self.bottom[c] = min(bottom, self._down - 1)

    def _fill(self, first: int, last: int, top: int, bottom: int) -> None:
        for c in range(max(first, self._first), min(last, self._across - 1) + 1):
            self._mark(c, top, bottom)

    def _join(self, c0: int, r0: int, c1: int, r1: int) -> None:
        """A straight line; each column takes the rows that it crosses within the column's width."""
        if c1 <= c0:
            self._mark(c1, min(r0, r1), max(r0, r1))
            return
        slope = (r1 - r0) / (c1 - c0)
        if c1 == c0 + 1 and r0 == r1:  # the usual case of a dense line
            self._mark(c1, r1, r1)
            return
        for c in range(max(c0, self._first), min(c1, self._across - 1) + 1):
            start = math.floor(r0 + slope * (max(c - 0.5, c0) - c0) + 0.5)
            stop = math.floor(r0 + slope * (min(c + 0.5, c1) - c0) + 0.5)
            if start != stop and c > c0:  # that row is in the column before
                start += 1 if slope > 0 else -1
            self._mark(c, min(start, stop), max(start, stop))


def _groups(series: Series, frame: Frame, first: int) -> Iterator[tuple[int, int, int]]:
    """Slots by dot column (c, start, stop), from the last column before `first` to one outside."""
    xs, column = series.last_x, frame.column
    start = bisect_left(xs, first, key=column)
    if start:
        start = bisect_left(xs, column(xs[start - 1]), key=column)
    while start < len(xs):
        c, stop = column(xs[start]), start + 1
        if stop < len(xs) and column(xs[stop]) == c:
            stop = bisect_right(xs, frame.end(c), stop)  # a key would cost a call for each sample that it looks at
            while stop < len(xs) and column(xs[stop]) <= c:
                stop += 1
            while column(xs[stop - 1]) > c:
                stop -= 1
        yield c, start, stop
        if c >= frame.across:
            return
        start = stop


class Canvas:
    """`columns` x `rows` cells. `text` and `owner` say by row and column what stands there.

    The owner is an index into the layers, -1 where nothing is.
    """

    def __init__(self, columns: int, rows: int, glyphs: Glyphs) -> None:
        self.columns, self.rows, self.glyphs = columns, rows, glyphs
        self.cell_across, self.cell_down = len(glyphs.bits), len(glyphs.bits[0])
        self.across, self.down = columns * self.cell_across, rows * self.cell_down
        self.text = [[" "] * columns for _ in range(rows)]
        self.owner = [[-1] * columns for _ in range(rows)]
        self._traces: list[Trace] = []
        self._empty = [True] * columns

    def draw(
        self, layers: Sequence[Layer], frame: Frame, first: int = 0, kept: Collection[int] = ()
    ) -> dict[int, tuple[int, int]]:
        """Draw `layers`, later ones on top, from dot column `first` on (0 if the layers are others).

        Those whose index is in `kept` are as they were. Gives the rows that changed, each with its first and last
        changed column.
        """
        if len(self._traces) != len(layers):
            self._traces = [Trace(self.across, self.down) for _ in layers]
        for index, (trace, layer) in enumerate(zip(self._traces, layers, strict=True)):
            if index not in kept:
                trace.draw(layer, frame, first)
        changed: dict[int, tuple[int, int]] = {}
        for column in range(first // self.cell_across, self.columns):
            for row in self._compose(column, layers):
                changed[row] = changed.get(row, (column, column))[0], column
        return changed

    def _compose(self, column: int, layers: Sequence[Layer]) -> list[int]:
        """Put one column of cells together. Gives the rows that changed."""
        begin = column * self.cell_across
        dots = range(begin, begin + self.cell_across)
        empty = all(trace.top[c] > trace.bottom[c] for trace in self._traces for c in dots)
        if empty and self._empty[column]:
            return []
        self._empty[column] = empty
        owners, masks = [-1] * self.rows, [0] * self.rows
        for index, trace in enumerate(self._traces):
            for c in dots:
                self._stack(trace.top[c], trace.bottom[c], self.glyphs.bits[c - begin], index, owners, masks)
        cells, changed = self.glyphs.cells, []
        for row, (owner, mask) in enumerate(zip(owners, masks, strict=True)):
            text = " " if owner < 0 else cells[mask] if cells else layers[owner].mark
            if self.owner[row][column] != owner or self.text[row][column] != text:
                self.owner[row][column], self.text[row][column] = owner, text
                changed.append(row)
        return changed

    def _stack(
        self, top: int, bottom: int, bits: tuple[int, ...], index: int, owners: list[int], masks: list[int]
    ) -> None:
        """Add the dots `top` to `bottom` of one dot column, over the layers below."""
        down = self.cell_down
        for row in range(top // down, bottom // down + 1) if top <= bottom else ():
            if owners[row] != index:
                owners[row], masks[row] = index, 0
            begin = row * down
            masks[row] |= sum(bits[max(top - begin, 0) : bottom - begin + 1])
