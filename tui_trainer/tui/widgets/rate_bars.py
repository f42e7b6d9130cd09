"""Rates as horizontal bars: two a row, one within the other, with their numbers; or one, where its head is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import Static

EIGHTHS = " ▏▎▍▌▋▊▉█"
WIDEST = 60  # cells of a bar: longer ones are no easier to compare


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row. `inner` is drawn within `outer`; `note` stands at its end."""

    label: str
    outer: float
    inner: float
    note: str = ""
    running: bool = False
    chosen: bool = False


class RateBars(Static):
    """Rows of bars under a line of column heads; the chosen one is marked."""

    DEFAULT_CSS = "RateBars { height: auto; }"

    def __init__(self, heads: tuple[str, str, str, str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._heads, self._bars, self._dim = heads, tuple[Bar, ...](), False

    def show(self, bars: Sequence[Bar], *, dim: bool = False) -> None:
        """Draw these; `dim` for figures that are no longer true."""
        self._bars, self._dim = tuple(bars), dim
        self._draw()

    def on_resize(self) -> None:
        """The bars take the width that is there."""
        self._draw()

    def _draw(self) -> None:
        ascii_only = getattr(self.app, "glyphs", "") == "ascii"
        self.update(rows(self._heads, self._bars, self.size.width, ascii_only=ascii_only, dim=self._dim))


def rows(
    heads: tuple[str, str, str, str], bars: Sequence[Bar], width: int, *, ascii_only: bool = False, dim: bool = False
) -> Content:
    """Everything as text, `width` cells wide."""
    if not bars:
        return Content("")
    outer, inner = [_number(bar.outer) for bar in bars], [_number(bar.inner) for bar in bars]
    notes = [bar.note.replace("±", "+-") if ascii_only else bar.note for bar in bars]
    label, first, second, last = (
        max(map(len, column))
        for column in (
            (bar.label for bar in bars),
            (heads[1], *outer),
            (heads[2], *inner),
            (heads[3], *notes),
        )
    )
    second = second if heads[2] else -1  # and the space before it
    room = max(0, min(WIDEST, width - 2 - label - 1 - (first + second + last + 3)))
    most = max(max(bar.outer, bar.inner) for bar in bars) or 1.0
    head = f"{heads[0]:<{2 + label + 1 + room}.{2 + label + 1 + room}} {heads[1]:>{first}}"
    head += f" {heads[2]:>{second}}" if heads[2] else ""
    lines = [Content.styled(f"{head} {heads[3]:>{last}}", "$foreground-muted")]
    for bar, a, b, note in zip(bars, outer, inner, notes, strict=True):
        mark = (">" if ascii_only else "▸") if bar.chosen else " "
        colour = "$foreground-muted" if dim else "$text-success" if bar.chosen else "$text-accent"
        weight = "bold " if bar.chosen and not dim else ""
        numbers = "$foreground-muted" if dim else f"{weight}$foreground"
        solid, rest = _cells(bar.inner / most, bar.outer / most, room, ascii_only=ascii_only)
        lines.append(
            Content.assemble(
                (f"{mark} {bar.label:>{label}} ", weight + colour),
                (solid, colour),
                (rest, "$foreground-muted"),
                (f" {a:>{first}}{f' {b:>{second}}' if heads[2] else ''} {note:>{last}}", numbers),
            )
        )
    return Content("\n").join(lines)


def _number(value: float) -> str:
    if not value:
        return "-"
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def _cells(inner: float, outer: float, room: int, *, ascii_only: bool) -> tuple[str, str]:
    """The bar of shares in [0, 1] as its inner and its outer part, together `room` cells."""
    if ascii_only:
        solid = "#" * round(inner * room)
        rest = "-" * (round(max(outer, inner) * room) - len(solid))
    else:
        whole, eighths = divmod(round(inner * room * 8), 8)
        solid = "█" * whole + (EIGHTHS[eighths] if eighths else "")
        rest = "░" * (round(max(outer, inner) * room) - len(solid))
    return solid, f"{rest:<{room - len(solid)}}"
