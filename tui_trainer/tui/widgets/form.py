"""Settings as a list that is walked with the arrows: enter changes one, in place.

While no value is being typed, letters and digits stay free for the keys of the screen.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

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
from tui_trainer.tui.groups import Group, that_fit
from tui_trainer.tui.keys import FORM, bindings
from tui_trainer.tui.widgets.typed import TypedInput

TALL = 30  # rows of a list from which on groups stand open as far as there is room
HEAD = "head:"  # before the title of a group, where the others have the name of a setting


class ValueInput(TypedInput):
    """Where a value is typed; escape leaves it as it was."""

    BINDINGS = [Binding("escape", "leave", "Cancel", tooltip="leave the value as it was")]

    def action_leave(self) -> None:
        """Give the keys back to the list."""
        self.post_message(self.Left())

    class Left(Message):
        """Typing was given up."""


class Form(Vertical):
    """Some settings of the draft, in groups that fold, with the help of the one under the cursor."""

    BINDINGS = bindings(FORM)

    class Changed(Message):
        """A setting has another value."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, draft: Draft, groups: Sequence[Group]) -> None:
        super().__init__()
        self._draft, self._groups = draft, {group.title: group for group in groups}
        self._open = {""}  # titles
        self._folded_by_hand = False  # from then on groups stay as they are
        self._rows = list(self._rows_of(self._open))
        self._here = self._rows[0]  # under the cursor
        self._width = max(len(name) for group in groups for name in group.names)

    def compose(self) -> ComposeResult:
        """The list, the line to type in, the help."""
        yield OptionList(*(Option(self._row(row), id=row) for row in self._rows))
        yield ValueInput(compact=True)
        yield Static(classes="help")

    def on_mount(self) -> None:
        """Nothing is being typed yet."""
        self.query_one(ValueInput).display = False
        self._explain()

    def _rows_of(self, opened: Container[str]) -> Iterator[str]:
        """Rows in their order: names of settings, and headings."""
        for title, group in self._groups.items():
            if title:
                yield f"{HEAD}{title}"
            if title in opened:
                yield from group.names

    @property
    def current(self) -> str:
        """What is under the cursor: a setting, or a heading."""
        return self._rows[self.query_one(OptionList).highlighted or 0]

    def go_to(self, name: str) -> None:
        """Put the cursor on a setting, whose group opens."""
        title = next(title for title, group in self._groups.items() if name in group.names)
        if title not in self._open:
            self._fold(title)
        self.query_one(OptionList).highlighted = self._rows.index(name)

    def focus_list(self) -> None:
        """The keys go to the settings."""
        self.query_one(OptionList).focus()

    def refresh_rows(self) -> None:
        """Show the values of the draft."""
        options = self.query_one(OptionList)
        for position, row in enumerate(self._rows):
            options.replace_option_prompt_at_index(position, self._row(row))

    def _row(self, row: str) -> Content:
        """One row; that under the cursor without colours of its own, which would be lost on the cursor's."""
        text = self._text(row)
        return Content.styled(text.plain, "bold") if row == self._here else text

    def _text(self, row: str) -> Content:
        if row.startswith(HEAD):
            return self._heading(row.removeprefix(HEAD))
        changed = self._draft.changed(row)
        value = self._cut(display(self._draft.text(row), 1000)) or "-"
        return Content.assemble(
            ("● " if changed else "  ", "$accent"),
            (f"{row:<{self._width}}  ", "$foreground-muted"),
            (value, "$foreground bold" if changed else "$foreground"),
        )

    def _heading(self, title: str) -> Content:
        names = self._groups[title].names
        changed = sum(map(self._draft.changed, names))
        count = f"{changed} of {len(names)} changed" if changed else f"{len(names)}"
        return Content.assemble(
            ("▾ " if title in self._open else "▸ ", "$text-accent"),
            (f"{title:<{self._width}}  ", "$text-accent"),
            (count, "$accent bold" if changed else "$foreground-muted"),
        )

    def _cut(self, value: str) -> str:
        """A long value by its end: that is what tells two paths apart."""
        room = max(8, self.size.width - self._width - 8)
        return value if len(value) <= room else f"…{value[1 - room :]}"

    def on_resize(self) -> None:
        """Values have more room, or less; on a tall terminal more groups stand open."""
        self.call_after_refresh(self._fill)
        self.refresh_rows()

    def _fill(self) -> None:
        """Open the groups that have room, unless somebody has opened or closed one."""
        here, height = self.current, self.query_one(OptionList).size.height
        if self._folded_by_hand or not height:
            return
        fitting = that_fit(self._groups.values(), height) if height >= TALL else {""}
        if here not in self._rows_of(fitting):
            fitting |= {title for title, group in self._groups.items() if here in group.names}
        if fitting != self._open:
            self._open = fitting
            self._show_rows(here)

    def _explain(self, problem: str = "") -> None:
        if self.current.startswith(HEAD):
            names = ", ".join(self._groups[self.current.removeprefix(HEAD)].names)
            lines = [("Enter opens and closes. ", "$foreground"), (names, "$foreground-muted")]
        else:
            item = SETTINGS[self.current]
            expected = f"{item.expected[0].upper()}{item.expected[1:]}" + (f", {item.unit}" if item.unit else "")
            expected = f" {expected}." if item.choices or item.kind is not str else ""
            lines = [(item.help, "$foreground"), (expected, "$foreground-muted")]
        text = Content.assemble(*([(problem, "$text-error")] if problem else lines))
        self.query_one(".help", Static).update(text)

    def on_option_list_option_highlighted(self) -> None:
        """Explain the setting under the cursor, and draw the two rows between which it moved."""
        before, self._here = self._here, self.current
        options = self.query_one(OptionList)
        for row in {before, self._here} & set(self._rows):
            options.replace_option_prompt_at_index(self._rows.index(row), self._row(row))
        self._explain()

    def on_option_list_option_selected(self) -> None:
        """A click or enter on a row."""
        self.action_edit()

    def _fold(self, title: str) -> None:
        """Open or close a group; the cursor stays on its heading."""
        self._folded_by_hand = True
        self._open ^= {title}
        self._show_rows(f"{HEAD}{title}")

    def _show_rows(self, here: str) -> None:
        """Other rows than before, with the cursor on this one."""
        self._rows = list(self._rows_of(self._open))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._row(row), id=row) for row in self._rows])
        options.highlighted = self._rows.index(here)

    def action_edit(self) -> None:
        """Cycle through a few choices at once, or type a value; on a heading, open or close it."""
        if self.current.startswith(HEAD):
            self._fold(self.current.removeprefix(HEAD))
            return
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
        """The next or previous choice; a heading opens to the right and closes to the left."""
        if self.current.startswith(HEAD):
            title = self.current.removeprefix(HEAD)
            if (title in self._open) != (direction > 0):
                self._fold(title)
        elif self._draft.cycle(self.current, direction):
            self._accept()

    def action_reset(self) -> None:
        """Back to the default; on a heading, all of its settings."""
        heading = self.current.startswith(HEAD)
        names = self._groups[self.current.removeprefix(HEAD)].names if heading else (self.current,)
        for name in filter(self._draft.changed, names):
            self._draft.reset(name)
            self.post_message(self.Changed(name))
        self.refresh_rows()
        self._explain()

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
