"""Filling a DataTable with plain content: its own measuring knows Rich text only, and would cut every cell."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.content import Content
from textual.widgets import DataTable


def fill(
    table: DataTable[Content],
    headers: Sequence[str],
    rows: Sequence[Sequence[Content]],
    *,
    widest: int = 0,
    room: int = 0,
) -> None:
    """Replace all rows; the cursor keeps its row. Column `widest` gives way when `room` cells are not enough."""
    cursor, scrolled = table.cursor_row, table.scroll_y
    widths = [max([len(header), *(row[i].cell_length for row in rows)]) for i, header in enumerate(headers)]
    over = sum(widths) + 2 * table.cell_padding * len(widths) + 1 - room  # one cell for the scrollbar
    if room and over > 0:
        widths[widest] = max(6, widths[widest] - over)
    table.clear(columns=True)
    for header, width in zip(headers, widths, strict=True):
        table.add_column(Text(header), width=width)  # a name is no markup
    for row in rows:
        cells = list(row)
        cells[widest] = shortened(cells[widest], widths[widest])
        table.add_row(*cells)
    table.move_cursor(row=min(cursor, max(0, len(rows) - 1)), scroll=False)
    table.scroll_to(y=scrolled, animate=False)


def shortened(text: Content, width: int) -> Content:
    """At most that wide: what is left out is in the middle, since names differ at their ends."""
    if text.cell_length <= width:
        return text
    head = (width - 1) // 2
    while (end := text[len(text) - (width - 1 - head) :]).cell_length + head + 1 > width:
        width -= 1  # wide characters
    begin = text[:head]
    return Content.assemble(begin if begin.cell_length <= head else begin.truncate(head), "…", end)
