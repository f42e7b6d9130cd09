"""Settings as a list that is walked with the arrows: enter changes one, in place.

While no value is being typed, letters and digits stay free for the keys of the screen.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.config import SETTINGS
from tui_trainer.errors import ConfigError
from tui_trainer.text import display
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import FORM, bindings
from tui_trainer.tui.widgets.typed import TypedInput


class ValueInput(TypedInput):
    """Where a value is typed; escape leaves it as it was."""

    BINDINGS = [Binding("escape", "leave", "Cancel", tooltip="leave the value as it was")]

    def action_leave(self) -> None:
        """Give the keys back to the list."""
        self.post_message(self.Left())

    class Left(Message):
        """Typing was given up."""


class Form(Vertical):
    """Some settings of the draft, with the help of the one under the cursor."""

    BINDINGS = bindings(FORM)

    class Changed(Message):
        """A setting has another value."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, draft: Draft, names: tuple[str, ...], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._draft, self._names = draft, names
        self._width = max(len(name) for name in names)

    def compose(self) -> ComposeResult:
        """The list, the line to type in, the help."""
        yield OptionList(*(Option(self._row(name), id=name) for name in self._names))
        yield ValueInput(compact=True)
        yield Static(classes="help")

    def on_mount(self) -> None:
        """Nothing is being typed yet."""
        self.query_one(ValueInput).display = False
        self._explain()

    @property
    def current(self) -> str:
        """The setting under the cursor."""
        return self._names[self.query_one(OptionList).highlighted or 0]

    def focus_list(self) -> None:
        """The keys go to the settings."""
        self.query_one(OptionList).focus()

    def refresh_rows(self) -> None:
        """Show the values of the draft."""
        options = self.query_one(OptionList)
        for position, name in enumerate(self._names):
            options.replace_option_prompt_at_index(position, self._row(name))

    def _row(self, name: str) -> Content:
        changed = self._draft.changed(name)
        value = self._cut(display(self._draft.text(name), 1000)) or "-"
        return Content.assemble(
            ("● " if changed else "  ", "$accent"),
            (f"{name:<{self._width}}  ", "$foreground-muted"),
            (value, "$foreground bold" if changed else "$foreground"),
        )

    def _cut(self, value: str) -> str:
        """A long value by its end: that is what tells two paths apart."""
        room = max(8, self.size.width - self._width - 8)
        return value if len(value) <= room else f"…{value[1 - room :]}"

    def on_resize(self) -> None:
        """Values have more room, or less."""
        self.refresh_rows()

    def _explain(self, problem: str = "") -> None:
        item = SETTINGS[self.current]
        expected = f"{item.expected[0].upper()}{item.expected[1:]}" + (f", {item.unit}" if item.unit else "")
        expected = f" {expected}." if item.choices or item.kind is not str else ""
        lines = [(problem, "$text-error")] if problem else [(item.help, "$foreground"), (expected, "$foreground-muted")]
        self.query_one(".help", Static).update(Content.assemble(*lines))

    def on_option_list_option_highlighted(self) -> None:
        """Explain the setting under the cursor."""
        self._explain()

    def on_option_list_option_selected(self) -> None:
        """A click or enter on a row."""
        self.action_edit()

    def action_edit(self) -> None:
        """Cycle through a few choices at once, or type a value."""
        item = SETTINGS[self.current]
        if item.kind is bool or (item.choices and len(item.choices) <= 3):
            self.action_cycle(1)
            return
        field = self.query_one(ValueInput)
        field.value = self._draft.text(self.current)
        field.border_title = self.current
        field.display = True
        field.focus()
        field.cursor_position = len(field.value)

    def action_cycle(self, direction: int) -> None:
        """The next or previous choice."""
        if self._draft.cycle(self.current, direction):
            self._accept()

    def action_reset(self) -> None:
        """Back to the default."""
        self._draft.reset(self.current)
        self._accept()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the value, or say why not and stay."""
        event.stop()
        try:
            self._draft.set_text(self.current, event.value)
        except ConfigError as error:
            self._explain(str(error))
            return
        self._close()
        self._accept()

    def on_value_input_left(self, event: ValueInput.Left) -> None:
        """Nothing was changed."""
        event.stop()
        self._close()
        self._explain()

    def _close(self) -> None:
        self.query_one(ValueInput).display = False
        self.query_one(OptionList).focus()

    def _accept(self) -> None:
        self.refresh_rows()
        self._explain()
        self.post_message(self.Changed(self.current))
