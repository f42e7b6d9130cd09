"""The rows of a chart as runs of text: header, plot, axes. Plain data, no terminal."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tui_trainer.text import display
from tui_trainer.tui.widgets import legend
from tui_trainer.tui.widgets.legend import Word
from tui_trainer.tui.widgets.raster import GLYPHS, Canvas, Frame, Layer, View
from tui_trainer.tui.widgets.series import (
    LADDER,
    Series,
    fit_limits,
    format_epoch,
    format_value,
    grown,
)
from tui_trainer.tui.widgets.ticks import spread, tick_labels, ticks, x_labels

COLOURS = 4
_MARKS = "*ox#"  # what draws a line where cells have no dots, by colour
SPOT = 1  # dots around the only sample of a line, whose single one would not be seen

Run = legend.Run


@dataclass(frozen=True, kw_only=True)
class Line:
    """How one series is shown."""

    name: str  # its word in the legend
    ghost: bool = False  # of an earlier run: dim, under the others, without its raw range
    smooth: bool = True  # follows the smoothing; else every sample is drawn as it is


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the user chose to see."""

    title: str
    axis: str = "epoch"  # what x is; of "lr" it is the power of ten
    percent: bool = False  # values in 0..1 are shown in percent
    log: bool = False  # logarithmic y axis
    level: int = 0  # index into LADDER
    window: tuple[float, float] | None = None  # epochs shown; None: the whole run, as it grows
    crosshair: float | None = None  # epoch of a sample

    def level_of(self, line: Line) -> int:
        """The smoothing level of a line."""
        return self.level if line.smooth else 0


def whole(series: Iterable[Series]) -> tuple[float, float] | None:
    """The first and last epoch that has a sample."""
    filled = [s for s in series if len(s)]
    return (min(s.first_x[0] for s in filled), max(s.last_x[-1] for s in filled)) if filled else None


def fit_view(series: Sequence[Series], look: Look, held: View | None) -> View:
    """What to show. The y axis of `held` stays where it still fits."""
    left, right = look.window or _growing(*(whole(series) or (0.0, 1.0)))
    low, high = _value_range(series, look)
    if low > high:
        return View(left=left, right=right, bottom=0.0, top=1.0, log=look.log)
    current = (held.bottom, held.top) if held else None
    bottom, top = fit_limits(current, low, high, log=look.log)
    if look.percent and not look.log and high <= 1.0:
        top = min(top, 1.0)
    return View(left=left, right=right, bottom=bottom, top=top, log=look.log)


def _growing(first: float, last: float) -> tuple[float, float]:
    """Round epochs around a run that goes on."""
    left = 0.0 if 0 <= first <= max(1.0, last / 4) else float(math.floor(first))
    return left, left + grown(max(last - left, abs(left) * 1e-9))


def _value_range(series: Sequence[Series], look: Look) -> tuple[float, float]:
    """The lowest and highest value in the window (lowest > highest: none)."""
    low, high = math.inf, -math.inf
    for s in series:
        if look.window is None:
            low, high = min(low, s.lowest_positive if look.log else s.lowest), max(high, s.highest)
        else:
            shown = slice(bisect_left(s.last_x, look.window[0]), bisect_right(s.first_x, look.window[1]))
            low = min([low, *(s.positive if look.log else s.low)[shown]])
            high = max([high, *s.high[shown]])
    return low, high


def notice(series: Sequence[Series], look: Look) -> str:
    """What to say where there is nothing to draw ("" where there is)."""
    if not any(len(s) or s.gaps for s in series):
        return "waiting for the first point"
    if not any(map(len, series)):
        return "no finite value yet"
    return "nothing above zero" if look.log and all(s.highest <= 0 for s in series) else ""


