"""Step 5: watch and steer."""

from __future__ import annotations

import itertools
import math

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_trainer.advice import advice
from tui_trainer.commands import Abort, Checkpoint, Command, Evaluate, Pause, Resume, Set, Stop
from tui_trainer.comparison import best_before, val_curve
from tui_trainer.events import Evaluated, Event, Progress, RunStarted
from tui_trainer.metric_names import HEADLINES, RATES, label
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_state import RunState, not_repeated
from tui_trainer.text import display
from tui_trainer.tui import usage
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.dialogs import LiveEditScreen, TextScreen
from tui_trainer.tui.screens.export import ExportScreen
from tui_trainer.tui.screens.results import ResultsScreen
from tui_trainer.tui.screens.try_image import TryScreen
from tui_trainer.tui.trainer import Trainer
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.lines import Lines
from tui_trainer.tui.widgets.picture import Line
from tui_trainer.tui.widgets.status import RunStatus, result_text, state_in_words
from tui_trainer.tui.widgets.steps import StepBar

STEERING = ("pause", "stop", "checkpoint", "edit", "abort", "evaluate", "detach")
RESUMABLE = ("stopped", "aborted", "failed")
TICKS_A_FRAME = 3  # a frame costs the training thread up to 30 ms of the interpreter; rare events are drawn at once
AFTERWARDS = ("results", "try_image", "export", "new_run")


