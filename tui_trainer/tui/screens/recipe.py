"""Step 4: how to train."""

from __future__ import annotations

from collections.abc import Iterator

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
from tui_trainer.tui.screens.dialogs import TextScreen
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.steps import StepBar

GROUPS = of_tables(groups.RECIPE, "recipe", "run")
POINTS = 200
GRACE = 5.0  # seconds that a dry step may take to end


class RecipeScreen(Screen[None]):
    """Epochs, optimizer and schedule, with the learning rate drawn over the run."""

    BINDINGS = bindings(SCREENS["recipe"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._trying: Background[str] | None = None

    def compose(self) -> ComposeResult:
        """The form on the left, the schedule and what it means on the right."""
        yield StepBar("recipe")
        with Horizontal():
            yield Form(self._draft, GROUPS)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Chart("learning rate", id="schedule")
                yield Static(id="meaning")
                yield Static(
                    Content.styled("d tries a few steps: time and memory.", "$foreground-muted"), id="estimate"
                )
        yield KeyBar()

    def on_mount(self) -> None:
        """Look now and then at what runs in the background."""
        self.query_one("#schedule", Chart).glyphs = getattr(self.app, "glyphs", "braille")
        self.set_interval(0.1, self._look)

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
        positions = [epochs * i / POINTS for i in range(POINTS + 1)]
        chart.extend("lr", [(x, schedule.lr(lr, x, epochs)) for x in positions])
        chart.flush()
        problem = self._draft.problem()
        changed = [name for name in self._draft.values if self._draft.changed(name)]
        if not problem and self.app.training:  # type: ignore[attr-defined]
            problem = "For the next run: e on the Train screen (5) changes the one that is training."
        text = problem or f"Ready: ctrl+r starts. Changed from the defaults: {', '.join(changed) or 'nothing'}."
        self.query_one("#meaning", Static).update(Content.styled(text, "$text-error" if problem else "$text-success"))

    def action_dry_run(self) -> None:
        """A few steps in a thread; the first time PyTorch may still be loading."""
        problem = self._draft.problem()
        if self.app.training:  # type: ignore[attr-defined]
            problem = "A run is training: a dry step would change its random numbers."
        if problem:
            self.notify(problem, severity="error", markup=False)
            return
        self._say("trying a few steps ...", "$foreground-muted")
        config = self._draft.config()
        self._trying = Background(lambda tell: _steps(config), config, after=self._trying)

    def stop_trying(self, seconds: float) -> None:
        """End it, and wait so long."""
        if self._trying is not None:
            self._trying.join(seconds)

    def on_unmount(self) -> None:
        """Nothing outlives the screen."""
        self.stop_trying(GRACE)

    def _look(self) -> None:
        """Show what the steps have shown."""
        if self._trying is None:
            return
        for found in self._trying.drain():
            self._say(found, "$foreground")
        if self._trying.error:
            self._say(self._trying.error, "$text-error")
            self._trying = None

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


def _steps(config: Config) -> Iterator[str]:
    from tui_trainer.dry_step import dry_step

    yield dry_step(config).in_words()
