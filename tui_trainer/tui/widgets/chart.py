"""A live line chart: several series over one axis of epochs, drawn only where something changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text import display
from tui_trainer.tui.keys import CHART, bindings
from tui_trainer.tui.widgets.lines import plain_strips
from tui_trainer.tui.widgets.picture import COLOURS, Line, Look, Picture, Run, fit_view, notice, whole
from tui_trainer.tui.widgets.raster import View
from tui_trainer.tui.widgets.series import LADDER, Series, describe


class Chart(Widget, can_focus=True):
    """A line chart in epochs. Appending draws nothing: `flush` draws what has changed since."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"chart--{part}" for part in ("title", "axis", "notice", "crosshair", "ghost")),
        *(f"chart--{part}-{colour}" for part in ("line", "band") for colour in range(1, COLOURS + 1)),
    }

    DEFAULT_CSS = """
    Chart {
        width: 1fr; height: 1fr;
        & > .chart--title { text-style: bold; }
        &:focus > .chart--title { text-style: bold reverse; }
        & > .chart--axis { color: $text-muted; }
        & > .chart--notice { color: $foreground; text-style: dim; }
        & > .chart--crosshair { color: $foreground; }
        & > .chart--ghost { color: $foreground; text-style: dim; }
        & > .chart--line-1, & > .chart--band-1 { color: $text-primary; }
        & > .chart--line-2, & > .chart--band-2 { color: $text-warning; }
        & > .chart--line-3, & > .chart--band-3 { color: $text-success; }
        & > .chart--line-4, & > .chart--band-4 { color: $text-error; }
        & > .chart--band-1, & > .chart--band-2, & > .chart--band-3, & > .chart--band-4 { text-style: dim; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHART)

    glyphs = reactive("braille", init=False)  # braille, half or ascii

    @dataclass
    class CrosshairMoved(Message):
        """The crosshair moved, or what stands at it changed."""

        chart: Chart
        x: float | None  # epochs; None: there is no crosshair
        text: str  # the sentence for x, "" without crosshair

    def __init__(
        self,
        title: str,
        lines: Sequence[Line] = (),
        *,
        axis: str = "epoch",
        percent: bool = False,
        log: bool = False,
        smoothing: float = 0.0,
        glyphs: str = "braille",
        id: str | None = None,  # noqa: A002 - as in every widget
    ) -> None:
        super().__init__(id=id)
        self.set_reactive(Chart.glyphs, glyphs)
        level = min(range(len(LADDER)), key=lambda rung: abs(LADDER[rung] - smoothing))
        self._look = Look(title=display(title), axis=axis, percent=percent, log=log, level=level)
        self._lines = {line.name: line for line in lines}
        self._series = {line.name: Series() for line in lines}
        self._changed = False  # since the last flush
        self._view: View | None = None  # last shown; None: the y axis may jump
        self._picture: Picture | None = None  # None: all is to be drawn anew
        self._strips: list[Strip | None] = []
        self._found: dict[str, Style] = {}  # a refresh empties the widget's own cache

    def show_metric(self, title: str, *, percent: bool) -> None:
        """Be the chart of another metric."""
        self._see(replace(self._look, title=title, percent=percent))

    def append(self, name: str, x: float, y: float) -> None:
        """Take one sample at epoch x. A new name gets a line of its own."""
        if name not in self._series:
            self.set_series(Line(name=name))
        self._series[name].append(x, y)
        self._changed = True

    def extend(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        """Take samples (epoch, value) in order."""
        for point in points:
            self.append(name, *point)

    def set_series(self, line: Line, points: Iterable[tuple[float, float]] = ()) -> None:
        """Put `points` in the place of all that the line of that name had."""
        self._lines[line.name], self._series[line.name] = line, Series()
        self.extend(line.name, points)
        self._view = None
        self._redraw()

    def squeeze(self, name: str, since: float, factor: float) -> None:
        """Move what a line has after epoch `since` towards it."""
        self._series[name].squeeze(since, factor)
        self._redraw()

    def clear(self) -> None:
        """Forget all samples; the lines stay in the legend."""
        self._series = {name: Series() for name in self._lines}
        self.clear_crosshair()
        self.follow()

    def flush(self) -> None:
        """Draw what has changed since the last call."""
        picture = self._picture
        if picture is None or not self._changed:
            return
        self._changed = False
        if picture.notice or (self._look.window is None and self._fit() != picture.frame.view):
            self._redraw()
            return
        self._refresh_rows(picture, picture.amend())

    def _refresh_rows(self, picture: Picture, changed: Mapping[int, tuple[int, int]]) -> None:
        """Draw these parts of rows, and the header if it is another one."""
        rows = {row: span for row, span in changed.items() if row < len(self._strips)}  # a chart may be cut off
        for row in rows:
            self._strips[row] = None
        regions = [Region(first, row, last - first + 1, 1) for row, (first, last) in rows.items()]
        header = self._strip(picture.header(self._look))
        if header != self._strips[0]:
            self._strips[0] = header
            regions.append(Region(0, 0, self.size.width, 1))
        if regions:
            self.refresh(*regions)

    def toggle_log(self) -> None:
        """Change between a logarithmic and a linear y axis."""
        self._see(replace(self._look, log=not self._look.log))

    def smoother(self, steps: int) -> None:
        """Go up (or down) the ladder of smoothing factors."""
        level, picture = max(0, min(len(LADDER) - 1, self._look.level + steps)), self._picture
        if picture is None or picture.notice:
            self._see(replace(self._look, level=level))
        elif level != self._look.level:
            self._look = replace(self._look, level=level)
            self._refresh_rows(picture, picture.smooth(self._look))
        self._tell()

    def zoom_in(self) -> None:
        """Show half the epochs, around the crosshair or at the end, and stop following."""
        extent = self._run()
        if extent is None:
            return
        left, right = self._look.window or extent
        held = max(bisect_right(s.last_x, right) - bisect_left(s.last_x, left) for s in self._series.values())
        if held < 4:  # there is nothing more to see
            return
        quarter, middle = (right - left) / 4, self._look.crosshair
        self._show(right - quarter if middle is None else middle, quarter, extent)

    def zoom_out(self) -> None:
        """Show twice the epochs; past the whole run, follow it again."""
        extent = self._run()
        if self._look.window and extent:
            left, right = self._look.window
            self._show((left + right) / 2, right - left, extent)

    def follow(self) -> None:
        """Show the whole run, and grow with it."""
        self._see(replace(self._look, window=None))

    def move_crosshair(self, columns: int) -> None:
        """Move the crosshair by at least that many columns, on to a sample."""
        x = (self._picture or self._build()).sample(self._look.crosshair, columns)
        if x is not None:
            self._cross(x)

    def clear_crosshair(self) -> None:
        """Remove the crosshair."""
        if self._look.crosshair is not None:
            self._cross(None)

    def sentence(self) -> str:
        """What the chart shows at the crosshair, or at the end where there is none."""
        extent = self._run()
        if extent is None:
            return notice(list(self._series.values()), self._look)
        x = extent[1] if self._look.crosshair is None else self._look.crosshair
        lines = sorted(self._lines.values(), key=lambda line: line.ghost)
        shown = [(line.name, self._series[line.name], self._look.level_of(line)) for line in lines]
        return describe(x, shown, percent=self._look.percent)

    action_move_crosshair = move_crosshair
    action_clear_crosshair = clear_crosshair
    action_zoom_in = zoom_in
    action_zoom_out = zoom_out
    action_follow = follow
    action_toggle_log = toggle_log
    action_smoother = smoother

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the escape key to others where there is no crosshair."""
        return self._look.crosshair is not None if action == "clear_crosshair" else True

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self._found.clear()
        self._strips = [None] * len(self._strips)

    def watch_glyphs(self) -> None:
        """Draw with the other characters."""
        self._redraw()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Rows of the chart, laid out for the size that it has now."""
        picture = self._picture
        if picture is not None and (picture.width, picture.height) != self.size:
            self._picture = None
        return plain_strips(self, crop, self.render_line)

    def render_line(self, y: int) -> Strip:
        """One row of the chart: header, plot, axis, or epochs."""
        picture = self._picture or self._build()
        strip = self._strips[y]
        if strip is None:
            runs = picture.row(y, self._look) if y else picture.header(self._look)
            strip = self._strips[y] = self._strip(runs)
        return strip

    def _strip(self, runs: Sequence[Run]) -> Strip:
        strip = Strip([Segment(text, self._style(name)) for text, name in runs])
        return strip.adjust_cell_length(self.size.width, self._style(""))

    def _style(self, name: str) -> Style:
        """The style of a component class; the chart's own for ""."""
        if name not in self._found:
            self._found[name] = self.get_component_rich_style(name) if name else self.rich_style
        return self._found[name]

    def _run(self) -> tuple[float, float] | None:
        """The first and last epoch of the run, without earlier ones."""
        return whole(self._series[line.name] for line in self._lines.values() if not line.ghost)

    def _fit(self) -> View:
        return fit_view(list(self._series.values()), self._look, self._view)

    def _build(self) -> Picture:
        """Lay the chart out for its size, and draw all of it."""
        width, height = max(1, self.size.width), max(1, self.size.height)
        self._view = self._fit()
        self._strips = [None] * height
        self._picture = Picture(self._lines, self._series, self._look, self._view, self.glyphs, width, height)
        return self._picture

    def _redraw(self) -> None:
        self._picture = None
        self.refresh()

    def _see(self, look: Look) -> None:
        """Draw all anew, as `look` says."""
        self._look, self._view = look, None
        self._redraw()

    def _show(self, middle: float, reach: float, extent: tuple[float, float]) -> None:
        """Show the epochs within `reach` of `middle`, moved so as to lie in the run."""
        first, last = extent
        if 2 * reach >= last - first:
            self.follow()
        elif 2 * reach > max((last - first) / 5000, abs(last) * 1e-9):  # a slot is not narrower
            right = min(last, max(middle + reach, first + 2 * reach))  # exact, to keep the last sample
            self._see(replace(self._look, window=(right - 2 * reach, right)))

    def _cross(self, x: float | None) -> None:
        """Put the crosshair at epoch x; only its columns and the header are drawn."""
        before, self._look = self._look.crosshair, replace(self._look, crosshair=x)
        self._strips = [None] * len(self._strips)
        picture = self._picture
        if picture is None:
            self.refresh()
        else:
            columns = [picture.gutter + picture.cell(at) for at in (before, x) if at is not None]
            bars = [Region(column, 1, 1, self.size.height - 1) for column in columns if 0 < column < self.size.width]
            self.refresh(Region(0, 0, self.size.width, 1), *bars)
        self._tell()

    def _tell(self) -> None:
        x = self._look.crosshair
        self.post_message(self.CrosshairMoved(self, x, "" if x is None else self.sentence()))
