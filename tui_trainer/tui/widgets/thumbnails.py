"""Small pictures drawn with half blocks, two pixels a cell; in ASCII with characters of rising ink.

A picture is turned into segments once for each size it is shown at. Measured: 0.4 ms for 16x8
cells, 5 ms for 80x40.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.tui.explorer import Pixels, Tile

UPPER_HALF = "▀"
RAMP = " .:-=+*#%@"
SMALLEST, LARGEST = 8, 32  # cells across a picture
MOST = 12  # pictures shown at once
CELLS = 6000  # cells drawn at once: 10 ms


class Thumbnails(Widget):
    """As many pictures as fit, each with its class below."""

    DEFAULT_CSS = """
    Thumbnails { height: 1fr; }
    Thumbnails > .thumbnails--label { color: $text-muted; }
    """
    COMPONENT_CLASSES = {"thumbnails--label"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._tiles: tuple[Tile, ...] = ()
        self._drawn: dict[tuple[int, int, str], list[list[Segment]]] = {}

    def show(self, tiles: Sequence[Tile]) -> None:
        """Show these pictures; those that are shown already are not drawn again."""
        now = tuple(tiles)
        if now == self._tiles:
            return
        if now[:1] != self._tiles[:1]:
            self._drawn.clear()
        self._tiles = now
        self.refresh()

    def notify_style_update(self) -> None:
        """The ramp of a light theme runs the other way."""
        self._drawn.clear()
        super().notify_style_update()

    @property
    def _glyphs(self) -> str:
        """How pictures are drawn here: "blocks", or "ink" on light and "glow" on dark."""
        few = self.app.console.color_system == "standard"  # 16 colours make nothing of a photo
        if getattr(self.app, "glyphs", "") != "ascii" and not few:
            return "blocks"
        return "glow" if self.app.current_theme.dark else "ink"

    def render_line(self, y: int) -> Strip:
        """A row of cells through all pictures of a row, or their classes."""
        across, side = layout(self.size.width, self.size.height, max(MOST, len(self._tiles)))
        row, line = divmod(y, side // 2 + 1) if side else (0, 0)
        if row and row >= self.size.height // (side // 2 + 1):
            return Strip.blank(self.size.width, self.rich_style)
        tiles = self._tiles[:MOST][row * across : (row + 1) * across]
        segments: list[Segment] = []
        for column in range(len(tiles)):
            segments += self._line(row * across + column, side, line)
            segments.append(Segment(" ", self.rich_style))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _line(self, number: int, side: int, line: int) -> list[Segment]:
        if line == side // 2:
            style = self.rich_style + self.get_component_rich_style("thumbnails--label")
            return [Segment(fit(self._tiles[number].label, side), style)]
        key = number, side, self._glyphs
        if key not in self._drawn:
            self._drawn[key] = draw(self._tiles[number].pixels, side, self._glyphs)
        base = self.rich_style
        return [Segment(text, base + style if style else base) for text, style, _ in self._drawn[key][line]]


def layout(width: int, height: int, wanted: int) -> tuple[int, int]:
    """Pictures in a row and the cells across one, so that the pictures cover the most of width x height.

    A picture of `side` cells across is side / 2 cells high, has a line of text below and a gap beside it.
    """
    best = 0, 0, 0
    for side in range(SMALLEST, LARGEST + 1, 2):
        across, down = (width + 1) // (side + 1), height // (side // 2 + 1)
        covered = min(across * down, wanted) * side * side
        if covered > best[0] and covered // 2 <= CELLS:
            best = covered, across, side
    return best[1], best[2]


def fit(text: str, width: int) -> str:
    """Foreign text in exactly `width` cells, cut where it must be."""
    shown = display(text)
    if cell_len(shown) > width:
        shown = f"{set_cell_size(shown, width - 1).rstrip()}…" if width > 1 else "…"[:width]
    return set_cell_size(shown, width)


def draw(pixels: Pixels, side: int, glyphs: str) -> list[list[Segment]]:
    """(S, S, C) uint8 to side / 2 rows of segments, `side` cells each."""
    if glyphs == "blocks":
        colours = _resized(pixels, side, side).reshape(side // 2, 2, side, 3)
        return [_blocks(upper, lower) for upper, lower in colours.tolist()]
    import numpy as np

    light = _resized(pixels, side, side // 2).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    level = np.clip(light / 256 * len(RAMP), 0, len(RAMP) - 1).astype(int)
    ramp = RAMP if glyphs == "glow" else RAMP[::-1]
    return [[Segment("".join(ramp[i] for i in row))] for row in level.tolist()]


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """(S, S, C) to (height, width, 3)."""
    import cv2  # loaded already, as numpy is: by the thread that drew the samples
    import numpy as np

    shrinks = pixels.shape[1] > width
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
    small = small.reshape(height, width, -1)
    return np.broadcast_to(small, (height, width, 3)).astype(np.uint8, copy=False)


def _blocks(upper: list[list[int]], lower: list[list[int]]) -> list[Segment]:
    pairs = ((*above, *below) for above, below in zip(upper, lower, strict=True))
    return [Segment(UPPER_HALF * len(list(run)), _style(*pair)) for pair, run in groupby(pairs)]


@functools.lru_cache(maxsize=8192)
def _style(r1: int, g1: int, b1: int, r2: int, g2: int, b2: int) -> Style:
    return Style(color=Color.from_rgb(r1, g1, b1), bgcolor=Color.from_rgb(r2, g2, b2))
