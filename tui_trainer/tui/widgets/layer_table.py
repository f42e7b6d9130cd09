"""The layers of a model with what a file has for each: a tree that is folded, filtered and ticked by keys.

Only the rows that are seen are drawn, so that a thousand layers answer as quickly as ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_trainer.layer_facts import LayerFacts
from tui_trainer.text import display
from tui_trainer.tui.keys import LAYERS, bindings
from tui_trainer.tui.layer_rows import LayerRows, Row

STATUS, PARAMETERS, SHAPE = 14, 11, 14  # cells of columns
# cells from which on the numbers of a layer, the model's shape, and the file's side are shown
NUMBERED, WIDE, WIDER = 46, 58, 74
LEAST_NAME = 12
KINDS = {
    "load": "good",
    "renamed": "good",
    "adapted": "doubt",
    "guess": "doubt",
    "several": "doubt",
    "left out": "dim",
    "not in file": "dim",
    "not in model": "dim",
    "random": "dim",
}


class LayerTable(ScrollView, can_focus=True):
    """Rows of layers and subtrees; the screen acts on the one under the cursor."""

    COMPONENT_CLASSES = {f"layers--{name}" for name in ("header", "cursor", "good", "doubt", "bad", "dim", "plain")}
    BINDINGS = bindings(LAYERS)

    @dataclass
    class Pointed(Message):
        """The cursor stands on another row, or on the same with something else in it."""

        row: Row | None

    @dataclass
    class Ticked(Message):
        """The mark of a row was clicked."""

        row: Row

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.rows = LayerRows()
        self._seen: list[Row] = []
        self.cursor = 0

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._seen[self.cursor] if self.cursor < len(self._seen) else None

    @property
    def seen(self) -> list[Row]:
        """All rows that the filter and the folds leave."""
        return self._seen

    def show(self, layers: Sequence[LayerFacts]) -> None:
        """Other layers, or the same in another state; the cursor stays on its row."""
        self.rows.show(layers, max(5, self.size.height - 4))  # the detail below will grow
        self._changed()

    def filter(self, pattern: str, *, is_regex: bool = False) -> str:
        """Show only the layers of this pattern; why it is none, or nothing."""
        self.rows.filter(pattern, is_regex=is_regex)
        if not self.rows.problem:
            self._changed()
        return self.rows.problem

    def _changed(self) -> None:
        path = row.path if (row := self.current) is not None else ""
        self._seen = self.rows.visible
        at = next((number for number, row in enumerate(self._seen) if row.path == path), None)
        self.cursor = min(self.cursor, max(0, len(self._seen) - 1)) if at is None else at
        self.virtual_size = Size(0, len(self._seen) + 1)
        self._show_cursor()

    def _show_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)
        self.refresh()
        self.post_message(self.Pointed(self.current))

    def action_move(self, step: int) -> None:
        """Go up or down."""
        self.cursor = max(0, min(len(self._seen) - 1, self.cursor + step))
        self._show_cursor()

    def action_page(self, direction: int) -> None:
        """Go up or down by what is seen at once."""
        self.action_move(direction * max(1, self.size.height - 2))

    def action_fold(self, opened: bool | None = None) -> None:
        """Open or close the subtree under the cursor; closing a layer goes to the subtree that holds it."""
        row = self.current
        if row is None:
            return
        wanted = not self.rows.is_open(row) if opened is None else opened
        if wanted is False and not (row.is_group and self.rows.is_open(row)):
            above = (at for at in range(self.cursor - 1, -1, -1) if self._seen[at].depth < row.depth)
            self.cursor = next(above, self.cursor)
            self._show_cursor()
            return
        self.rows.fold(row, opened=wanted)
        self._changed()

    def on_click(self, event: events.Click) -> None:
        """Point at a row; a click on its mark ticks it, one on a subtree folds it."""
        at = self.scroll_offset.y + event.y - 1
        if event.y == 0 or not 0 <= at < len(self._seen):
            return
        self.cursor = at
        self._show_cursor()
        if event.x < 2:
            self.post_message(self.Ticked(self._seen[at]))
        elif self._seen[at].is_group:
            self.action_fold()

    def render_line(self, y: int) -> Strip:
        """The header, or the row that is scrolled to this line."""
        width = self.size.width
        if y == 0:
            cells = [
                ("", 2),
                ("layer", 0),
                ("status", STATUS),
                *self._wide("parameters", "model", "file"),
            ]
            return self._strip([(text, room, "header") for text, room in cells], width, cursor=False)
        at = self.scroll_offset.y + y - 1
        if at >= len(self._seen):
            return Strip.blank(width, self.rich_style)
        return self._strip(self._cells(self._seen[at]), width, cursor=at == self.cursor)

    def _wide(self, *texts: str) -> list[tuple[str, int]]:
        """Of the numbers, the model's shape and the file's side those that there is room for."""
        width = self.size.width
        rooms = (PARAMETERS, SHAPE, max(SHAPE, (width - WIDE) // 2))
        columns = zip((NUMBERED, WIDE, WIDER), texts, rooms, strict=True)
        return [(text, room) for least, text, room in columns if width >= least]

    def _cells(self, row: Row) -> list[tuple[str, int, str]]:
        """The text, the room (0: what is left) and the kind of each cell."""
        in_ascii = getattr(self.app, "glyphs", "") == "ascii"
        word = row.status or "random"
        kind = KINDS.get(word, "bad")
        some = row.taken and row.taken < len(row.layers)
        marks = "x-." if in_ascii else "✓◐·"
        mark = marks[1] if some else marks[0] if row.taken else marks[2]
        fold = (("v " if in_ascii else "▾ ") if self.rows.is_open(row) else ("> " if in_ascii else "▸ ")) * row.is_group
        still = {0: "", len(row.layers): "  frozen"}.get(row.frozen, "  part frozen")
        name = f"{'  ' * row.depth}{fold}{display(row.label, 120)}{still}"
        if row.is_group:
            word = f"{row.taken} of {len(row.layers)}" if row.status == "several" else word
            shape, file = f"{len(row.layers)} layer{'s' * (len(row.layers) > 1)}", ""
        else:
            layer = row.layers[0]
            shape = shape_text(layer.shape)
            other = layer.file_name if layer.file_name != layer.name else ""
            file = f"{shape_text(layer.file_shape)} {display(other, 80)}".strip()
        numbers = f"{row.parameters:>{PARAMETERS - 1},}"
        cells = [(mark, 2, kind), (name, 0, "plain"), (word, STATUS, kind)]
        return [*cells, *((text, room, "dim") for text, room in self._wide(numbers, shape, file))]

    def _strip(self, cells: Sequence[tuple[str, int, str]], width: int, *, cursor: bool) -> Strip:
        left = max(LEAST_NAME, width - sum(room for _, room, _ in cells) - 1)
        over = self.get_component_rich_style("layers--cursor") if cursor and self.has_focus else Style()
        under = Style(underline=True) if cursor and not self.has_focus else Style()
        segments = []
        for text, room, kind in cells:
            size = room or left
            shown = text if cell_len(text) < size else self._cut(text, size - 2)
            style = self.get_component_rich_style(f"layers--{kind}")
            segments.append(Segment(set_cell_size(shown, size), style + under + over))
        return Strip(segments).adjust_cell_length(width, self.rich_style + over)

    def _cut(self, text: str, room: int) -> str:
        """A text that is too long; of a whole name, as the filter shows it, the end tells more than the start."""
        if self.rows.pattern and "." in text:
            return f"…{text[-room:]}"
        return f"{set_cell_size(text, room)}…"

    def on_focus(self) -> None:
        """The cursor shows where the keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """Its line is underlined only."""
        self.refresh()


def shape_text(shape: Sequence[int]) -> str:
    """(6, 1, 3, 3) as 6x1x3x3."""
    return "x".join(map(str, shape))
