"""What is asked when a run could not begin as it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.errors import TooManyBadError
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.tui.app import TrainerApp


class BadFilesScreen(ModalScreen[bool]):
    """Whether to train on the files that can be read."""

    BINDINGS = [
        Binding("y", "answer(True)", "Train on the others"),
        Binding("n,escape,q", "answer(False)", "Leave it", tooltip="nothing is started"),
    ]

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self._sentence = sentence

    def compose(self) -> ComposeResult:
        """The sentence and the two answers."""
        with Vertical(classes="dialog"):
            yield Static("Too many files cannot be read.", classes="title")
            yield Static(Content(display(self._sentence, 600)))
            yield Static(Content("y  train on the others      n  leave it"), classes="title")

    def action_answer(self, yes: bool) -> None:
        """Take the answer."""
        self.dismiss(yes)


def ask_about_bad_files(app: TrainerApp) -> None:
    """Once, after a run was refused for them: with a yes it begins again with as many bad files allowed."""
    trainer = app.trainer
    if trainer is None or trainer.running or not isinstance(trainer.failure, TooManyBadError):
        return
    failure, trainer.failure = trainer.failure, None

    def answered(yes: bool | None) -> None:
        if yes:
            app.draft.set("max_bad", failure.allowed)
            app.action_start()

    if failure.allowed and trainer.session.owned:
        app.push_screen(BadFilesScreen(str(failure)), answered)
