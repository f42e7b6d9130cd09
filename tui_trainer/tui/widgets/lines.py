"""Rows of styled text that change often: a change costs the drawing of its rows, and no layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

Row = Sequence[tuple[str, str]]  # texts, each with its style as CSS writes it: "bold $text-accent"


class Lines(Widget):
    """As many rows as fit; what is too long is cut. The texts hold no control characters."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._strips: dict[int, Strip] = {}
        self._styles: dict[str, RichStyle] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Put these in the place of what there is."""
        before, self._rows = self._rows, list(rows)
        count = min(self.size.height, max(len(before), len(rows)))
        changed = [y for y in range(count) if before[y : y + 1] != self._rows[y : y + 1]]
        for y in changed:
            self._strips.pop(y, None)
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render(self) -> Content:
        """All as one text."""
        return Content("\n".join("".join(text for text, _ in row) for row in self._rows))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows in sight."""
        return plain_strips(self, crop, self._strip)

    def on_resize(self) -> None:
        """Rows are cut somewhere else."""
        self._strips.clear()

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def _strip(self, y: int) -> Strip:
        if y not in self._strips:
            row = self._rows[y] if y < len(self._rows) else ()
            strip = Strip([Segment(text, self._style(style)) for text, style in row])
            self._strips[y] = strip.adjust_cell_length(self.size.width, self._style(""))
        return self._strips[y]

    def _style(self, name: str) -> RichStyle:
        if name not in self._styles:
            style = self.visual_style
            self._styles[name] = (style + Style.parse(name) if name else style).rich_style
        return self._styles[name]


def plain_strips(widget: Widget, crop: Region, row: Callable[[int], Strip]) -> list[Strip]:
    """Rows of a widget without border or padding, past Textual's cache of styles, which is most of a frame's cost."""
    background = widget.background_colors[1]
    strips = [row(y) for y in crop.line_range]
    for line_filter in widget.get_line_filters():
        strips = [strip.apply_filter(line_filter, background) for strip in strips]
    if crop.column_span != (0, widget.size.width):
        strips = [strip.crop(*crop.column_span) for strip in strips]
    return strips
