"""What is in a dataset: facts, warnings, a bar for each class. Scrolls; only lines in sight are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text import display
from tui_trainer.tui.widgets.thumbnails import fit

if TYPE_CHECKING:
    from tui_trainer.data.report import Report
    from tui_trainer.data.table_report import TableReport

LABEL = 10  # cells of a label and the gap behind it
NAMED = 50  # bad files that are named
Line = list[tuple[str, str]]  # text and what it is: label, text, warning, error, train, held-out


class ReportView(VerticalScroll):
    """A report, or the sentence that says why there is none."""

    DEFAULT_CSS = """
    ReportView { height: auto; max-height: 58%; padding: 0 1; scrollbar-size-vertical: 1; }
    ReportView:focus { background-tint: $foreground 4%; }
    """

    def compose(self) -> ComposeResult:
        """What scrolls."""
        yield ReportBody()

    def show(self, report: Report | TableReport | None, before: Sequence[tuple[str, str]] = ()) -> None:
        """Show a report, with sentences before it: text and what it is, "error" or "text"."""
        self.query_one(ReportBody).show(report, before)


class ReportBody(Widget):
    """The lines of a report."""

    DEFAULT_CSS = """
    ReportBody { height: auto; }
    ReportBody > .report--label { color: $text-muted; }
    ReportBody > .report--text { color: $text; }
    ReportBody > .report--warning { color: $text-warning; }
    ReportBody > .report--error { color: $text-error; }
    ReportBody > .report--train { color: $primary; }
    ReportBody > .report--held-out { color: $accent; }
    """
    COMPONENT_CLASSES = {f"report--{part}" for part in ("label", "text", "warning", "error", "train", "held-out")}

    def __init__(self) -> None:
        super().__init__()
        self._report: Report | TableReport | None = None
        self._before: tuple[tuple[str, str], ...] = ()
        self._lines: list[Line] = []
        self._width = 0
        self._totals: tuple[int, ...] = ()
        self._most = self._longest = 0

    def show(self, report: Report | TableReport | None, before: Sequence[tuple[str, str]]) -> None:
        """Show a report and the sentences before it."""
        if report is self._report and tuple(before) == self._before:
            return
        self._report, self._before, self._width = report, tuple(before), 0
        if report is not None:
            self._totals = report.in_class
            self._most = max(self._totals, default=0)
            self._longest = max((cell_len(display(name)) for name in report.classes), default=0)
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All lines."""
        self._fold(width)
        return len(self._lines) + (len(self._report.classes) if self._report else 0)

    def render_line(self, y: int) -> Strip:
        """A line of the text, or the bar of a class."""
        width = self.size.width
        self._fold(width)
        line = self._lines[y] if y < len(self._lines) else self._bar(y - len(self._lines), width)
        base = self.rich_style
        segments = [Segment(text, base + self.get_component_rich_style(f"report--{part}")) for text, part in line]
        return Strip(segments).adjust_cell_length(width, base)

    def _fold(self, width: int) -> None:
        """Fold the text once for each width."""
        if width == self._width or width < LABEL:
            return
        self._width, report = width, self._report
        self._lines = [line for text, part in self._before for line in _folded("", text, part, width)]
        if report is None:
            return
        for label, text in report.facts():
            self._lines += _folded(f"{label:<{LABEL}}", text, "text", width)
        for warning in report.warnings():
            self._lines += _folded("! ", warning, "warning", width)
        for name, reason in report.bad[:NAMED]:
            self._lines += _folded("    ", f"{display(name)}: {reason}", "text", width)
        if len(report.bad) > NAMED:
            self._lines += _folded("    ", f"and {len(report.bad) - NAMED:,} more", "text", width)
        self._lines += [self._legend()] if report.classes else []

    @property
    def _marks(self) -> tuple[str, str]:
        return ("=", "-") if getattr(self.app, "glyphs", "") == "ascii" else ("━", "─")

    def _legend(self) -> Line:
        train, held_out = self._marks
        return [("train ", "label"), (train * 2, "train"), ("  held out ", "label"), (held_out * 2, "held-out")]

    def _bar(self, number: int, width: int) -> Line:
        """Name, bar and count of a class: training images, then those held out."""
        report = self._report
        if report is None or number >= len(report.classes):
            return []
        total, train = self._totals[number], report.in_train[number]
        name, digits = min(24, max(8, width // 4), self._longest), len(f"{self._most:,}")
        room = width - name - digits - 2
        cells = max(1, round(room * total / self._most))
        first = round(cells * train / max(1, total))
        return [
            (f"{fit(report.classes[number], name)} ", "text"),
            (self._marks[0] * first, "train"),
            (self._marks[1] * (cells - first) + " " * (room - cells), "held-out"),
            (f" {total:>{digits},}", "label"),
        ]


def _folded(label: str, text: str, part: str, width: int) -> list[Line]:
    """Text folded at words, with the label before its first line."""
    rows = [row.plain for row in Content(text).wrap(max(8, width - len(label)))]
    first = "warning" if part == "warning" else "label"
    return [[(label if not i else " " * len(label), first), (row, part)] for i, row in enumerate(rows)]
