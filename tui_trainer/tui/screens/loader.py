"""Step 2: how batches are made, what that means for this data, and how fast this machine makes them."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui_trainer.config import Config
from tui_trainer.loader_facts import (
    Facts,
    FirstBatch,
    Measurement,
    batch_in_words,
    check_shared_memory,
    meaning,
)
from tui_trainer.tui import groups
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.groups import of_tables
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.measuring import Background, look_at_data, measure_rates, read_first_batch
from tui_trainer.tui.screens.code import code_of_step, in_colours
from tui_trainer.tui.ticking import every
from tui_trainer.tui.tuned import Tuned, measured_for, of
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.rate_bars import RateBars
from tui_trainer.tui.widgets.steps import StepBar
from tui_trainer.tune_facts import Trial

GROUPS = of_tables(groups.LOADER, "loader")
TICK = 0.1  # seconds between two looks at what the threads have found
HINT = (
    "m measures images per second for each number of threads and workers, and in 16 bits; u then takes the best. "
    "b reads the first batch."
)
BARS = {
    "computing": ("threads", "images/s", "", "spread"),
    "rates": ("workers", "loader/s", "train/s", "waits"),
    "together": ("workers + threads", "images/s", "", "spread"),
}
GRACE = 5.0  # seconds that a thread may take to end; its workers end with it


class LoaderScreen(Screen[None]):
    """The DataLoader options, and what they mean for this data on this machine."""

    BINDINGS = bindings(SCREENS["loader"])
    DEFAULT_CSS = """
    LoaderScreen .summary Static { height: auto; }
    LoaderScreen #code { display: none; margin-top: 1; }
    LoaderScreen.-tall #code { display: block; }
    LoaderScreen #options, LoaderScreen RateBars, LoaderScreen #recommended { margin-bottom: 1; }
    """

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._looking: Background[Facts] | None = None
        self._looked: Background[Facts] | None = None  # the last that has ended
        self._facts: Facts | None = None
        self._working: Background[Measurement | Trial | FirstBatch] | None = None
        self._tuned: Tuned | None = None
        self._measuring = self._start_after = False

    def compose(self) -> ComposeResult:
        """The form on the left, what it means on the right."""
        yield StepBar("loader")
        with Horizontal():
            yield Form(self._draft, GROUPS)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Static(id="options")
                yield Static(id="doing")
                for name, heads in BARS.items():
                    yield RateBars(heads, id=name)
                yield Static(id="recommended")
                yield Static(Content.styled(HINT, "$foreground-muted"), id="batch")
                yield Static(id="code")
        yield KeyBar()

    def on_mount(self) -> None:
        """Look for news of the threads."""
        every(TICK, self, self._tick)

    def on_screen_resume(self) -> None:
        """Values may have changed on other screens."""
        self.query_one(Form).refresh_rows()
        self._look()
        self._explain()
        self._show_rates()

    def on_screen_suspend(self) -> None:
        """Whoever leaves does not wait for figures; training next must not share the machine with them."""
        if self._working is not None:
            self._working.cancel()

    def on_unmount(self) -> None:
        """No thread and no worker process outlives the app."""
        self.stop_measuring(GRACE)

    def stop_measuring(self, seconds: float) -> None:
        """End what runs in the background, and wait so long for it."""
        for background in (self._working, self._looking):
            if background is not None:
                background.join(seconds)

    def on_form_changed(self) -> None:
        """Say what it means now."""
        self._look()
        self._explain()
        self._show_rates()

    # What the options mean ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Find out about the data and the model, unless that is known or being found out."""
        if self._draft.problem():
            return
        config = self._draft.config()
        old = self._looking
        if old is not None and not old.error and of(old.config, "data", "model") == of(config, "data", "model"):
            return
        if old is not None:
            old.cancel()
        self._facts, self._looking = None, look_at_data(config, old)

    def _explain(self) -> None:
        problem = self._draft.problem() or (self._looking.error if self._looking is not None else "")
        if problem:
            self._say("options", problem, "$text-error")
        elif self._facts is None:
            self._say("options", "Looking at the dataset...", "$foreground-muted")
        else:
            loader = self._draft.config().loader
            parts = [(" ".join(meaning(loader, self._facts)), "$foreground")]
            if warning := check_shared_memory(loader, self._facts):
                parts.append((f" {warning}", "$text-warning"))
            self.query_one("#options", Static).update(Content.assemble(*parts))
            code = Content.styled("The same in plain PyTorch (ctrl+e, then c copies it):\n\n", "$foreground-muted")
            self.query_one("#code", Static).update(code + in_colours(code_of_step("loader", self._draft.values)))

    def _say(self, where: str, text: str, style: str = "$foreground") -> None:
        widget = self.query_one(f"#{where}", Static)
        widget.update(Content.styled(text, style))
        widget.display = bool(text)

    # What is measured ---------------------------------------------------------------------------------------------

    def action_measure(self) -> None:
        """Measure threads, precisions and workers."""
        if (config := self._ready()) is not None:
            self._tuned = Tuned(config)
            self._begin(measure_rates(config, self._working), measuring=True)

    def action_stop_measuring(self) -> None:
        """Give up what is being measured, or the first batch."""
        if self._busy:
            self._give_up()

    def action_first_batch(self) -> None:
        """Read the first batch."""
        if (config := self._ready()) is not None:
            self._begin(read_first_batch(config, self._working), measuring=False)

    @property
    def _busy(self) -> bool:
        return self._working is not None and self._working.running and not self._working.cancelled

    def _ready(self) -> Config | None:
        """The configuration to measure; a notice if that cannot be done now."""
        problem = self._draft.problem()
        if getattr(self.app, "training", False):
            problem = "A run is training: figures taken beside it would be wrong."
        elif self._busy:
            problem = "Still measuring; m stops it."
        if problem:
            self.notify(problem, severity="error", markup=False)
            return None
        return self._draft.config()

    def _begin(self, work: Background[Any], *, measuring: bool) -> None:
        self._working, self._measuring = work, measuring
        self._show_rates()
        self._tick()

    def _give_up(self) -> None:
        assert self._working is not None
        self._working.cancel()
        self._say("doing", f"stopping{', then training' * self._start_after}...", "$foreground-muted")
        self.refresh_bindings()

    def _tick(self) -> None:
        if self._looking is not self._looked and self._looking is not None and not self._looking.running:
            self._looked, self._facts = self._looking, next(iter(self._looking.drain()), None)
            self._explain()
        if self._working is None:
            return
        running = self._working.running  # asked before the inbox, so that a last value is not missed
        news = self._working.drain()
        for item in news:
            if isinstance(item, FirstBatch):
                self.query_one("#batch", Static).update(_in_words(item))
                self.call_after_refresh(self.query_one("#batch").scroll_visible, animate=False)
            elif self._tuned is not None:
                self._tuned.add(item)
        if self._busy:
            hint = "; m stops" if self._measuring else ""
            self._say("doing", f"{self._working.doing or 'loading PyTorch'}{hint}", "$text-accent")
        if news:
            self._show_rates()
        if not running:
            self._end(self._working)

    def _end(self, work: Background[Measurement | Trial | FirstBatch]) -> None:
        self._working = None
        self._say("doing", work.error, "$text-error")
        if self._measuring and self._tuned is not None:
            self._tuned.end(complete=not work.cancelled and not work.error, stopped=work.cancelled and not work.error)
            self.call_after_refresh(self.query_one("#recommended").scroll_visible, animate=False)
        self._show_rates()
        if self._start_after:
            self._start_after = False
            self.app.action_start()  # type: ignore[attr-defined]

    def _show_rates(self) -> None:
        tuned = self._tuned
        stale = tuned is None or bool(self._draft.problem()) or self._is_old(tuned)
        all_bars = tuned.bars() if tuned is not None else {}
        for name in BARS:
            widget, bars = self.query_one(f"#{name}", RateBars), all_bars.get(name, [])
            widget.show(bars, dim=stale)
            widget.display = bool(bars)
        text = "\n".join(tuned.words()) if tuned is not None else ""
        if text and stale:
            text = f"Measured with other options; m measures again. Then: {text}"
        colour = "$text-warning" if tuned is not None and tuned.stopped else "$text-success"
        self._say("recommended", text, "$foreground-muted" if stale else colour)
        self.refresh_bindings()

    def _is_old(self, tuned: Tuned) -> bool:
        return measured_for(self._draft.config()) != measured_for(tuned.config)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`u` is there only when there is something to take; `m` stops what it has begun."""
        if action in ("measure", "stop_measuring"):
            return self._busy == (action == "stop_measuring")
        return action != "use" or (self._tuned is not None and bool(self._tuned.open_values(self._draft)))

    def action_use(self) -> None:
        """Take what is recommended, and say what that was: not all of it is on this screen."""
        if self._tuned is None or not self._tuned.open_values(self._draft):
            return
        self.notify(self._tuned.take(self._draft), markup=False)
        self.query_one(Form).refresh_rows()
        self.on_form_changed()

    def action_scroll(self, direction: int) -> None:
        """Move the right side by a few lines."""
        self.query_one(".summary", VerticalScroll).scroll_relative(y=4 * direction, animate=False)

    def action_start(self) -> None:
        """Train once nothing is being measured any more: both would be slow and draw random numbers."""
        if self._working is None:
            self.app.action_start()  # type: ignore[attr-defined]
            return
        self._start_after = True
        self._give_up()


def _in_words(batch: FirstBatch) -> Content:
    parts: list[tuple[str, str]] = []
    for name, text in batch_in_words(batch):
        style = "$text-warning" if name == "warning" else "$foreground-muted"
        parts += [(f"\n{name:<7}", style), (text, "$foreground")] if name else [(text, "bold")]
    return Content.assemble(*parts)