class TrainScreen(Screen[None]):
    """A run: state, progress, curves, advice, log. It stays when the run ends."""

    BINDINGS = bindings(SCREENS["train"])
    AUTO_FOCUS = ""  # keys are the screen's, so that both charts move together

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._trainer: Trainer | None = None
        self._preparing = ""
        self._asked = ""  # what a key asked for and no event has confirmed yet
        self._advise = True
        self._said = False
        self._sentences: dict[str, str] = {}  # what the crosshair of each chart reads
        self._shown = 0
        self._score = "top1"  # what the second chart shows
        self._before: list[Event] = []  # of the run that this one goes on with
        self._ready = False  # the widgets are there
        self.taken = 0  # events taken in
        self._drawn_ago = 0  # ticks
        self._logged: tuple[int, ...] = ()  # what the log shows
        # Kept here, since looking a widget up costs more than a tick.
        self._charts: dict[str, Chart] = {}
        self._bar, self._status = StepBar("train"), RunStatus()
        self._advice, self._log, self._result = Lines(id="advice"), Lines(id="log"), Static(id="result")
        self.state = RunState()

    def compose(self) -> ComposeResult:
        """Status, charts side by side, advice, log."""
        lines = Line(name="train"), Line(name="val", smooth=False)
        yield self._bar
        yield self._status
        with Horizontal(id="charts"):
            yield Chart("loss", lines, smoothing=0.6, id="loss")
            yield Chart("top-1", lines, percent=True, smoothing=0.6, id="score")
        yield self._advice
        with Vertical(id="below"):
            yield self._result
            yield self._log
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """The result comes at the end."""
        self._result.display = False
        self._ready = True
        for chart in self.query(Chart):
            self._charts[chart.id or ""] = chart
            chart.can_focus = False
            chart.glyphs = getattr(self.app, "glyphs", "braille")

    def follow(self, trainer: Trainer, history: RunFolder | None) -> None:
        """Show this session from now on; `history` is the run that it goes on with."""
        self._trainer, self._said, self._asked = trainer, False, ""
        self.refresh_bindings()
        self.state = RunState()
        self._logged = ()
        self.refresh_bindings()
        self.remove_class("-ended")
        self._before = not_repeated(history.read_events()) if history is not None else []
        if self._ready:
            self._clear()

    def _clear(self) -> None:
        for chart in self._charts.values():
            chart.clear()
        self._result.display = False

    def tell(self, text: str) -> None:
        """What is being prepared. Called in the trainer's thread: it only keeps the text."""
        self._preparing = text

    def tick(self) -> None:
        """Ten times a second: take in what has happened, draw it if the screen is shown."""
        if self._trainer is None or self._said or not self._ready:
            return
        ended = not self._trainer.running  # asked before draining, so that nothing comes after the end
        events, self._before = self._before + self._trainer.drain(), []
        for event in events:
            self._take(event)
        self._drawn_ago += 1
        rare = any(not isinstance(event, Progress) for event in events)
        if self.is_current and (rare or self._asked or self._drawn_ago >= TICKS_A_FRAME):
            self._drawn_ago = 0
            self._draw()
        if ended and not self._said:
            self._end()

    def _take(self, event: Event) -> None:
        self.state.add(event)
        self.taken += 1
        if not isinstance(event, Progress):
            self._asked = ""
        if isinstance(event, RunStarted):
            name = self._score = HEADLINES.get(event.task, "top1")
            self._chart("score").show_metric(label(name), percent=name in RATES)
            if event.step:
                self._draw_again(event)
            self._draw_ghost()
        self._add_points(event)

    def _draw_ghost(self) -> None:
        """The best earlier run on the same data, dim behind this one."""
        folder = self._trainer.session.folder if self._trainer else None
        ghost = best_before(folder) if folder is not None else None
        if ghost is not None:
            for chart, name in (("loss", "loss"), ("score", self._score)):
                points = val_curve(ghost.folder, f"val_{name}")
                self._chart(chart).set_series(Line(name="best before", ghost=True, smooth=False), points)

    def _draw_again(self, started: RunStarted) -> None:
        """A run goes on: what it trained after that step, and trains again, is taken off the charts."""
        for chart in self._charts.values():
            chart.clear()
        folder = self._trainer.session.folder if self._trainer else None
        if folder is not None and folder.events.exists():
            before = itertools.takewhile(lambda event: event != started, folder.read_events())
            for event in not_repeated([*before, started]):
                self._add_points(event)

    def _add_points(self, event: Event) -> None:
        if isinstance(event, Progress) and event.part == "train":
            x = event.epoch + event.batch / max(1, event.batches)
            for chart, name in (("loss", "loss"), ("score", self._score)):
                self._chart(chart).append("train", x, event.metrics.get(f"batch_{name}", math.nan))
        elif isinstance(event, Evaluated):
            for chart, name in (("loss", "loss"), ("score", self._score)):
                self._chart(chart).append("val", event.epoch + 1, event.metrics.get(f"val_{name}", math.nan))

    def _chart(self, name: str) -> Chart:
        return self._charts[name]

    def _draw(self) -> None:
        state, preparing = self.state, self._preparing if self.state.phase == "starting" else ""
        words, style = state_in_words(state, self._asked or preparing)
        self._bar.status(words, style)
        self._status.show_run(state, usage.in_words())
        for chart in self._charts.values():
            chart.flush()
        self._draw_advice()
        self._draw_log()

    def _draw_log(self) -> None:
        box, log = self._log, self.state.log
        logged = (self.state.logged, box.size.height)
        if logged == self._logged:
            return
        self._logged = logged
        styles = {"good": "$text-success", "warning": "$text-warning"}
        last = itertools.islice(log, max(0, len(log) - box.size.height), None)
        box.show([[(display(line.text, 300), styles.get(line.level, "$foreground-muted"))] for line in last])

    def on_resize(self) -> None:
        """More or less of the log has room, and the result is cut somewhere else."""
        if self._trainer is not None and self._ready:
            self.call_after_refresh(self._draw)

    def _end(self) -> None:
        """The run is over: the screen stays and turns into its result."""
        assert self._trainer is not None
        self._said = True
        if self._trainer.error and not self.state.ended:
            self.state.phase = self.state.outcome = "failed"
            self.state.message = self._trainer.error
        folder = self._trainer.session.folder
        self._result.display = True
        self._result.update(result_text(self.state, str(folder.path) if folder else "", self.size.width - 2))
        self.add_class("-ended")
        self.refresh_bindings()
        self._draw()
        self.call_after_refresh(self._draw)  # the log has another height from then on

    def on_screen_resume(self) -> None:
        """Draw at once what happened behind other screens."""
        if self._trainer is not None:
            self._draw()
        else:
            self._bar.status("nothing is training: ctrl+r starts", "$foreground-muted")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer has what steers a run while it goes on, and what can be done with its model afterwards."""
        if action in STEERING:
            return self._trainer is not None and not self._said
        if action == "resume_run":
            return self._said and self.state.outcome in RESUMABLE
        return self._said if action in AFTERWARDS else True

    def _send(self, command: Command, asked: str) -> None:
        if self._trainer is None or not self._trainer.running:
            self.app.clear_notifications()
            self.notify("Nothing is training: ctrl+r starts a run.", timeout=2, markup=False)
            return
        self._trainer.send(command)
        self._asked = asked

    def action_pause(self) -> None:
        """Pause, or go on."""
        if self.state.phase == "paused":
            self._send(Resume(), "resuming ...")
        else:
            self._send(Pause(), "pausing ...")

    def action_stop(self) -> None:
        """Save and end."""
        self._send(Stop(), "stopping ...")

    def action_resume_run(self) -> None:
        """Go on with the run that has ended here."""
        folder = self._trainer.session.folder if self._trainer else None
        if folder is None or (self._trainer is not None and self._trainer.running):
            self.notify("r goes on with a run that has stopped or failed.", markup=False)
            return
        self.app.resume(folder)  # type: ignore[attr-defined]

    def _trained_run(self) -> str:
        """The folder of the run on this screen, if its model can be used now; else it says why not."""
        folder = self._trainer.session.folder if self._trainer else None
        if folder is None or getattr(self.app, "training", False):
            self.notify("A model can be tested and exported here when its run has ended.", timeout=3, markup=False)
            return ""
        return str(folder.path)

    def action_results(self, then: str) -> None:
        """Test the model, and go on to the confusion matrix if that was asked for."""
        if run := self._trained_run():
            self.app.push_screen(ResultsScreen(run, then=then))

    def action_try_image(self) -> None:
        """Ask the model about an image."""
        if run := self._trained_run():
            self.app.push_screen(TryScreen(run))

    def action_export(self) -> None:
        """Take the model away."""
        if run := self._trained_run():
            self.app.push_screen(ExportScreen(run))

    def action_new_run(self) -> None:
        """Begin at the dataset."""
        self.app.switch_screen("data")

    def action_abort(self) -> None:
        """End now."""
        self._send(Abort(), "aborting ...")

    def action_checkpoint(self) -> None:
        """Save now."""
        self._send(Checkpoint(), "saving ...")

    def action_evaluate(self) -> None:
        """Validate now."""
        self._send(Evaluate(), "evaluating ...")

    def action_edit(self) -> None:
        """Change a setting of the running loop."""

        def sent(command: Set | None) -> None:
            if command is not None:
                self._send(command, "changing ...")

        if self._trainer is None or not self._trainer.running:
            self._send(Pause(), "")  # says that nothing is training
            return
        self.app.push_screen(LiveEditScreen(f"lr={self.state.lr:g}"), sent)

    def action_log(self) -> None:
        """The whole log."""
        text = "\n".join(display(line.text, 1000) for line in self.state.log)
        self.app.push_screen(TextScreen("Log", text or "Nothing has happened yet."))

    def action_advice(self) -> None:
        """Show or hide the line of advice."""
        self._advise = not self._advise

    def action_metric(self) -> None:
        """Both charts, the loss alone, the other metric alone."""
        self._shown = (self._shown + 1) % 3
        for number, chart in enumerate(self._charts.values(), 1):
            chart.display = self._shown in (0, number)

    def action_log_scale(self) -> None:
        """Linear or logarithmic loss."""
        self._chart("loss").toggle_log()

    def action_smooth(self, steps: int) -> None:
        """Average over more or fewer samples."""
        for chart in self._charts.values():
            chart.smoother(steps)

    def action_crosshair(self, columns: int) -> None:
        """Move it in both charts, and read out what stands there."""
        for chart in self._charts.values():
            chart.move_crosshair(columns)

    def action_clear(self) -> None:
        """Take it away."""
        for chart in self._charts.values():
            chart.clear_crosshair()

    def action_zoom(self, steps: int) -> None:
        """Fewer or more epochs; the view stays where it is."""
        for chart in self._charts.values():
            (chart.zoom_in if steps > 0 else chart.zoom_out)()

    def action_follow(self) -> None:
        """The whole run, live."""
        for chart in self._charts.values():
            chart.follow()

    def on_chart_crosshair_moved(self, event: Chart.CrosshairMoved) -> None:
        """Say in words what stands there."""
        self._sentences[event.chart.id or ""] = event.text
        self._draw_advice()

    def _draw_advice(self) -> None:
        sentence = self._sentences.get("loss" if self._shown < 2 else "score", "")
        text = sentence or (advice(self.state) if self._advise else "")
        self._advice.show([[(f" {text}", "" if sentence else "$text-warning")]])
