"""Step 4: how to train."""

from __future__ import annotations

import threading

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_trainer.config import SETTINGS, Config
from tui_trainer.engine.schedule import lr_factor
from tui_trainer.errors import UserError
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.dialogs import TextScreen
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.steps import StepBar

NAMES = tuple(name for name, item in SETTINGS.items() if item.table in ("recipe", "run") and name != "resume")
POINTS = 200


class RecipeScreen(Screen[None]):
    """Epochs, optimizer and schedule, with the learning rate drawn over the run."""

    BINDINGS = bindings(SCREENS["recipe"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft

    def compose(self) -> ComposeResult:
        """The form on the left, the schedule and what it means on the right."""
        yield StepBar("recipe")
        with Horizontal():
            yield Form(self._draft, NAMES)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Chart("learning rate", id="schedule")
                yield Static(id="meaning")
                yield Static(
                    Content.styled("d tries a few steps: time and memory.", "$foreground-muted"), id="estimate"
                )
        yield Footer(compact=True)

    def on_screen_resume(self) -> None:
        """Values may have changed on other screens."""
        self.query_one(Form).refresh_rows()
        self._explain()

    def on_form_changed(self) -> None:
        """Draw it anew."""
        self._explain()

    def _explain(self) -> None:
        values = self._draft.values
        epochs, lr, warmup = float(values["epochs"]), float(values["lr"]), float(values["warmup_epochs"])  # type: ignore[arg-type]
        shape = str(values["lr_scheduler"])
        chart = self.query_one("#schedule", Chart)
        chart.clear()
        positions = [epochs * i / POINTS for i in range(POINTS + 1)]
        chart.extend("lr", [(x, lr * lr_factor(shape, x, epochs, warmup)) for x in positions])
        chart.flush()
        problem = self._draft.problem()
        changed = [name for name in self._draft.values if self._draft.changed(name)]
        text = problem or f"Ready: ctrl+r starts. Changed from the defaults: {', '.join(changed) or 'nothing'}."
        self.query_one("#meaning", Static).update(Content.styled(text, "$text-error" if problem else "$text-success"))

    def action_dry_run(self) -> None:
        """A few steps in a thread; the first time PyTorch may still be loading."""
        if problem := self._draft.problem():
            self.notify(problem, severity="error", markup=False)
            return
        self._say("trying a few steps ...", "$foreground-muted")
        threading.Thread(target=self._try, args=(self._draft.config(),), daemon=True).start()

    def _try(self, config: Config) -> None:
        from tui_trainer.dry_step import dry_step

        try:
            found = dry_step(config).in_words(), "$foreground"
        except UserError as error:
            found = str(error), "$text-error"
        self.app.call_later(self._say, *found)

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
