"""Where one begins: last runs, a new one, sample data."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import DataTable, Static

from tui_trainer.config import read_toml
from tui_trainer.errors import UserError
from tui_trainer.past_runs import (
    ORDERS,
    PastRun,
    as_given,
    delete,
    matches,
    ordered,
    past_runs,
    rename,
    sample_data,
    twig,
    write_note,
)
from tui_trainer.text import display, user_path
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.compare import CompareScreen
from tui_trainer.tui.screens.dialogs import AskScreen
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.steps import StepBar
from tui_trainer.tui.widgets.table import fill

STEP_WORDS = (
    ("Data", "a folder of images or a table: what it holds, what is wrong"),
    ("Loader", "how batches are made, measured on this machine"),
    ("Weights", "the model, and what of a weight file goes into which layer"),
    ("Recipe", "epochs, optimizer, schedule; the same as a command line"),
    ("Train", "watch it, pause it, change it, test it; ctrl+r starts"),
)
HEADERS = ("run", "state", "best", "curve", "epochs", "when", "model", "data")
ON_A_RUN = ("open", "resume", "copy_config", "mark", "compare", "note", "rename", "delete")
WIDE = 100  # cells from which on all columns are shown
COLUMNS = ((WIDE, range(8)), (72, range(6)), (0, (0, 1, 2, 5)))  # cells from which on these are
BARS = "▁▂▃▄▅▆▇█"


class HomeScreen(Screen[None]):
    """The runs on this machine, newest first."""

    BINDINGS = bindings(SCREENS["home"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._runs: list[PastRun] = []
        self._marked: set[Path] = set()
        self._words, self._order = "", "changed"

    def compose(self) -> ComposeResult:
        """A welcome at the first start, else the list."""
        yield StepBar("home")
        with Vertical(id="home"):
            yield Static(_welcome(), id="welcome")
            yield Static(id="filtered")
            yield DataTable(cursor_type="row", zebra_stripes=True)
        yield KeyBar()

    def on_screen_resume(self) -> None:
        """Runs may have come and gone; reading the ends of 50 runs takes about 20 ms."""
        self._show()

    def on_resize(self) -> None:
        """Names have more room, or less."""
        if self._runs:
            self._show()

    def _show(self) -> None:
        everything = past_runs()
        shown = [run for run in everything if matches(run, self._words)]
        listed = ordered(shown, self._order)
        self._runs = [run for run, _ in listed]
        table = self.query_one(DataTable)
        columns = next(shown for least, shown in COLUMNS if self.size.width >= least)
        cells = (self._cells(run, twig(depth)) for run, depth in listed)
        rows = [[row[column] for column in columns] for row in cells]
        fill(table, [HEADERS[column] for column in columns], rows, room=self.size.width - 2)
        table.display = bool(everything)
        self.query_one("#welcome").display = not everything
        filtered = f"{len(self._runs)} of {len(everything)} runs with {display(self._words, 40)}; / changes it"
        self.query_one("#filtered", Static).update(Content.styled(filtered, "$foreground-muted"))
        self.query_one("#filtered").display = bool(self._words)
        self.refresh_bindings()
        if everything:
            table.focus()

    def _cells(self, run: PastRun, before: str) -> list[Content]:
        data = str(run.settings.get("data", "")).rstrip("/").rpartition("/")[2]
        state = "$text-error" if run.state in ("failed", "ended without a word") else "$text-success"
        mark = "* " if run.folder.path in self._marked else ""
        note = f"  {display(run.note, 30)}" if run.note else ""
        return [
            Content.assemble((mark, "bold $accent"), before, display(run.name, 40), (note, "$foreground-muted")),
            Content.styled(run.state, state),
            Content.styled(run.best_in_words, "bold"),
            Content.styled(sparkline(run.curve, 12 if self.size.width >= WIDE else 8), "$text-accent"),
            Content(str(run.epochs)),
            Content.styled(ago(run.changed), "dim"),
            *(Content(display(text, 24)) for text in (run.settings.get("model", ""), data)),
        ]

    @property
    def _current(self) -> PastRun | None:
        if not self._runs:
            return None
        row = self.query_one(DataTable).cursor_row
        return self._runs[row] if row < len(self._runs) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What acts on a run is there when there is one."""
        return self._current is not None if action in ON_A_RUN else True

    def on_data_table_row_selected(self) -> None:
        """Enter or a click."""
        self.action_open()

    def action_new(self) -> None:
        """Begin with the data."""
        self.app.action_go("data")  # type: ignore[attr-defined]

    def action_sample(self) -> None:
        """Take the digits."""
        folder = sample_data()
        if folder is None:
            self.notify("The sample data is not installed: clone the repository to have it.", severity="error")
            return
        self._draft.set("data", str(folder))
        self.app.action_go("data")  # type: ignore[attr-defined]

    def action_open(self) -> None:
        """Look at a run."""
        if run := self._current:
            self.app.replay(run.folder)  # type: ignore[attr-defined]

    def action_resume(self) -> None:
        """Go on with a run."""
        if run := self._current:
            self.app.resume(run.folder)  # type: ignore[attr-defined]

    def action_open_config(self) -> None:
        """Fill the screens with a TOML file."""

        def read(path: str | None) -> None:
            if path:
                try:
                    self._draft.load(read_toml(user_path(path)))
                except UserError as error:
                    self.notify(str(error), severity="error", markup=False)
                else:
                    self.app.action_go("recipe")  # type: ignore[attr-defined]

        self.app.push_screen(AskScreen("Configuration file to read", "run.toml"), read)

    def action_mark(self) -> None:
        """Mark a run, or take the mark away; the cursor goes on."""
        if run := self._current:
            self._marked ^= {run.folder.path}
            table = self.query_one(DataTable)
            row = min(table.cursor_row + 1, len(self._runs) - 1)
            self._show()
            table.move_cursor(row=row)

    def action_compare(self) -> None:
        """Marked runs side by side; there must be two."""
        runs = [run for run in self._runs if run.folder.path in self._marked]
        if len(runs) < 2:
            self.notify("Mark two or more runs with space first.", markup=False)
            return
        self.app.push_screen(CompareScreen(runs))

    def action_filter(self) -> None:
        """Show only some runs."""

        def taken(words: str | None) -> None:
            if words is not None:
                self._words = words.strip()
                self._show()

        self.app.push_screen(AskScreen("Only runs whose name, state, model, data or note has", "all runs"), taken)

    def action_sort(self) -> None:
        """The next order."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._show()
        self.notify(f"Sorted by {self._order}.", timeout=2)

    def action_note(self) -> None:
        """Write a note."""
        self._ask("Note", lambda run, text: write_note(run.folder, text))

    def action_rename(self) -> None:
        """Another name."""
        self._ask("New name", lambda run, name: rename(run.folder, name))

    def action_delete(self) -> None:
        """Remove a run, after a question."""
        self._ask(
            f"Remove {display(self._current.name, 40) if self._current else ''} with its checkpoints? Type yes",
            lambda run, word: delete(run.folder) if word.strip().lower() == "yes" else None,
        )

    def _ask(self, title: str, act: Callable[[PastRun, str], object]) -> None:
        run = self._current
        if run is None:
            return

        def told(text: str | None) -> None:
            if text is None:
                return
            try:
                act(run, text)
            except (UserError, OSError) as error:
                self.notify(display(error, 300), severity="error", markup=False)
            self._show()

        self.app.push_screen(AskScreen(title, display(run.note or run.name, 60)), told)

    def action_report(self) -> None:
        """Write the page of a run in a thread: it tests the model first."""
        run = self._current
        if run is not None and not self.app.training:  # type: ignore[attr-defined]
            self.notify("Testing the model for the page ...", timeout=3)
            threading.Thread(target=self._write_report, args=(run,), daemon=True).start()

    def _write_report(self, run: PastRun) -> None:
        from tui_trainer.results.report import save_report

        try:
            path = save_report(run.folder, trusted=self._draft.trusts_code)
            told, severity = f"Written: {display(path, 300)}", "information"
        except UserError as error:
            told, severity = str(error), "error"
        except Exception as error:
            logging.getLogger("tui_trainer").exception("A bug while writing the report")
            told, severity = display(f"This is a bug: {type(error).__name__}: {error}", 300), "error"
        self.app.call_later(self.notify, told, severity=severity, markup=False, timeout=10)

    def action_copy_config(self) -> None:
        """Fill the screens with the settings of a run."""
        run = self._current
        if run is None:
            return
        try:
            self._draft.load(as_given(run))
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.app.action_go("recipe")  # type: ignore[attr-defined]


def _welcome() -> Content:
    """What this is, for who has no runs yet."""
    parts = [("Train an image classifier, or a network on the rows of a table, in five steps.\n\n", "bold")]
    for number, (step, words) in enumerate(STEP_WORDS, 1):
        parts += [(f"  {number}  ", "bold $accent"), (f"{step:<9}", "bold"), (f"{words}\n", "$foreground")]
    parts += [("\nNothing to train on yet? ", "$foreground"), ("s", "bold $accent")]
    parts += [(" takes 1,797 handwritten digits, ", "$foreground"), ("ctrl+r", "bold $accent")]
    return Content.assemble(*parts, (" trains on them: ten seconds.", "$foreground"))


def sparkline(values: tuple[float, ...], width: int = 12) -> str:
    """Values as a row of bars, scaled to their own range; `width` of them from the first to the last."""
    count = min(width, len(values))
    shown = [values[i * (len(values) - 1) // max(1, count - 1)] for i in range(count)]
    if not shown:
        return ""
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(BARS[min(7, int(8 * (value - low) / span))] for value in shown)


def ago(moment: float) -> str:
    """How long ago, in one word and a number."""
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"
