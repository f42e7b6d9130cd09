"""Lines that are typed: keys in their order, and paths that complete themselves."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from rich.highlighter import Highlighter
from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.suggester import Suggester
from textual.widgets import Input

from tui_trainer.text import display, letter_for_letter

EDITING = {
    "backspace": "delete_left",
    "delete": "delete_right",
    "left": "cursor_left",
    "right": "cursor_right",
    "home": "home",
    "end": "end",
}
MOST_ENTRIES = 10_000  # of a folder that are looked at for a completion


class _Visible(Highlighter):
    """Shows what a terminal would obey."""

    def __call__(self, text: str | Text) -> Text:
        """The same letters, each visible."""
        return Text(letter_for_letter(str(text)), no_wrap=True, overflow="ignore", end="")

    def highlight(self, text: Text) -> None:
        """Nothing is marked."""


class TypedInput(Input):
    """A line in which keys act in the order in which they come, also when many come at once."""

    def on_mount(self) -> None:
        """Whatever is in it is text."""
        self.highlighter = _Visible()

    async def on_key(self, event: events.Key) -> None:
        """Edit at once: a binding goes up to the app first, and what is typed after it would come before it."""
        if event.key in EDITING:
            event.stop()
            event.prevent_default()
            await self.run_action(EDITING[event.key])


def type_early(screen: Screen[Any], event: events.Key) -> None:
    """Take a key that came before the line of a dialog had the keys: it would be lost, or mean something else."""
    field = next(iter(screen.query(TypedInput)), None)
    if screen.focused is not None or field is None or not event.is_printable or event.character is None:
        return
    event.stop()
    if field.select_on_focus:  # as a first letter does
        field.value, field.select_on_focus = "", False
    field.insert_text_at_cursor(event.character)


class PathSuggester(Suggester):
    """Completes the last part of a path to the first folder that begins so, or with `files` to the first entry."""

    def __init__(self, *, files: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._files = files

    async def get_suggestion(self, value: str) -> str | None:
        """The path with its last part completed; the disk is asked in a thread."""
        return await asyncio.to_thread(complete, value, files=self._files)


def complete(value: str, *, files: bool = False) -> str | None:
    """`value` with its last part completed; None if nothing begins so."""
    parent, slash, start = value.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(parent + slash) or ".") as entries:  # noqa: PTH111
            found = [entry for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False) if _fits(entry.name, start)]
            fitting = [entry for entry in found if files or entry.is_dir()]
            first = min(fitting, key=lambda entry: entry.name, default=None)
            return None if first is None else f"{parent}{slash}{first.name}{'/' if first.is_dir() else ''}"
    except (OSError, ValueError):
        return None


def _fits(name: str, start: str) -> bool:
    return name.startswith(start) and (start.startswith(".") or not name.startswith(".")) and display(name) == name
