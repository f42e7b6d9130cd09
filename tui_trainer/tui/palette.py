"""The command palette: what every key of the screen does, and nothing that is there twice."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.dom import DOMNode
from textual.screen import Screen

from tui_trainer.tui.keys import EVERYWHERE, FORM, LAYERS, SCREENS, Key
from tui_trainer.tui.screens.dialogs import key_in_words
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.layer_table import LayerTable

if TYPE_CHECKING:
    from tui_trainer.tui.app import TrainerApp

TWICE = ("Quit", "Keys")  # of Textual's own: q and ? do the same


def commands(app: TrainerApp, screen: Screen[object], own: Iterable[SystemCommand]) -> Iterator[SystemCommand]:
    """Textual's `own` that are no key of this program, then the keys of the screen, of its widgets and of all."""
    yield from (command for command in own if command.title not in TWICE)
    for owner, keys in _owners(app, screen):
        for key in keys:
            run = functools.partial(app.run_action, key.action, owner)
            yield SystemCommand(f"{key.label} ({key_in_words(key.key)})", key.help, run)


def name_of(app: TrainerApp, screen: Screen[object]) -> str:
    """Its name in the table of keys, if it is there."""
    installed = (name for name in SCREENS if app.is_screen_installed(name) and app.get_screen(name) is screen)
    return next(installed, str(getattr(screen, "KEYS", "")))


def _owners(app: TrainerApp, screen: Screen[object]) -> Iterator[tuple[DOMNode, tuple[Key, ...]]]:
    yield screen, SCREENS.get(name_of(app, screen), ())
    yield from ((form, FORM) for form in screen.query(Form))
    yield from ((table, LAYERS) for table in screen.query(LayerTable))
    yield app, EVERYWHERE
