"""Pictures with all their pixels, where the terminal can."""

from __future__ import annotations

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual_image.renderable import TGPImage
from textual_image.widget import TGPImage as KittyWidget

from tui_trainer.tui import graphics
from tui_trainer.tui.widgets.gallery import Gallery, Shown
from tui_trainer.tui.widgets.thumbnails import layout

PIXELS = np.arange(3 * 32 * 32, dtype=np.int64).astype(np.uint8).reshape(32, 32, 3)


class Wall(App[None]):
    picture_widget: type[Widget] = KittyWidget

    def compose(self) -> ComposeResult:
        yield Gallery()


async def test_each_picture_lies_over_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual_image.renderable.tgp._send_tgp_message", lambda **message: None)
    async with Wall().run_test(size=(80, 24)) as pilot:
        gallery = pilot.app.query_one(Gallery)
        shown = [Shown(PIXELS, f"{n}") for n in range(5)]
        gallery.show([*shown, Shown(None, "not read yet")], 0)
        await pilot.pause()
        across, side = layout(80, 24, 18)
        pictures = [picture for picture in gallery.children if picture.display]
        assert len(pictures) == 5
        for number, picture in enumerate(pictures):
            row, column = divmod(number, across)
            assert picture.region[:] == (column * (side + 1), row * (side // 2 + 1), side, side // 2)
            assert isinstance(picture._renderable, TGPImage)  # type: ignore[attr-defined]
            assert picture.image.size == (32, 32)  # type: ignore[attr-defined]
        first = pictures[0].image  # type: ignore[attr-defined]
        gallery.show(shown[:2], 1)
        await pilot.pause()
        assert [picture.display for picture in gallery.children].count(True) == 2
        assert pictures[0].image is first  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "foot"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "WezTerm"}, False),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, False),
    ],
)
def test_only_terminals_that_may_know_it_are_asked(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "TERM_PROGRAM", "TMUX", *graphics.SIGNS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert graphics.may_show_pictures() is expected
    if not expected:
        assert graphics.picture_widget() is None


def test_without_the_extra_half_blocks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(graphics.importlib.util, "find_spec", lambda name: None)
    assert graphics.picture_widget() is None
