"""Choose a model by a part of its name."""

from __future__ import annotations

import threading

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.tui.widgets.typed import TypedInput

LOADING = "torchvision's models are being listed ..."


class ChooseModel(ModalScreen[str | None]):
    """A line to type in over the list of what it leaves; the arrows walk the list meanwhile."""

    BINDINGS = [
        Binding("escape", "close", "Cancel"),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current, self._names = current, ["lenet"]

    def compose(self) -> ComposeResult:
        """The line, the list."""
        with Vertical(classes="dialog tall"):
            yield Static("Model", classes="title")
            yield TypedInput(placeholder="part of a name, such as resnet", compact=True)
            yield Static(Content(LOADING), id="loading")
            yield OptionList(*self._names)

    def on_mount(self) -> None:
        """Torchvision takes seconds to import the first time."""
        self.query_one(OptionList).can_focus = False
        threading.Thread(target=self._list, daemon=True).start()

    def _list(self) -> None:
        from tui_trainer.models import catalog

        names = catalog.names()
        self.app.call_later(self._listed, names)

    def _listed(self, names: list[str]) -> None:
        self._names = names
        if self.is_mounted:
            self.query_one("#loading").display = False
            self._fill(self.query_one(Input).value)

    def _fill(self, part: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        found = [name for name in self._names if all(word in name for word in part.lower().split())]
        options.add_options([Option(Content(name), id=name) for name in found])
        if found:
            options.highlighted = found.index(self._current) if self._current in found else 0

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter live."""
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Take the one that is highlighted."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss(event.option.id)

    def action_move(self, step: int) -> None:
        """Walk the list while typing."""
        options = self.query_one(OptionList)
        (options.action_cursor_down if step > 0 else options.action_cursor_up)()

    def action_close(self) -> None:
        """Keep the model."""
        self.dismiss(None)
