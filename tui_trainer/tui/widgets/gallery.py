"""A page of small pictures with a cursor, a line of text below each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.tui.widgets.thumbnails import draw, fit, layout

if TYPE_CHECKING:
    from PIL.Image import Image

    from tui_trainer.tui.explorer import Pixels

WANTED = 18  # pictures on a page, where there is room


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture (S, S, C) uint8, or None while it is read, and what stands below it."""

    pixels: Pixels | None
    label: str
    marked: bool = False


class Gallery(Widget):
    """Draws what it is given; the screen moves the cursor."""

    DEFAULT_CSS = """
    Gallery { height: 1fr; }
    Gallery > * { position: absolute; }
    Gallery > .gallery--label { color: $text-muted; }
    Gallery > .gallery--marked { color: $text-warning; }
    Gallery > .gallery--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"gallery--label", "gallery--marked", "gallery--cursor"}

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Shown, ...] = ()
        self._cursor = 0
        self._drawn: dict[tuple[int, int, str], list[list[Segment]]] = {}
        self._pictures: list[Widget] = []  # over the cells, where the terminal shows all pixels
        self._placed: list[tuple[object, int, int, int]] = []

    @property
    def grid(self) -> tuple[int, int]:
        """Pictures in a row, and rows, of a page."""
        across, side = layout(self.size.width, self.size.height, WANTED)
        return max(1, across), max(1, self.size.height // (side // 2 + 1)) if side else 1

    def show(self, shown: Sequence[Shown], cursor: int) -> None:
        """Draw these, the one under the cursor marked."""
        same = [old.pixels is new.pixels for old, new in zip(self._shown, shown, strict=False)]
        if not all(same):
            self._drawn.clear()
        self._shown, self._cursor = tuple(shown), cursor
        self._place()
        self.refresh()

    def on_resize(self) -> None:
        """Another layout."""
        self._place()

    def _place(self) -> None:
        """Put a widget with all the pixels over the cells of each picture."""
        make = getattr(self.app, "picture_widget", None)
        across, side = layout(self.size.width, self.size.height, WANTED)
        if make is None or not side:
            return
        while len(self._pictures) < len(self._shown):
            self._pictures.append(make())
            self.mount(self._pictures[-1])
            self._placed.append((None, 0, 0, 0))
        for number, picture in enumerate(self._pictures):
            pixels = self._shown[number].pixels if number < len(self._shown) else None
            place = pixels, side, *divmod(number, across)
            picture.display = pixels is not None
            old = self._placed[number]
            if pixels is None or (old[0] is pixels and old[1:] == place[1:]):
                continue
            self._placed[number] = place
            picture.styles.width, picture.styles.height = side, side // 2
            picture.styles.offset = place[3] * (side + 1), place[2] * (side // 2 + 1)
            picture.image = as_image(pixels)  # type: ignore[attr-defined]

    def notify_style_update(self) -> None:
        """The ramp of a light theme runs the other way."""
        self._drawn.clear()
        super().notify_style_update()

    @property
    def _glyphs(self) -> str:
        few = self.app.console.color_system == "standard"
        if getattr(self.app, "glyphs", "") != "ascii" and not few:
            return "blocks"
        return "glow" if self.app.current_theme.dark else "ink"

    def render_line(self, y: int) -> Strip:
        """A row of cells through a row of pictures, or their labels."""
        across, side = layout(self.size.width, self.size.height, WANTED)
        if not side:
            return Strip.blank(self.size.width, self.rich_style)
        row, line = divmod(y, side // 2 + 1)
        segments: list[Segment] = []
        for number in range(row * across, min(len(self._shown), (row + 1) * across)):
            segments += self._line(number, side, line)
            segments.append(Segment(" ", self.rich_style))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _line(self, number: int, side: int, line: int) -> list[Segment]:
        shown, base = self._shown[number], self.rich_style
        if line == side // 2:
            kind = "cursor" if number == self._cursor else "marked" if shown.marked else "label"
            style = base + self.get_component_rich_style(f"gallery--{kind}", partial=kind != "cursor")
            return [Segment(fit(("x " if shown.marked else "") + shown.label, side), style)]
        if shown.pixels is None:
            return [Segment(" " * side, base + Style(dim=True))]
        key = number, side, self._glyphs
        if key not in self._drawn:
            self._drawn[key] = draw(shown.pixels, side, self._glyphs)
        return [Segment(text, base + style if style else base) for text, style, _ in self._drawn[key][line]]


def as_image(pixels: Pixels) -> Image:
    """(S, S, C) uint8 for the widget that shows all of its pixels."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
