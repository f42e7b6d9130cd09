"""Step 4: how to train."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui_trainer.config import Config
from tui_trainer.engine.schedule import schedule_of
from tui_trainer.tui import groups
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.groups import of_tables
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.measuring import Background
from tui_trainer.tui.screens.dialogs import TextScreen, shown_line
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.picture import Line
from tui_trainer.tui.widgets.steps import StepBar

if TYPE_CHECKING:
    from tui_trainer.engine.lr_range import Point

GROUPS = of_tables(groups.RECIPE, "recipe", "run")
POINTS = 200
HINT = "d tries a few steps: time and memory. l trains at growing rates: which lr does."
GRACE = 5.0  # seconds that a dry step may take to end


class RecipeScreen(Screen[None]):
    """Epochs, optimizer and schedule, with the learning rate drawn over the run."""

    BINDINGS = bindings(SCREENS["recipe"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._trying: Background[str] | None = None
        self._ranging: Background[Point] | None = None  # the learning rate range test, while it goes on
        self._points: list[Point] = []  # what it has found
        self._suggested: float | None = None

    def compose(self) -> ComposeResult:
        """The form on the left, the schedule and what it means on the right."""
        yield StepBar("recipe")
        with Horizontal():
            yield Form(self._draft, GROUPS)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Chart("learning rate", id="schedule")
                yield Chart("loss at each lr", (Line(name="loss", smooth=False),), axis="lr", id="lr-test")
                yield Static(id="meaning")
                yield Static(Content.styled(HINT, "$foreground-muted"), id="estimate")
                yield Static(id="same")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look now and then at what runs in the background."""
        for chart in self.query(Chart):
            chart.glyphs, chart.can_focus = getattr(self.app, "glyphs", "braille"), False
        self.query_one("#lr-test").display = False
        every(0.1, self, self._look)

    def on_screen_resume(self) -> None:
        """Values may have changed on other screens."""
        self.query_one(Form).refresh_rows()
        self._explain()

    def on_form_changed(self) -> None:
        """Draw it anew."""
        self._explain()

    def _explain(self) -> None:
        values = self._draft.values
        epochs, lr = float(values["epochs"]), float(values["lr"])  # type: ignore[arg-type]
        schedule = schedule_of(values)
        chart = self.query_one("#schedule", Chart)
        chart.clear()
        points = [(x, schedule.lr(lr, x, epochs)) for x in (epochs * i / POINTS for i in range(POINTS + 1))]
        chart.extend("", points)
        rates = [rate for _, rate in points]
        chart.show_metric(f"learning rate: {_in_words(rates)}", percent=False)
        chart.flush()
        problem = self._draft.problem()
        changed = [name for name in self._draft.values if self._draft.changed(name)]
        if not problem and self.app.training:  # type: ignore[attr-defined]
            problem = "For the next run: e on the Train screen (5) changes the one that is training."
        text = problem or f"Ready: ctrl+r starts. Changed from the defaults: {', '.join(changed) or 'nothing'}."
        self.query_one("#meaning", Static).update(Content.styled(text, "$text-error" if problem else "$text-success"))
        self.query_one("#same", Static).update(self._same())

    def _same(self) -> Content:
        """The command line and the file, where the terminal is high enough."""
        if self._draft.problem():
            return Content("")
        command, file = (
            Content("\n".join(map(shown_line, text.split("\n"))))
            for text in (self._draft.command(), self._draft.changes())
        )
        heading = Content.styled("The same without the screens (v, then c copies it):\n", "$foreground-muted")
        second = Content.styled("\n\nWhat differs from the defaults, as a file for -c:\n", "$foreground-muted")
        return Content.assemble(heading, command, second, file)

    def _ready(self) -> Config | None:
        """What to try; a notice if that cannot be done now."""
        problem = self._draft.problem()
        if self.app.training:  # type: ignore[attr-defined]
            problem = "A run is training: this would change its random numbers."
        if problem:
            self.notify(problem, severity="error", markup=False)
            return None
        return self._draft.config()

    def action_dry_run(self) -> None:
        """A few steps in a thread; the first time PyTorch may still be loading."""
        if (config := self._ready()) is not None:
            self._say("trying a few steps ...", "$foreground-muted")
            self._trying = Background(lambda tell: _steps(config), config, after=self._ranging or self._trying)

    def action_lr_test(self) -> None:
        """Train at growing rates, stop doing so, or go back to the schedule."""
        if self._ranging is not None:
            self._ranging.cancel()
        elif self.query_one("#lr-test").display:
            self._show_test(False)
        elif (config := self._ready()) is not None:
            self._points, self._suggested = [], None
            self.query_one("#lr-test", Chart).clear()
            self._show_test(True)
            self._say("training at growing rates ... l stops", "$foreground-muted")
            self._ranging = Background(lambda tell: _rates(config), config, after=self._trying)

    def action_use_lr(self) -> None:
        """Take the learning rate that the test suggests."""
        if self._suggested is not None:
            self._draft.set("lr", self._suggested)
            self.query_one(Form).go_to("lr")
            self.query_one(Form).refresh_rows()
            self._show_test(False)
            self._explain()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`u` is there when there is a rate to take."""
        return action != "use_lr" or (self._suggested is not None and bool(self.query_one("#lr-test").display))

    def _show_test(self, shown: bool) -> None:
        self.query_one("#lr-test").display, self.query_one("#schedule").display = shown, not shown
        if not shown:
            self._say(HINT, "$foreground-muted")
        self.refresh_bindings()

    def stop_trying(self, seconds: float) -> None:
        """End what is tried, and wait so long."""
        for background in (self._trying, self._ranging):
            if background is not None:
                background.join(seconds)

    def on_unmount(self) -> None:
        """Nothing outlives the screen."""
        self.stop_trying(GRACE)

    def _look(self) -> None:
        """Show what has been found."""
        if self._trying is not None:
            for found in self._trying.drain():
                self._say(found, "$foreground")
            if self._trying.error:
                self._say(self._trying.error, "$text-error")
                self._trying = None
        if self._ranging is not None:
            self._look_at_rates(self._ranging)

    def _look_at_rates(self, ranging: Background[Point]) -> None:
        ended, news = not ranging.running, ranging.drain()
        chart = self.query_one("#lr-test", Chart)
        chart.extend("loss", [(math.log10(point.lr), point.loss) for point in news])
        chart.flush()
        self._points += news
        if not ended:
            return
        self._ranging = None
        if ranging.error:
            self._say(ranging.error, "$text-error")
            return
        from tui_trainer.engine.lr_range import suggest

        best = suggest(self._points)
        self._suggested = None if best is None else float(f"{best:.1g}")
        if self._suggested is None:
            self._say("No rate made the loss fall. l goes back to the schedule.", "$foreground")
        else:
            words = f"lr {self._suggested:g} is a tenth of the rate with the lowest loss: u takes it. l: the schedule."
            self._say(words, "$text-success")
        self.refresh_bindings()

    def _say(self, text: str, style: str) -> None:
        self.query_one("#estimate", Static).update(Content.styled(text, style))

    def action_command(self) -> None:
        """The command line and the file for what is on the screens."""
        if problem := self._draft.problem():
            self.notify(problem, severity="error", markup=False)
            return
        self.app.push_screen(
            TextScreen("The same without the screens", f"{self._draft.command()}\n\n{self._draft.toml()}")
        )


def _in_words(rates: list[float]) -> str:
    """The course of a schedule in numbers."""
    if min(rates) == max(rates):
        return f"{rates[0]:.3g} all the time"
    return f"peak {max(rates):.3g}, end {rates[-1]:.3g}"


def _steps(config: Config) -> Iterator[str]:
    from tui_trainer.dry_step import dry_step

    yield dry_step(config).in_words()


def _rates(config: Config) -> Iterator[Point]:
    from tui_trainer.engine.lr_range import lr_range
    from tui_trainer.tune import range_job

    yield from lr_range(range_job(config))
