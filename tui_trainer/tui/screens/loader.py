"""Step 2: how batches are made, what that means for this data, and how fast this machine makes them."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui_trainer.config import SETTINGS, Config
from tui_trainer.loader_facts import (
    Facts,
    FirstBatch,
    Measurement,
    Recommendation,
    batch_in_words,
    check_shared_memory,
    meaning,
    recommend,
)
from tui_trainer.settings import Value
from tui_trainer.tui import groups
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.groups import of_tables
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.measuring import Background, look_at_data, measure_rates, read_first_batch
from tui_trainer.tui.screens.code import code_of_step, in_colours
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.rate_bars import Bar, RateBars
from tui_trainer.tui.widgets.steps import StepBar

GROUPS = of_tables(groups.LOADER, "loader")
TICK = 0.1  # seconds between two looks at what the threads have found
HINT = "m measures images per second for each number of workers. b reads the first batch."
GRACE = 5.0  # seconds that a thread may take to end; its workers end with it


class LoaderScreen(Screen[None]):
    """The DataLoader options, and what they mean for this data on this machine."""

    BINDINGS = bindings(SCREENS["loader"])
    DEFAULT_CSS = """
    LoaderScreen .summary Static { height: auto; }
    LoaderScreen #code { display: none; margin-top: 1; }
    LoaderScreen.-tall #code { display: block; }
    LoaderScreen #options, LoaderScreen #rates, LoaderScreen #recommended { margin-bottom: 1; }
    """

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._looking: Background[Facts] | None = None
        self._looked: Background[Facts] | None = None  # the last that has ended
        self._facts: Facts | None = None
        self._working: Background[Measurement | FirstBatch] | None = None
        self._measured: dict[int, Measurement] = {}
        self._measured_for: tuple[Value, ...] = ()
        self._measuring = self._complete = self._start_after = False

    def compose(self) -> ComposeResult:
        """The form on the left, what it means on the right."""
        yield StepBar("loader")
        with Horizontal():
            yield Form(self._draft, GROUPS)
            with VerticalScroll(classes="summary", can_focus=False):
                yield Static(id="options")
                yield Static(id="doing")
                yield RateBars(("workers", "loader/s", "train/s", "waits"), id="rates")
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
        if old is not None and not old.error and _of(old.config, "data", "model") == _of(config, "data", "model"):
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
        """Measure each number of workers, or stop measuring."""
        if self._busy:
            self._give_up()
            return
        if (config := self._ready()) is not None:
            self._measured, self._measured_for, self._complete = {}, _measured_for(config), False
            self._begin(measure_rates(config, self._working), measuring=True)

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
            else:
                self._measured[item.num_workers] = item
        if self._busy:
            hint = "; m stops" if self._measuring else ""
            self._say("doing", f"{self._working.doing or 'loading PyTorch'}{hint}", "$text-accent")
        if news:
            self._show_rates()
        if not running:
            self._end(self._working)

    def _end(self, work: Background[Measurement | FirstBatch]) -> None:
        self._working = None
        self._say("doing", work.error, "$text-error")
        self._measured = {count: m for count, m in self._measured.items() if m.final}
        self._complete = self._complete or (self._measuring and not work.cancelled and not work.error)
        self._show_rates()
        if self._start_after:
            self._start_after = False
            self.app.action_start()  # type: ignore[attr-defined]

    def _show_rates(self) -> None:
        stale = bool(self._draft.problem()) or _measured_for(self._draft.config()) != self._measured_for
        best = self._recommended
        bars = [
            Bar(
                label=str(m.num_workers),
                outer=m.images_per_second,
                inner=m.trained_per_second,
                note="skipped" if m.skipped else f"{m.wait_share:.0%}" if m.trained_per_second else "...",
                chosen=best is not None and best.num_workers == m.num_workers,
            )
            for m in self._measured.values()
        ]
        self.query_one("#rates", RateBars).show(bars, dim=stale)
        text = best.reason if best is not None else ""
        if text and stale:
            text = f"Measured with other options; m measures again. Then: {text}"
        text = " ".join([text, *dict.fromkeys(m.skipped for m in self._measured.values() if m.skipped)]).strip()
        self._say("recommended", text, "$foreground-muted" if stale else "$text-success")
        self.query_one("#rates").display = bool(bars)
        self.refresh_bindings()

    @property
    def _recommended(self) -> Recommendation | None:
        return recommend(list(self._measured.values())) if self._complete else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`u` is there only when there is something to take."""
        best = self._recommended
        return action != "use" or (best is not None and best.num_workers != self._draft.values["num_workers"])

    def action_use(self) -> None:
        """Take the recommended number of workers; what needs workers goes when there are none."""
        if (best := self._recommended) is None:
            return
        self._draft.set("num_workers", best.num_workers)
        for name in ("prefetch_factor", "timeout") if best.num_workers == 0 else ():
            self._draft.reset(name)
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


def _of(config: Config, *tables: str) -> tuple[Value, ...]:
    values = config.values()
    return tuple(values[name] for name, item in SETTINGS.items() if item.table in tables)


def _measured_for(config: Config) -> tuple[Value, ...]:
    """What the figures depend on, but for the number of workers and what only workers have."""
    without = config.replace(num_workers=0, prefetch_factor=None, timeout=None)
    each = config.loader.prefetch_factor
    return (*_of(without, "data", "loader", "model"), config.recipe.device, config.recipe.threads, each)


def _in_words(batch: FirstBatch) -> Content:
    parts: list[tuple[str, str]] = []
    for name, text in batch_in_words(batch):
        style = "$text-warning" if name == "warning" else "$foreground-muted"
        parts += [(f"\n{name:<7}", style), (text, "$foreground")] if name else [(text, "bold")]
    return Content.assemble(*parts)
