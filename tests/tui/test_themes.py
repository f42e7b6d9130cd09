"""Every colour that a screen names is one of every theme: a missing one would crash the screen that draws it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tui_trainer.tui
from tests.tui.conftest import MAKER, until
from tui_trainer.config import resolve
from tui_trainer.tui import preferences
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.themes import THEMES, register_themes

NAMED = re.compile(r"\$([a-z][a-z0-9-]+)")


@pytest.mark.parametrize("theme", THEMES)
def test_a_theme_has_every_colour_that_is_named(theme: str) -> None:
    app = TrainerApp(resolve({}))
    register_themes(app)
    known = app.get_theme(theme)
    assert known is not None
    folder = Path(tui_trainer.tui.__file__).parent
    texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.suffix in (".py", ".tcss")]
    named = {name for text in texts for name in NAMED.findall(text)}
    assert "panel" in named
    assert named <= set(known.to_color_system().generate()), theme


async def test_a_theme_chosen_in_the_palette_is_remembered_too(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        assert set(app.available_themes) == set(THEMES)
        app.search_themes()  # Textual's own
        await pilot.pause()
        await pilot.press(*"nord", "down", "enter")
        await until(pilot, lambda: app.theme == "nord")
        await until(pilot, lambda: preferences.read_theme(THEMES) == "nord")
