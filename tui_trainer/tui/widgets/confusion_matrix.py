"""A confusion matrix of any size: only the cells on the screen are drawn.

Rows are true classes, columns predicted ones. Measured: 3 ms a screen of 80x24 for 10 classes and for 1,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_trainer.text import display
from tui_trainer.tui.widgets.thumbnails import fit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

WIDEST_LABEL = 16  # cells of a class name on the left
LEVELS = 6  # shades of a cell


class ConfusionMatrix(ScrollView, can_focus=True):
    """Counts with a cursor, in an order of classes that can change."""

    DEFAULT_CSS = """
    ConfusionMatrix { height: 1fr; }
    ConfusionMatrix > .matrix--hit { color: $success; }
    ConfusionMatrix > .matrix--miss { color: $error; }
    ConfusionMatrix > .matrix--label { color: $text-muted; }
    ConfusionMatrix > .matrix--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"matrix--hit", "matrix--miss", "matrix--label", "matrix--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1,0)", "Up", show=False),
        Binding("down", "move(1,0)", "Down", show=False),
        Binding("left", "move(0,-1)", "Left", show=False),
        Binding("right", "move(0,1)", "Right", show=False),
        Binding("pageup", "move(-10,0)", "Page up", show=False),
        Binding("pagedown", "move(10,0)", "Page down", show=False),
        Binding("home", "move(-1000000,-1000000)", "First", show=False),
        Binding("end", "move(1000000,1000000)", "Last", show=False),
    ]

    class Moved(Message):
        """The cursor is on another cell: numbers of classes."""

        def __init__(self, true: int, predicted: int) -> None:
            super().__init__()
            self.true, self.predicted = true, predicted

    class Chosen(Moved):
        """Enter, or a click on the cursor."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._counts: Counts | None = None
        self._support: Counts | None = None
        self._names: tuple[str, ...] = ()
        self._order: list[int] = []
        self._row, self._column = 0, 0
        self._label, self._cell = 4, 4
        self._styles: dict[tuple[str, int], Style] = {}

    def show(self, counts: Counts, names: Sequence[str], order: Sequence[int] | None = None) -> None:
        """Show (C, C) counts, rows and columns in this order of classes."""
        self._counts, self._names = counts, tuple(names)
        self._support = counts.sum(1)
        self._order = list(order) if order is not None else list(range(len(names)))
        self._label = min(WIDEST_LABEL, max(4, *(len(display(name, WIDEST_LABEL)) for name in names))) + 1
        self._cell = max(3, len(str(int(counts.max())))) + 1
        self.virtual_size = Size(self._label + self._cell * len(names), len(names) + 1)
        self.refresh()
        self._move_to(self._row, self._column)

    @property
    def cursor(self) -> tuple[int, int]:
        """The classes (true, predicted) under the cursor."""
        return self._order[self._row], self._order[self._column]

    def go_to(self, true: int, predicted: int) -> None:
        """Put the cursor on a cell, by its classes."""
        self._move_to(self._order.index(true), self._order.index(predicted))

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self._move_to(self._row + rows, self._column + columns)

    def action_choose(self) -> None:
        """The cell under the cursor."""
        if self._order:
            self.post_message(self.Chosen(*self.cursor))

    def _move_to(self, row: int, column: int) -> None:
        if not self._order:
            return
        last = len(self._order) - 1
        self._row, self._column = min(max(row, 0), last), min(max(column, 0), last)
        # Heading and labels stay where they are, so the cursor is kept clear of them.
        left, top = self._cell * self._column, self._row
        cell = Region(left, top, self._label + self._cell, 2)
        self.scroll_to_region(cell, animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved(*self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Move there; a second click looks at it."""
        row = event.y - 1 + int(self.scroll_y)
        column = (event.x - self._label + int(self.scroll_x)) // self._cell
        if event.y < 1 or event.x < self._label or not (0 <= row < len(self._order) > column >= 0):
            return
        if (row, column) == (self._row, self._column):
            self.action_choose()
        else:
            self._move_to(row, column)

    def notify_style_update(self) -> None:
        """Another theme has other shades."""
        self._styles.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """The heading, or one class."""
        width, base = self.size.width, self.rich_style
        row = y - 1 + int(self.scroll_y)
        if self._counts is None or (y and row >= len(self._order)):
            return Strip.blank(width, base)
        muted = base + self.get_component_rich_style("matrix--label", partial=True)
        first, cut = divmod(int(self.scroll_x), self._cell)
        shown = range(first, min(len(self._order), first + width // self._cell + 2))
        if y == 0:
            label, cells = "true\\", [Segment(self._head(column), muted) for column in shown]
        else:
            label = fit(self._names[self._order[row]], self._label - 1)
            cells = [self._segment(row, column, base) for column in shown]
        mark = base + Style(bold=True) if y and row == self._row else muted
        grid = Strip(cells).crop(cut, cut + max(0, width - self._label))
        return Strip([Segment(f"{label:<{self._label}}"[: self._label], mark), *grid]).adjust_cell_length(width, base)

    def _head(self, column: int) -> str:
        """A class's name if it fits, else its number."""
        number = self._order[column]
        name = display(self._names[number], 20)
        short = name if len(name) < self._cell and name.isascii() else f"{number}"
        return f"{short[-self._cell + 1 :]:>{self._cell}}"

    def _segment(self, row: int, column: int, base: Style) -> Segment:
        assert self._counts is not None
        assert self._support is not None
        true = self._order[row]
        count = int(self._counts[true, self._order[column]])
        text = f"{count or '·':>{self._cell}}"
        if (row, column) == (self._row, self._column):
            return Segment(text, self.get_component_rich_style("matrix--cursor", partial=True) + Style(bold=True))
        if not count:
            return Segment(text, base + Style(dim=True))
        level = min(LEVELS, 1 + int(LEVELS * count / max(1, int(self._support[true]))))
        return Segment(text, base + self._shade("hit" if row == column else "miss", level))

    def _shade(self, kind: str, level: int) -> Style:
        """A background that is stronger the larger the share of its class."""
        key = kind, level
        if key not in self._styles:
            strong = self.get_component_styles(f"matrix--{kind}").color
            behind = self.background_colors[1]
            shade = behind.blend(strong, 0.12 + 0.5 * level / LEVELS)
            self._styles[key] = Style(bgcolor=shade.rich_color, color=shade.get_contrast_text(1.0).rich_color)
        return self._styles[key]
