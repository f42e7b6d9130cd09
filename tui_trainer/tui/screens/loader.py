"""Step 2: how batches are made."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_trainer.config import SETTINGS
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.steps import StepBar

NAMES = tuple(name for name, item in SETTINGS.items() if item.table == "loader")


class LoaderScreen(Screen[None]):
    """The DataLoader options, and what they mean for this data on this machine."""

    BINDINGS = bindings(SCREENS["loader"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft

    def compose(self) -> ComposeResult:
        """The form on the left, what it means on the right."""
        yield StepBar("loader")
        with Horizontal():
            yield Form(self._draft, NAMES)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Static(id="meaning")
                yield Static(id="measured")
        yield Footer(compact=True)

    def on_screen_resume(self) -> None:
        """Values may have changed on other screens."""
        self.query_one(Form).refresh_rows()
        self._explain()

    def on_form_changed(self) -> None:
        """Say what it means now."""
        self._explain()

    def _explain(self) -> None:
        problem = self._draft.problem()
        style = "$text-error" if problem else "$text-success"
        self.query_one("#meaning", Static).update(Content.styled(problem or "These options go together.", style))
