"""The layers of a model with what a file has for each: a table that is filtered and ticked from the keyboard."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable

from tui_trainer.text import display
from tui_trainer.tui.widgets.table import fill

WIDE = 60  # cells from which on shapes are shown

STYLES = {
    "load": "$text-success",
    "renamed": "$text-success",
    "adapted": "$text-warning",
    "guess": "$text-warning",
    "left out": "dim",
    "not in file": "dim",
    "not in model": "dim",
}


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer. `status` is a word of the match report, empty without a file; `shape` as 6x1x3x3."""

    name: str
    shape: str
    parameters: int
    status: str = ""
    taken: bool = False
    frozen: bool = False
    detail: str = ""


class LayerTable(DataTable[Content]):
    """Rows of layers; space asks to toggle the one under the cursor."""

    @dataclass
    class Pointed(Message):
        """The cursor stands on another layer."""

        row: LayerRow

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._rows: list[LayerRow] = []
        self._pattern = ""

    @property
    def shown(self) -> list[LayerRow]:
        """The layers that the filter leaves: a part of the name, or a pattern with * and ?."""
        pattern = self._pattern if any(c in self._pattern for c in "*?[") else f"*{self._pattern}*"
        return [row for row in self._rows if fnmatch.fnmatchcase(row.name, pattern)]

    @property
    def current(self) -> LayerRow | None:
        """The layer under the cursor."""
        shown = self.shown
        return shown[self.cursor_row] if self.cursor_row < len(shown) else None

    def show(self, rows: Sequence[LayerRow]) -> None:
        """Other layers, or the same in another state; the cursor stays on its row."""
        self._rows = list(rows)
        self._fill()

    def filter(self, pattern: str) -> None:
        """Show only the layers of this pattern."""
        self._pattern = pattern
        self._fill()

    def on_resize(self) -> None:
        """Shapes have a column where there is room."""
        self._fill()

    def _fill(self) -> None:
        wide = self.size.width >= WIDE
        headers = ["", "layer", "status", "params", *(["shape"] if wide else [])]
        fill(self, headers, [self._cells(row, wide) for row in self.shown], widest=1, room=self.size.width)

    def _cells(self, row: LayerRow, wide: bool) -> list[Content]:
        style = STYLES.get(row.status, "$text-error" if row.status else "dim")
        cells = [
            Content.styled("✓" if row.taken else "·", style),
            Content(display(row.name, 60) + ("  frozen" if row.frozen else "")),
            Content.styled(row.status or "random", style),
            Content.styled(f"{row.parameters:>9,}", "dim"),
        ]
        return [*cells, Content.styled(row.shape, "dim")] if wide else cells

    def on_data_table_row_highlighted(self) -> None:
        """Tell of the layer under the cursor."""
        if (row := self.current) is not None:
            self.post_message(self.Pointed(row))