class Picture:
    """A chart of `width` x `height` cells (at least 1 x 1): what is where, drawn once and then amended."""

    def __init__(
        self,
        lines: Mapping[str, Line],
        series: Mapping[str, Series],
        look: Look,
        view: View,
        kind: str,
        width: int,
        height: int,
    ) -> None:
        self.lines, self.series, self.look, self.width, self.height = lines, series, look, width, height
        self.glyphs, self.notice = GLYPHS[kind], notice(list(series.values()), look)
        self._has_floor = height >= 10
        rows = max(1, height - (3 if self._has_floor else 2))
        marks = spread(Frame(view, 2, rows * len(self.glyphs.bits[0])), rows)
        labels = [] if self.notice else tick_labels(marks, log=look.log, percent=look.percent)
        self.gutter = max([5, *map(len, labels)]) + 1  # columns left of the plot
        self.canvas = Canvas(max(2, width - self.gutter), rows, self.glyphs)
        self.frame = Frame(view, self.canvas.across, self.canvas.down)
        places = (self.frame.row(10.0**mark if look.log else mark) for mark in marks)
        self._labels = {r // self.canvas.cell_down: label for r, label in zip(places, labels, strict=False)}
        self._layers, self._classes = self._stack()
        self.amend(0)

    def amend(self, first: int | None = None) -> dict[int, tuple[int, int]]:
        """Draw new samples. Gives the chart's rows that changed, each with its first and last column."""
        late = [s for s in self.series.values() if s.dirty < len(s)]
        if first is None:
            first = min(map(self._clean_column, late), default=self.canvas.across)
        changed = self.canvas.draw(self._layers, self.frame, first)
        for s in late:
            s.settle()
        return self._places(changed)

    def smooth(self, look: Look) -> dict[int, tuple[int, int]]:
        """Draw the averages of another level; what else there is stays. Gives what `amend` gives."""
        before, self.look = self._layers, look
        self._layers, self._classes = self._stack()
        if len(before) != len(self._layers):
            return self.amend(0)
        kept = {n for n, (old, new) in enumerate(zip(before, self._layers, strict=True)) if old == new}
        return self._places(self.canvas.draw(self._layers, self.frame, 0, kept))

    def _places(self, changed: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Rows and columns of the plot as those of the chart."""
        return {row + 1: (a + self.gutter, b + self.gutter) for row, (a, b) in changed.items()}

    def _clean_column(self, series: Series) -> int:
        """The first dot column that may have changed: the slot before has not, but its line goes on."""
        spot = SPOT if series.dirty == 1 else 0
        return max(0, self.frame.column(series.last_x[series.dirty - 1]) - spot) if series.dirty else 0

    def _stack(self) -> tuple[list[Layer], list[str]]:
        """The layers from the lowest up (ghosts, raw ranges, lines), and the style class of each."""
        ghosts = [line for line in self.lines.values() if line.ghost]
        inked = [line for line in self.lines.values() if not line.ghost]
        stack = [(self._layer(line, "."), "chart--ghost") for line in ghosts]
        for index, line in enumerate(inked):
            if self.look.level_of(line):
                band = Layer(series=self.series[line.name], mark=":")
                stack.append((band, f"chart--band-{index % COLOURS + 1}"))
        for index, line in enumerate(inked):
            stack.append((self._layer(line, _MARKS[index % COLOURS]), f"chart--line-{index % COLOURS + 1}"))
        return [layer for layer, _ in stack], [name for _, name in stack]

    def _layer(self, line: Line, mark: str) -> Layer:
        series, level = self.series[line.name], self.look.level_of(line)
        spot = SPOT if self.glyphs.cells else 0
        return Layer(series=series, level=level, mark=mark, name=line.name, spot=spot)

    def cell(self, x: float) -> int:
        """The plot column of epoch x."""
        return self.frame.column(x) // self.canvas.cell_across

    def sample(self, x: float | None, columns: int) -> float | None:
        """The epoch of the nearest sample at least that many columns from x (None: no sample in view).

        Past the ends, and where x is None, it is the last sample on that side; the newest for None.
        """
        left, right = self.frame.view.left, self.frame.view.right
        lists = [self.series[line.name].last_x for line in self.lines.values() if not line.ghost]
        spans = [(xs, bisect_left(xs, left), bisect_right(xs, right)) for xs in lists]
        spans = [(xs, start, stop) for xs, start, stop in spans if start < stop]
        if not spans:
            return None
        newest = max(xs[stop - 1] for xs, _, stop in spans)
        if x is None:
            return newest
        goal = self.cell(x) + columns
        if columns > 0:
            at = [(xs, bisect_left(xs, goal, start, stop, key=self.cell), stop) for xs, start, stop in spans]
            return min((xs[slot] for xs, slot, stop in at if slot < stop), default=newest)
        at = [(xs, bisect_right(xs, goal, start, stop, key=self.cell), start) for xs, start, stop in spans]
        oldest = min(xs[start] for xs, start, _ in spans)
        return max((xs[slot - 1] for xs, slot, start in at if slot > start), default=oldest)

    def row(self, y: int, look: Look) -> list[Run]:
        """Row y of the chart, from 1 on: plot, axis, epochs."""
        row, glyphs = y - 1, self.glyphs
        if row >= self.canvas.rows:
            return self._foot(is_floor=self._has_floor and row == self.canvas.rows)
        label = self._labels.get(row, "")
        axis = label.rjust(self.gutter - 1) + (glyphs.tick if label else glyphs.side)
        if self.notice and row == self.canvas.rows // 2:
            centred = self.notice.center(self.canvas.columns).rstrip()
            return legend.cut([(axis, "chart--axis"), (centred, "chart--notice")], self.width, glyphs.cut)
        texts, owners = self.canvas.text[row], self.canvas.owner[row]
        names = [self._classes[owner] if owner >= 0 else "" for owner in owners]
        at = -1 if look.crosshair is None else self.cell(look.crosshair)
        if 0 <= at < len(texts) and not names[at]:
            texts, names[at] = [*texts[:at], glyphs.side, *texts[at + 1 :]], "chart--crosshair"
        runs = [(axis, "chart--axis")]
        for name, cells in groupby(zip(names, texts, strict=True), key=lambda cell: cell[0]):
            runs.append(("".join(text for _, text in cells), name))
        return runs

    def _foot(self, *, is_floor: bool) -> list[Run]:
        """The lower axis, or the row of epochs under it."""
        columns, view = self.canvas.columns, self.frame.view
        marks = ticks(view.left, view.right, max(2, columns // 10))
        labels = [] if self.notice else x_labels(marks, self.look.axis)
        row, free = [self.glyphs.floor if is_floor else " "] * columns, 0
        for x, label in zip(marks, labels, strict=False):
            at = self.cell(x)
            start = max(0, min(at - len(label) // 2, columns - len(label)))
            if start < free:
                continue
            free = start + len(label) + 1
            if is_floor:
                row[at] = self.glyphs.foot
            else:
                row[start : start + len(label)] = label
        head = " " * (self.gutter - 1) + self.glyphs.corner if is_floor else self.look.axis.rjust(self.gutter - 1) + " "
        return [(head + "".join(row), "chart--axis")]

    def header(self, look: Look) -> list[Run]:
        """Title, the newest values (those at the crosshair, if there is one), and what was chosen."""
        return legend.header(look.title, self._words(look), self._status(look), self.width, self.glyphs.cut)

    def _words(self, look: Look) -> list[Word]:
        """A word for each line, those of earlier runs last."""
        words = [
            Word(
                mark="" if self.glyphs.cells else layer.mark,
                name=display(layer.name),
                value=_value(layer, look),
                style=name,
                ghost=name == "chart--ghost",
            )
            for layer, name in zip(self._layers, self._classes, strict=True)
            if layer.name
        ]
        return sorted(words, key=lambda word: word.ghost)

    def _status(self, look: Look) -> str:
        """What the chart shows other than by default."""
        words = ["log"] if look.log else []
        words += [f"smooth {LADDER[look.level]:g}"] if look.level else []
        extent = whole(self.series[line.name] for line in self.lines.values() if not line.ghost)
        if look.window and extent:
            factor = (extent[1] - extent[0]) / (look.window[1] - look.window[0])
            words.append(f"zoom {self.glyphs.times}{factor:.0f}")
        if look.crosshair is not None:
            words.append(f"epoch {format_epoch(look.crosshair)}")
        return "  ".join(words)


def _value(layer: Layer, look: Look) -> str:
    """The value of a line at the crosshair, or its newest."""
    series, level = layer.series, layer.level or 0
    if look.crosshair is None and series.broken:
        return "not finite"
    value = series.at(math.inf if look.crosshair is None else look.crosshair, level)
    return "" if value is None else format_value(value, look.percent)
