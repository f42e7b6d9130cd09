"""Runs side by side: their curves on one axis, and where their settings differ."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import DataTable, Static

from tui_trainer.comparison import POINTS, Point, differences, train_curve, val_curve
from tui_trainer.metric_names import label
from tui_trainer.past_runs import PastRun
from tui_trainer.text import display, duration
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.picture import Line
from tui_trainer.tui.widgets.steps import StepBar
from tui_trainer.tui.widgets.table import fill, shortened

FIRST_POINTS = 1500  # read for all runs together before the first picture; more follow behind it
LEAST = 24  # cells that a run has in the table, where the terminal is too narrow for all
IN_COLOUR = 4  # lines that can be told apart; of more runs only the one under the cursor has a colour
Curves = list[list[Point]]


class CompareScreen(Screen[None]):
    """Curves above, settings below; the cursor's column is the run that stands out."""

    BINDINGS = bindings(SCREENS["compare"])
    KEYS = "compare"

    def __init__(self, runs: Sequence[PastRun]) -> None:
        super().__init__()
        self._runs = list(runs)
        self._names = _told_apart([run.name for run in runs])
        metric = runs[0].metric
        self._metrics = tuple(dict.fromkeys((metric, "val_loss", "loss")))
        self._shown = 0
        self._rows: list[bool] = []  # of each row of the table, whether the runs differ there

    def compose(self) -> ComposeResult:
        """A chart, a sentence, a table."""
        yield StepBar("home")
        with Vertical():
            yield Chart(self._title, percent=self._metric.startswith("val_top"), id="overlay")
            yield Static(id="crosshair")
            yield DataTable(cursor_type="cell", zebra_stripes=True, fixed_columns=1)
        yield KeyBar()

    @property
    def _metric(self) -> str:
        return self._metrics[self._shown]

    @property
    def _title(self) -> str:
        part, _, name = self._metric.rpartition("_")
        return f"{part or 'train'} {label(name)}"

    def on_mount(self) -> None:
        """Fill both."""
        chart = self.query_one(Chart)
        chart.glyphs, chart.can_focus = getattr(self.app, "glyphs", "braille"), False
        self._fill()
        self._read()
        self.query_one(DataTable).focus()

    def on_resize(self) -> None:
        """Names and values have more room, or less."""
        if self._rows:
            table = self.query_one(DataTable)
            here = table.cursor_coordinate
            self._fill()
            table.move_cursor(row=here.row, column=here.column)

    def _fill(self) -> None:
        runs = self._runs
        facts = (
            ("state", [run.state for run in runs]),
            ("best", [run.best_in_words for run in runs]),
            ("epochs", [str(run.epochs) for run in runs]),
            ("time", [duration(run.seconds) if run.seconds else "" for run in runs]),
            ("note", [run.note.partition("\n")[0] for run in runs]),
        )
        settings = [(difference.name, list(difference.values), difference.differs) for difference in differences(runs)]
        settings.sort(key=lambda setting: not setting[2])  # stable: what differs first
        names = [*(name for name, _ in facts), *(name for name, *_ in settings)]
        most = self._most(max(map(len, names)))
        rows = [[Content.styled(name, "bold"), *(_cell(value, most) for value in values)] for name, values in facts]
        for name, values, differs in settings:
            style = "$text-warning" if differs else "$foreground-muted"
            rows.append([Content.styled(name, style), *(_cell(value, most, style) for value in values)])
        self._rows = [False] * len(facts) + [differs for *_, differs in settings]
        headers = ["", *(_cell(name, most).plain for name in self._names)]
        table = self.query_one(DataTable)
        fill(table, headers, rows)
        table.move_cursor(row=len(facts), column=1)

    def _most(self, names: int) -> int:
        """Cells that the value of a run may have: its share of what `names`, gaps and scrollbar leave."""
        room = self.size.width - 4 - (names + 2)
        return max(LEAST, room // len(self._runs) - 2)

    def _read(self) -> None:
        """A first picture at once, then all points behind it."""
        metric = self._metric
        self._draw(metric, self._curves(metric, max(40, FIRST_POINTS // len(self._runs))))
        if not metric.startswith("val_"):
            threading.Thread(target=self._read_more, args=(metric,), daemon=True).start()

    def _read_more(self, metric: str) -> None:
        self.app.call_later(self._draw, metric, self._curves(metric, POINTS))

    def _curves(self, metric: str, points: int) -> Curves:
        if metric.startswith("val_"):
            return [val_curve(run.folder, metric) for run in self._runs]
        return [train_curve(run.folder, metric, points) for run in self._runs]

    def _draw(self, metric: str, curves: Curves) -> None:
        if metric != self._metric or not self.is_attached:
            return
        self._drawn = curves
        chart = self.query_one(Chart)
        smooth = not metric.startswith("val_")
        for number in self._from_back():
            ghost = len(self._runs) > IN_COLOUR and number != self._chosen
            chart.set_series(Line(name=self._names[number], ghost=ghost, smooth=smooth), curves[number])
        chart.flush()

    @property
    def _chosen(self) -> int:
        return max(0, min(len(self._runs) - 1, self.query_one(DataTable).cursor_column - 1))

    def _from_back(self) -> list[int]:
        """The runs, the one that stands out last."""
        numbers = list(range(len(self._runs)))
        if len(numbers) > IN_COLOUR:
            numbers.append(numbers.pop(self._chosen))
        return numbers

    def on_data_table_cell_highlighted(self) -> None:
        """Another run stands out."""
        if len(self._runs) > IN_COLOUR and hasattr(self, "_drawn"):
            self._draw(self._metric, self._drawn)

    def on_chart_crosshair_moved(self, event: Chart.CrosshairMoved) -> None:
        """Say in words what stands there."""
        self.query_one("#crosshair", Static).update(Content(event.text))

    def action_difference(self, direction: int) -> None:
        """Jump to the next setting that differs, or to the one before."""
        table = self.query_one(DataTable)
        count = len(self._rows)
        rows = [(table.cursor_row + direction * step) % count for step in range(1, count + 1)]
        row = next((row for row in rows if self._rows[row]), None)
        if row is None:
            self.notify("All settings are the same.", timeout=2)
        else:
            table.move_cursor(row=row)

    def action_metric(self) -> None:
        """What the chart shows: the metric that counts, the validation loss, the loss of the steps."""
        self._shown = (self._shown + 1) % len(self._metrics)
        chart = self.query_one(Chart)
        chart.clear()
        chart.show_metric(self._title, percent=self._metric.startswith("val_top"))
        self._read()

    def action_crosshair(self, columns: int) -> None:
        """Move the crosshair."""
        self.query_one(Chart).move_crosshair(columns)

    def action_log_scale(self) -> None:
        """Linear or logarithmic."""
        self.query_one(Chart).toggle_log()

    def action_back(self) -> None:
        """To the list of runs."""
        self.dismiss()


def _cell(value: str, most: int, style: str = "") -> Content:
    """Of what is too long, both ends: names and paths differ there."""
    return shortened(Content.styled(display(value), style), most)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, numbered where two runs in different folders share one."""
    return [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]
