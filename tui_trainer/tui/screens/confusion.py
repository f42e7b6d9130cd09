"""Which classes are taken for which: the pairs most often mixed up, and the whole matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.text import display
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.look import looking_at
from tui_trainer.tui.widgets.confusion_matrix import ConfusionMatrix
from tui_trainer.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from tui_trainer.results.outcomes import Classified
    from tui_trainer.results.tested import Tested

MOST_PAIRS = 200  # in the list; the matrix has them all


class ConfusionScreen(Screen[None]):
    """Pairs on the left, the matrix on the right; enter looks at the pictures behind a cell."""

    DEFAULT_CSS = """
    ConfusionScreen #pairs { width: 26; border-right: vkey $panel; }
    ConfusionScreen #pairs .heading { height: 1; padding: 0 1; color: $text-muted; }
    ConfusionScreen OptionList { height: 1fr; border: none; padding: 0; background: transparent; }
    ConfusionScreen OptionList { scrollbar-size-vertical: 1; }
    ConfusionScreen .heading { height: 1; padding: 0 1; background: $panel; }
    ConfusionScreen #cell { height: 2; padding: 0 1; border-top: hkey $panel; }
    """
    BINDINGS = bindings(SCREENS["confusion"])
    KEYS = "confusion"

    def __init__(self, tested: Tested, outcomes: Classified) -> None:
        super().__init__()
        self._tested, self._outcomes = tested, outcomes
        self._pairs = outcomes.confused()
        self._by_errors = False

    def compose(self) -> ComposeResult:
        """A list, a matrix, and the cell under the cursor in words."""
        outcomes = self._outcomes
        top1 = float(outcomes.correct.mean())
        title = f"{len(outcomes):,} samples ({self._tested.part}), {len(outcomes.classes):,} classes, top-1 {top1:.2%}"
        yield Static(Content(title), classes="heading")
        with Horizontal():
            with Vertical(id="pairs"):
                yield Static("true -> predicted", classes="heading")
                yield OptionList(*(Option(self._pair(*pair)) for pair in self._pairs[:MOST_PAIRS]))
            yield ConfusionMatrix()
        yield Static(id="cell")
        yield KeyBar()

    def _pair(self, true: int, predicted: int, count: int) -> Content:
        names = self._outcomes.classes
        text = f"{display(names[true], 8)} -> {display(names[predicted], 8)}"
        return Content.assemble((f"{count:>4} ", "$text-error"), text)

    def on_mount(self) -> None:
        """The worst pair first."""
        matrix = self.query_one(ConfusionMatrix)
        matrix.show(self._outcomes.confusion, self._outcomes.classes)
        matrix.focus()
        if self._pairs:
            matrix.go_to(*self._pairs[0][:2])

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """The matrix follows the list."""
        if event.option_list.has_focus:
            self.query_one(ConfusionMatrix).go_to(*self._pairs[event.option_index][:2])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Look at the pictures of a pair."""
        self._look(*self._pairs[event.option_index][:2])

    def on_confusion_matrix_moved(self, event: ConfusionMatrix.Moved) -> None:
        """Say the cell in words."""
        outcomes, names = self._outcomes, self._outcomes.classes
        count, support = int(outcomes.confusion[event.true, event.predicted]), outcomes.figures[event.true].support
        share = f" ({count / support:.1%})" if support else ""
        verb = (
            "were recognised" if event.true == event.predicted else f"were taken for {display(names[event.predicted])}"
        )
        text = f"{display(names[event.true])}: {count:,} of {support:,}{share} {verb}"
        self.query_one("#cell", Static).update(Content(text))

    def on_confusion_matrix_chosen(self, event: ConfusionMatrix.Chosen) -> None:
        """Look at the pictures of a cell."""
        self._look(event.true, event.predicted)

    def _look(self, true: int, predicted: int) -> None:
        samples = self._outcomes.cell(true, predicted)
        if not len(samples):
            self.notify("No picture is behind this cell.", timeout=2, markup=False)
            return
        names = self._outcomes.classes
        title = f"{display(names[true], 40)} taken for {display(names[predicted], 40)}"
        if true == predicted:
            title = f"{display(names[true], 40)}, recognised"
        self.app.push_screen(looking_at(self._tested, samples.tolist(), f"{title}, most confident first"))

    def action_order(self) -> None:
        """Classes as they are, or those with most errors first."""
        self._by_errors = not self._by_errors
        counts = self._outcomes.confusion
        errors = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
        order = sorted(range(len(errors)), key=lambda i: -int(errors[i])) if self._by_errors else None
        matrix = self.query_one(ConfusionMatrix)
        here = matrix.cursor
        matrix.show(counts, self._outcomes.classes, order)
        matrix.go_to(*here)
        self.notify("Most errors first." if self._by_errors else "In the order of the classes.", timeout=2)

    def action_next_pair(self, step: int) -> None:
        """The cursor on the next pair that is mixed up, in the order of the list."""
        if not self._pairs:
            return
        cells = [pair[:2] for pair in self._pairs]
        here = self.query_one(ConfusionMatrix).cursor
        at = cells.index(here) + step if here in cells else 0
        self.query_one(ConfusionMatrix).go_to(*cells[at % len(cells)])

    def action_look(self) -> None:
        """The pictures behind the cell under the cursor."""
        self._look(*self.query_one(ConfusionMatrix).cursor)

    def action_back(self) -> None:
        """To the figures."""
        self.app.pop_screen()
