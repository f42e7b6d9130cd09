"""Residuals over true values, as dots, with the line of no error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text import display

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille cell, by column and row
MARGIN = 9  # cells of the numbers on the left


class Residuals(Widget):
    """A scatter plot of one target."""

    DEFAULT_CSS = """
    Residuals { height: 1fr; padding: 0 1; }
    Residuals > .residuals--dot { color: $accent; }
    Residuals > .residuals--axis { color: $text-muted; }
    """
    COMPONENT_CLASSES = {"residuals--dot", "residuals--axis"}

    def __init__(self) -> None:
        super().__init__()
        self._true: Floats | None = None
        self._error: Floats | None = None
        self._name = ""
        self._lines: tuple[tuple[int, int], list[str]] = ((0, 0), [])

    def show(self, true: Floats, error: Floats, name: str) -> None:
        """Draw predicted minus true over true; both (M,)."""
        self._true, self._error, self._name = true, error, name
        self._lines = ((0, 0), [])
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A row of cells."""
        width, height = self.size.width, self.size.height
        axis = self.rich_style + self.get_component_rich_style("residuals--axis", partial=True)
        if self._true is None or self._error is None or width < MARGIN + 4 or height < 5:
            return Strip.blank(width, self.rich_style)
        if self._lines[0] != (width, height):
            self._lines = ((width, height), self._drawn(width - MARGIN, height - 2))
        rows = height - 2
        if y == 0:
            return Strip([Segment(f"predicted - true over {display(self._name, 30)}", axis)]).adjust_cell_length(width)
        if y == height - 1:
            low, high = f"{self._true.min():.4g}", f"{self._true.max():.4g}"
            text = " " * MARGIN + low + high.rjust(max(0, width - MARGIN - len(low)))
            return Strip([Segment(text, axis)]).adjust_cell_length(width)
        most = self._most()
        label = {1: f"{most:.3g}", rows: f"{-most:.3g}", (rows + 1) // 2: "0"}.get(y, "")
        dot = self.rich_style + self.get_component_rich_style("residuals--dot", partial=True)
        return Strip([Segment(f"{label:>{MARGIN - 2}}  ", axis), Segment(self._lines[1][y - 1], dot)])

    def _most(self) -> float:
        """The scale: most residuals, so that one far out does not flatten all others."""
        import numpy as np

        assert self._error is not None
        return float(np.quantile(np.abs(self._error), 0.99)) * 1.1 or 1.0

    def _drawn(self, columns: int, rows: int) -> list[str]:
        import numpy as np

        assert self._true is not None
        assert self._error is not None
        in_ascii = getattr(self.app, "glyphs", "") == "ascii"
        across, down = (1, 1) if in_ascii else (2, 4)
        spread = float(self._true.max() - self._true.min()) or 1.0
        c = ((self._true - self._true.min()) / spread * (columns * across - 1)).round().astype(int)
        scaled = np.clip(self._error / self._most(), -1, 1)
        r = ((1 - scaled) / 2 * (rows * down - 1)).round().astype(int)
        cells = np.zeros((rows, columns), np.int64)
        np.bitwise_or.at(cells, (r // down, c // across), 1 if in_ascii else np.array(DOTS)[c % 2, r % 4])
        middle, floor = (rows - 1) // 2, "-" if in_ascii else "─"
        empty = [floor if row == middle else " " for row in range(rows)]
        mark = "*" if in_ascii else ""
        return [
            "".join((mark or chr(0x2800 + mask)) if mask else empty[row] for mask in line)
            for row, line in enumerate(cells.tolist())
        ]
