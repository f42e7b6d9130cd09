"""How good a trained model is: the figures of a test, and the ways on from there."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import DataTable, Static

from tui_trainer.text import display
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.confusion import ConfusionScreen
from tui_trainer.tui.screens.export import ExportScreen
from tui_trainer.tui.screens.look import looking_at
from tui_trainer.tui.screens.try_image import TryScreen
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.residuals import Residuals
from tui_trainer.tui.widgets.table import fill
from tui_trainer.tui.work import Work, Works

if TYPE_CHECKING:
    from tui_trainer.results.metrics import Estimate
    from tui_trainer.results.tested import Tested

TICK = 0.1  # seconds between two looks at the test
PARTS = ("val", "test", "train")
WIDE, LEFT = 100, 48  # cells from which on the figures stand on the left, and how many they have there
HEADERS = ("class", "precision", "recall", "    F1", "samples")
MOST_HARDEST = 500  # pictures of the hardest samples


class ResultsScreen(Screen[None]):
    """Tests a run in a thread, then shows its figures; `then` is a key to press when they are there."""

    DEFAULT_CSS = """
    ResultsScreen .heading { height: auto; max-height: 4; padding: 0 1; background: $panel; }
    ResultsScreen #figures { width: 48; padding: 1 1 0 1; border-right: vkey $panel; }
    ResultsScreen.-narrow Horizontal { layout: vertical; }
    ResultsScreen.-narrow #figures { width: 100%; height: auto; max-height: 50%; padding: 0 1; border-right: none; }
    ResultsScreen #summary { height: auto; }
    ResultsScreen DataTable { height: 1fr; background: transparent; }
    """
    BINDINGS = bindings(SCREENS["results"])
    KEYS = "results"

    def __init__(self, run: str, *, then: str = "") -> None:
        super().__init__()
        self._run, self._then, self._part = run, then, "val"
        self._tested: Tested | None = None  # the thread puts it here
        self._shown: Tested | None = None
        self._error = ""
        self._done = 0, 0
        self._work: Work | None = None
        self._worst_first = True

    def compose(self) -> ComposeResult:
        """Figures on the left; classes or residuals on the right."""
        yield Static(Content(f"Testing {display(self._run, 60)} ..."), classes="heading", id="title")
        with Horizontal():
            with VerticalScroll(id="figures"):
                yield Static(id="summary")
            yield DataTable(cursor_type="row", zebra_stripes=True)
            yield Residuals()
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin."""
        self.query_one(Residuals).display = False
        every(TICK, self, self._look)
        self._test()

    def on_resize(self) -> None:
        """Names of classes have more room, or less."""
        if self._shown is not None:
            self._fill()

    def on_unmount(self) -> None:
        """Nothing is tested for a screen that is gone."""
        if self._work is not None:
            self._work.stop()

    def _test(self) -> None:
        if self._work is not None:
            self._work.stop()
        self._tested, self._error, self._done = None, "", (0, 0)
        part = self._part
        works: Works = self.app.works  # type: ignore[attr-defined]
        self._work = works.start(Work("test", lambda stop: self._run_test(part, stop), self._fail, daemon=False))

    def _run_test(self, part: str, stopped: threading.Event) -> None:
        """In the thread."""
        from tui_trainer.results.tested import run_test
        from tui_trainer.results.trained import load_trained

        def tell(done: int, total: int) -> None:
            self._done = done, total
            if stopped.is_set():
                raise _LeftError

        try:
            trusted = self.app.draft.trusts_code  # type: ignore[attr-defined]
            tested = run_test(load_trained(self._run, trusted=trusted), part=part, tell=tell)
            tested.outcomes.metrics  # noqa: B018 - the bootstrap takes its time here, not on the screen
            self._tested = tested
        except _LeftError:
            return

    def _fail(self, sentence: str) -> None:
        self._error = sentence

    def _look(self) -> None:
        title = self.query_one("#title", Static)
        if self._error:
            title.update(Content.styled(self._error, "$text-error"))
        elif self._tested is None:
            done, total = self._done
            counted = f"{done:,} of {total:,}" if total else "loading the model"
            title.update(Content(f"Testing {display(self._run, 60)} ({self._part}): {counted} ..."))
        elif self._tested is not self._shown:
            self._show(self._tested)

    def _show(self, tested: Tested) -> None:
        from tui_trainer.results.outcomes import Regressed
        from tui_trainer.results.tables import heading

        self._shown = tested
        self.query_one("#title", Static).update(Content(heading(tested)))
        self.query_one("#summary", Static).update(self._summary(tested))
        outcomes = tested.outcomes
        is_numbers = isinstance(outcomes, Regressed)
        self.query_one(DataTable).display, self.query_one(Residuals).display = not is_numbers, is_numbers
        if isinstance(outcomes, Regressed):
            self.query_one(Residuals).show(outcomes.true[:, 0], outcomes.residuals[:, 0], outcomes.names[0])
        else:
            self._fill()
            self.query_one(DataTable).focus()
        if self._then:
            self.call_later(self.run_action, self._then)

    def _summary(self, tested: Tested) -> Content:
        from tui_trainer.results.tables import LABELS, shown

        rows = [
            (LABELS.get(name, name), shown(name, estimate.value), *_ends(name, estimate))
            for name, estimate in tested.outcomes.metrics.items()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        wide = sum(widths) + 6  # with the gaps and the dash
        parts = [(f"{'95 % interval':>{wide}}\n", "$foreground-muted")] if widths[-1] else []
        for label, value, low, high in rows:
            parts += [(f"{label:<{widths[0]}}", "$foreground-muted"), (f" {value:>{widths[1]}}", "bold $foreground")]
            interval = f"  {low:>{widths[2]}} - {high:>{widths[3]}}" if low else ""
            parts.append((f"{interval}\n", "$foreground-muted"))
        parts += [(f"\n{note}", "$text-warning") for note in tested.notes]
        if tested.bad:
            parts.append((f"\n{len(tested.bad):,} files cannot be read.", "$text-warning"))
        return Content.assemble(*parts)

    def _fill(self) -> None:
        from tui_trainer.results.outcomes import Classified, Labelled

        outcomes = self._shown.outcomes if self._shown is not None else None
        if not isinstance(outcomes, Classified | Labelled):
            return
        rows = list(zip(outcomes.classes, outcomes.figures, strict=True))
        if self._worst_first:
            rows.sort(key=lambda row: (row[1].f1, row[1].recall.value))
        table: DataTable[Content] = self.query_one(DataTable)
        cells = []
        for name, figures in rows:
            rates = figures.precision.value, figures.recall.value, figures.f1
            texts = (*(f"{rate:.1%}" for rate in rates), f"{figures.support:,}")
            numbers = (Content(text.rjust(len(header))) for text, header in zip(texts, HEADERS[1:], strict=True))
            cells.append([Content(display(name, 60)), *numbers])
        width = self.size.width - (LEFT if self.size.width >= WIDE else 0)
        fill(table, HEADERS, cells, room=width - 1)

    def _outcomes(self) -> Tested | None:
        if self._shown is None:
            self.notify(self._error or "The test is not done yet.", timeout=2, markup=False)
        return self._shown

    def action_confusion(self) -> None:
        """The confusion matrix."""
        from tui_trainer.results.outcomes import Classified

        tested = self._outcomes()
        if tested is None:
            return
        straight, self._then = bool(self._then) and self.is_current, ""
        if not isinstance(tested.outcomes, Classified):
            self.notify("Only one class of many has a confusion matrix.", timeout=3, markup=False)
            return
        matrix = ConfusionScreen(tested, tested.outcomes)
        if straight:  # back from there is where it was asked for, not here
            self.app.switch_screen(matrix)
        else:
            self.app.push_screen(matrix)

    def action_hardest(self) -> None:
        """The samples with the greatest loss or error."""
        tested = self._outcomes()
        if tested is None:
            return
        hardest, title = tested.outcomes.hardest()[:MOST_HARDEST].tolist(), "Hardest samples, the greatest loss first"
        self.app.push_screen(looking_at(tested, hardest, title))

    def action_try_image(self) -> None:
        """Ask the model about an image."""
        self.app.push_screen(TryScreen(self._run))

    def action_export(self) -> None:
        """Take the model away."""
        self.app.push_screen(ExportScreen(self._run))

    def action_order(self) -> None:
        """Worst classes first, or in their order."""
        self._worst_first = not self._worst_first
        self._fill()

    def action_part(self) -> None:
        """Test the next part of the dataset."""
        self._part = PARTS[(PARTS.index(self._part) + 1) % len(PARTS)]
        self._test()

    def action_back(self) -> None:
        """To the run."""
        self.app.pop_screen()


def _ends(name: str, estimate: Estimate) -> tuple[str, str]:
    """Of the interval of a figure; empty if it has none."""
    from tui_trainer.results.tables import shown

    if not math.isfinite(estimate.low):
        return "", ""
    return shown(name, estimate.low).rstrip("%"), shown(name, estimate.high).rstrip("%")


class _LeftError(Exception):
    """The screen no longer wants the test."""
