"""The curves of one run: its loss, and what counts for its task, side by side over one axis of epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal

from tui_trainer.comparison import best_before, val_curve
from tui_trainer.events import Evaluated, Event, Progress, RunStarted
from tui_trainer.metric_names import HEADLINES, RATES, label
from tui_trainer.run_folder import RunFolder
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.picture import Line

FIRST_LENGTH = 64  # batches that an epoch of unknown length is drawn with at first
LINES = Line(name="train"), Line(name="val", smooth=False)


class RunCurves(Horizontal):
    """Two charts that move together. Adding events draws nothing: `flush` does."""

    def __init__(self) -> None:
        super().__init__(id="charts")
        self._score = "top1"  # what the second chart shows
        self._shown = 0  # both, the first, the second
        self._sentences: dict[str, str] = {}  # what the crosshair of each chart reads
        self._length = self._newest = 0  # batches that an epoch of a stream is drawn with, and how many have come
        self._charts = {  # kept here, since looking a widget up costs more than a tick
            "loss": Chart("loss", LINES, smoothing=0.6, id="loss"),
            "score": Chart("top-1", LINES, percent=True, smoothing=0.6, id="score"),
        }

    def compose(self) -> ComposeResult:
        """Both; keys are the screen's."""
        for chart in self._charts.values():
            chart.can_focus = False
            chart.glyphs = getattr(self.app, "glyphs", "braille")
            yield chart

    @property
    def sentence(self) -> str:
        """What stands at the crosshair of the chart that is shown first."""
        return self._sentences.get("loss" if self._shown < 2 else "score", "")

    def clear(self) -> None:
        """Forget all points."""
        self._length = self._newest = 0
        for chart in self._charts.values():
            chart.clear()

    def start(self, event: RunStarted, folder: RunFolder | None, before: Iterable[Event]) -> None:
        """A run begins, or goes on: what it trained after that step is taken off and `before` put in its place."""
        self._score = HEADLINES.get(event.task, "top1")
        self._charts["score"].show_metric(label(self._score), percent=self._score in RATES)
        if event.step:
            self.clear()
            for past in before:
                self.add(past)
        ghost = best_before(folder) if folder is not None else None
        if ghost is not None:
            for chart, name in self._metrics():
                line = Line(name="before", ghost=True, smooth=False)
                chart.set_series(line, val_curve(ghost.folder, f"val_{name}"))

    def add(self, event: Event) -> None:
        """Take the points of an event."""
        if isinstance(event, Progress) and event.part == "train":
            x = event.epoch + self._done(event)
            for chart, name in self._metrics():
                chart.append("train", x, event.metrics.get(f"batch_{name}", math.nan))
        elif isinstance(event, Evaluated):
            self._end_unknown(event.epoch, self._newest)
            self._length = self._newest = 0
            for chart, name in self._metrics():
                chart.append("val", event.epoch + 1, event.metrics.get(f"val_{name}", math.nan))

    def _done(self, event: Progress) -> float:
        """How much of its epoch is trained: of a stream that has not ended yet, the share of a length that doubles."""
        if event.batches:
            return min(1.0, event.batch / event.batches)
        self._newest = event.batch
        while event.batch > self._length:
            self._end_unknown(event.epoch, 2 * max(self._length, FIRST_LENGTH // 2))
        return event.batch / self._length

    def _end_unknown(self, epoch: int, length: int) -> None:
        """An epoch that was drawn with so many batches as `_length` is one of `length`."""
        if self._length and length:
            for chart in self._charts.values():
                chart.squeeze("train", epoch, self._length / length)
        self._length = length

    def _metrics(self) -> tuple[tuple[Chart, str], ...]:
        return (self._charts["loss"], "loss"), (self._charts["score"], self._score)

    def flush(self) -> None:
        """Draw what has changed."""
        for chart in self._charts.values():
            chart.flush()

    def next_metric(self) -> None:
        """Both charts, the loss alone, the other metric alone."""
        self._shown = (self._shown + 1) % 3
        for number, chart in enumerate(self._charts.values(), 1):
            chart.display = self._shown in (0, number)

    def toggle_log(self) -> None:
        """Linear or logarithmic loss."""
        self._charts["loss"].toggle_log()

    def smoother(self, steps: int) -> None:
        """Average over more or fewer samples."""
        for chart in self._charts.values():
            chart.smoother(steps)

    def move_crosshair(self, columns: int) -> None:
        """Move it in both."""
        for chart in self._charts.values():
            chart.move_crosshair(columns)

    def clear_crosshair(self) -> None:
        """Take it away."""
        for chart in self._charts.values():
            chart.clear_crosshair()

    def zoom(self, steps: int) -> None:
        """Fewer or more epochs; the view stays where it is."""
        for chart in self._charts.values():
            (chart.zoom_in if steps > 0 else chart.zoom_out)()

    def follow(self) -> None:
        """The whole run, live."""
        for chart in self._charts.values():
            chart.follow()

    def on_chart_crosshair_moved(self, event: Chart.CrosshairMoved) -> None:
        """Keep what is read there; the screen hears of it too."""
        self._sentences[event.chart.id or ""] = event.text
