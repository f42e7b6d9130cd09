"""Pictures as half blocks or characters, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from textual.app import App, ComposeResult

from tui_trainer.tui.explorer import Tile
from tui_trainer.tui.widgets.thumbnails import (
    CELLS,
    LARGEST,
    MOST,
    RAMP,
    SMALLEST,
    UPPER_HALF,
    Thumbnails,
    draw,
    fit,
    layout,
)


def colours(row: list[Segment]) -> list[tuple[str, str]]:
    """Upper and lower colour of each cell."""
    found = []
    for text, style, _ in row:
        assert set(text) == {UPPER_HALF}
        assert style is not None
        assert style.color is not None
        assert style.bgcolor is not None
        found += [(style.color.name, style.bgcolor.name)] * len(text)
    return found


def test_a_cell_shows_two_pixels() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255, 0, 0
    pixels[1] = 0, 255, 0
    pixels[7, 7] = 0, 0, 255
    rows = draw(pixels, 8, "blocks")
    assert len(rows) == 4
    assert colours(rows[0]) == [("#ff0000", "#00ff00")] * 8
    assert colours(rows[1]) == [("#000000", "#000000")] * 8
    assert colours(rows[3])[-1] == ("#000000", "#0000ff")
    assert len(rows[0]) == 1  # a run of cells is one segment


def test_grey_pictures_shrink_by_averaging() -> None:
    pixels = np.zeros((32, 32, 1), np.uint8)
    pixels[:, ::2] = 200
    rows = draw(pixels, 8, "blocks")
    assert {pair for row in rows for pair in colours(row)} == {("#646464", "#646464")}


def test_small_pictures_grow_by_repetition() -> None:
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2, 1) * 80
    rows = draw(pixels, 8, "blocks")
    assert colours(rows[0]) == [("#000000", "#000000")] * 4 + [("#505050", "#505050")] * 4
    assert colours(rows[3]) == [("#a0a0a0", "#a0a0a0")] * 4 + [("#f0f0f0", "#f0f0f0")] * 4


def test_characters_rise_with_light_on_dark_and_fall_on_light() -> None:
    ramp = np.repeat(np.linspace(0, 255, 10, dtype=np.uint8)[None, :, None], 10, 0)
    glow = draw(ramp, 10, "glow")[0][0].text
    assert glow == RAMP
    assert draw(ramp, 10, "ink")[0][0].text == RAMP[::-1]
    assert all(len(row) == 1 and row[0].text.isascii() for row in draw(ramp, 10, "glow"))


@pytest.mark.parametrize("width", [7, 8, 40, 57, 160, 400])
@pytest.mark.parametrize("height", [4, 5, 9, 22, 100])
@pytest.mark.parametrize("wanted", [1, 3, MOST])
def test_pictures_stay_inside_and_bounded(width: int, height: int, wanted: int) -> None:
    across, side = layout(width, height, wanted)
    if width < SMALLEST or height <= SMALLEST // 2:
        assert (across, side) == (0, 0)
        return
    assert SMALLEST <= side <= LARGEST
    assert side % 2 == 0
    assert across * (side + 1) - 1 <= width
    down = height // (side // 2 + 1)
    assert down >= 1
    assert min(across * down, wanted) * side * side // 2 <= CELLS


def test_one_picture_is_as_large_as_it_can_be() -> None:
    assert layout(40, 9, 1) == (2, 16)
    assert layout(80, 100, 1)[1] == LARGEST


@pytest.mark.parametrize("text", ["cat", "a very long class name", "日本語の名前", "\x1b[31mred", "[/]", ""])
@pytest.mark.parametrize("width", [1, 5, 8])
def test_labels_fit_and_are_safe(text: str, width: int) -> None:
    shown = fit(text, width)
    assert cell_len(shown) == width
    assert shown.isprintable()


class Gallery(App[None]):
    glyphs = "braille"

    def on_mount(self) -> None:
        self.console._color_system = ColorSystem.TRUECOLOR  # whatever TERM is where this is tested

    def compose(self) -> ComposeResult:
        yield Thumbnails()


def tile(label: str, grey: int = 0) -> Tile:
    return Tile(np.full((8, 8, 1), grey, np.uint8), label)


def shown(app: App[None]) -> list[str]:
    return [app.query_one(Thumbnails).render_line(y).text for y in range(app.size.height)]


async def test_the_widget_shows_as_many_as_fit() -> None:
    app = Gallery()
    async with app.run_test(size=(40, 12)) as pilot:
        thumbnails = app.query_one(Thumbnails)
        assert not "".join(shown(app)).strip()
        thumbnails.show([tile(f"[b]{i}[/]") for i in range(30)])
        await pilot.pause()
        lines = shown(app)
        across, side = layout(40, 12, MOST)
        labels = lines[side // 2].split()
        assert labels == [f"[b]{i}[/]" for i in range(across)]
        assert lines[0].count(UPPER_HALF) == across * side
        assert all(len(line) == 40 for line in lines)
        whole = 12 // (side // 2 + 1) * (side // 2 + 1)
        assert all(not line.strip() for line in lines[whole:])


async def test_another_draw_replaces_the_pictures() -> None:
    app = Gallery()
    async with app.run_test(size=(20, 8)) as pilot:
        thumbnails = app.query_one(Thumbnails)
        for grey in (10, 200):
            thumbnails.show([tile("a", grey)])
            await pilot.pause()
            assert f"#{grey:02x}{grey:02x}{grey:02x}" in {
                segment.style.color.name
                for segment in thumbnails.render_line(0)
                if segment.style and segment.style.color
            }
        thumbnails.show(())
        assert not "".join(shown(app)).strip()


async def test_without_unicode_everything_is_ascii() -> None:
    app = Gallery()
    app.glyphs = "ascii"
    async with app.run_test(size=(40, 12)) as pilot:
        app.query_one(Thumbnails).show([tile("cat", 255)])
        await pilot.pause()
        assert all(line.isascii() for line in shown(app))
        dark = "".join(shown(app)).count("@")
        app.theme = "textual-light"
        await pilot.pause()
        assert dark
        assert "@" not in "".join(shown(app))


async def test_sixteen_colours_make_characters_too() -> None:
    app = Gallery()
    async with app.run_test(size=(40, 12)) as pilot:
        app.console._color_system = ColorSystem.STANDARD
        app.query_one(Thumbnails).show([tile("cat", 255)])
        await pilot.pause()
        assert "@" in "".join(shown(app))
        assert UPPER_HALF not in "".join(shown(app))
