"""What the terminal cannot show, in what it can: characters as ASCII, colours as none. Applied to all that is drawn."""

from __future__ import annotations

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_NO_COLOUR = Style.parse("default on default")
_CURSOR = Style.parse("reverse default on default")
_SHAPES = {
    "|": "│┃║▎▏▌▍▐▕┆┊┤├╎╏",
    "-": "─┄┈▔▁╌╍‒–—−╴╶╸╺▂▃",
    "+": "┌┐└┘╭╮╰╯┬┴┼┏┓┗┛┳┻╋╔╗╚╝",
    "=": "━═▄▅▆▀",
    "#": "█▇▉▊▋▓■◼",
    ".": "…·░▒⋯",
    "*": "●•◆★✓✔",
    "o": "○◦◯",
    "x": "×✗✘❌",
    ">": "▶▸►→⇥›»❯",
    "<": "◀◂◄←⇤‹«❮⌫",
    "^": "▲▴↑⇧⌃",
    "v": "▼▾↓",
    '"': "“”„",
    "'": "‘’‚′",
    " ": "\u00a0\u2007\u2009\u202f⠀",
}
_ASCII = {ord(shape): plain for plain, shapes in _SHAPES.items() for shape in shapes} | {ord("⏎"): "~", ord("␣"): "_"}


def in_ascii(text: str) -> str:
    """`text` in as many cells, with ASCII alone: what has no likeness is a question mark."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in text.translate(_ASCII))


class AsciiFilter(LineFilter):
    """For terminals that show nothing but ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, with other characters."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]


class ColourlessFilter(LineFilter):
    """For NO_COLOR: the terminal's own two colours; bold, reverse and underlined stay, the cursor becomes reversed."""

    def __init__(self) -> None:
        super().__init__()
        self.cursor: RichColor | None = None  # the background that marks it in the theme

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, without colours."""
        return [Segment(text, self._plain(style), control) for text, style, control in segments]

    def _plain(self, style: Style | None) -> Style | None:
        if style is None:
            return None
        here = self.cursor is not None and style.bgcolor == self.cursor
        return style + (_CURSOR if here else _NO_COLOUR)
