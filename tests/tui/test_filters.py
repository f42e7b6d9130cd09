"""ASCII is ASCII and no colour is none, on every screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.widget import Widget
from textual.widgets import DataTable, OptionList

from tests.tui.conftest import MAKER, ScriptedSession, a_run, settle
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.filters import ColourlessFilter, in_ascii
from tui_trainer.tui.widgets.layer_table import LayerTable

KEYS = ("0", "1", "2", "3", "4", "5", "question_mark", "escape", "ctrl+p", "escape", "4", "down", "enter", "enter", "v")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Mn", "Me", "Cf"])))
def test_ascii_takes_as_many_cells(text: str) -> None:
    assert in_ascii(text).isascii()
    assert len(in_ascii(text)) == cell_len(text)


def test_without_colours_the_emphasis_stays() -> None:
    (segment,) = ColourlessFilter().apply([Segment("x", Style.parse("bold reverse red on #123456"))], Color(0, 0, 0))
    assert segment.style is not None
    assert segment.style.color is not None
    assert segment.style.bgcolor is not None
    assert segment.style.color.is_default
    assert segment.style.bgcolor.is_default
    assert segment.style.bold
    assert segment.style.reverse


def rows_of(app: TrainerApp, widget: Widget) -> Iterator[Segment]:
    """What is drawn where a widget is."""
    region = widget.region
    for strip in app.screen._compositor.render_strips()[region.y : region.bottom]:
        yield from strip.crop(region.x, region.right)


@pytest.mark.parametrize("mode", ["ascii", "no colour"])
async def test_every_screen_keeps_to_it(make_app: MAKER, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    if mode == "no colour":
        monkeypatch.setenv("NO_COLOR", "1")
    app = make_app()
    app.glyphs = "ascii" if mode == "ascii" else "braille"
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        session = ScriptedSession()
        app.begin(session)
        session.say(*a_run(until=30))
        await settle(pilot, app)
        app.notify("größer … ●")
        for key in ("q", "escape", *KEYS):
            await pilot.press(key)
            await pilot.pause()
            focused = app.screen.focused
            has_cursor = isinstance(focused, OptionList | DataTable | LayerTable) and focused.display
            if mode == "no colour" and has_cursor:
                assert any(style and style.reverse for _, style, _ in rows_of(app, focused)), key
            for strip in app.screen._compositor.render_strips():
                for text, style, _ in strip:
                    assert mode != "ascii" or text.isascii(), (key, text)
                    colours = (style.color, style.bgcolor) if style and mode == "no colour" else ()
                    assert all(colour is None or colour.is_default for colour in colours), (key, text, style)
        session.close()
