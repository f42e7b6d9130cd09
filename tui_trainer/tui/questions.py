"""What is asked when a run could not begin as it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.errors import TooManyBadError
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.tui.app import TrainerApp


class BadFilesScreen(ModalScreen[str]):
    """Whether to train on the files that can be read, or to look at those that cannot."""

    BINDINGS = [
        Binding("y", "answer('train')", "Train on the others"),
        Binding("d", "answer('data')", "Data"),
        Binding("n,escape,q", "answer('')", "Leave it", tooltip="nothing is started"),
    ]

    def __init__(self, failure: TooManyBadError) -> None:
        super().__init__()
        self._failure = failure

    def compose(self) -> ComposeResult:
        """What is wrong, and a sentence for each answer."""
        choices = (
            ("train", "y", "Train", f"leave them out, train on the others (--max-bad {self._failure.allowed:g})"),
            ("data", "d", "Data", "start nothing; see which they are, to mend them"),
            ("", "esc", "Leave it", "start nothing; the settings stay as they are"),
        )
        with Vertical(classes="dialog"):
            yield Static("The run has not started: too much of the data cannot be read.", classes="title")
            yield Static(Content(display(self._failure.fact, 600)), classes="title")
            yield OptionList(
                *(
                    Option(Content.assemble((f"{key:>4}  ", "$accent"), (f"{name:<10}", "bold"), sentence), id=choice)
                    for choice, key, name, sentence in choices
                )
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The answer under the cursor."""
        self.dismiss(event.option.id or "")

    def action_answer(self, answer: str) -> None:
        """An answer by its key."""
        self.dismiss(answer)


def ask_about_bad_files(app: TrainerApp) -> None:
    """Once, after a run was refused for them: with a yes it begins again with as many bad files allowed."""
    trainer = app.trainer
    if trainer is None or trainer.running or not isinstance(trainer.failure, TooManyBadError):
        return
    failure, trainer.failure = trainer.failure, None

    def answered(answer: str | None) -> None:
        if answer == "train":
            app.draft.set("max_bad", failure.allowed)
            app.action_start()
        elif answer == "data":
            app.action_go("data")

    if failure.allowed and trainer.session.owned:
        app.push_screen(BadFilesScreen(failure), answered)
