"""Step 5: watch and steer."""

from __future__ import annotations

import itertools

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key
from textual.screen import Screen
from textual.widgets import Static

from tui_trainer.advice import advice
from tui_trainer.commands import Abort, Checkpoint, Command, Evaluate, Pause, Resume, Set, Stop
from tui_trainer.events import Event, Progress, RunStarted
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
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.lines import Lines
from tui_trainer.tui.widgets.run_curves import RunCurves
from tui_trainer.tui.widgets.run_log import RunLog
from tui_trainer.tui.widgets.status import RunStatus, result_text, state_in_words
from tui_trainer.tui.widgets.steps import StepBar

STEERING = ("pause", "stop", "checkpoint", "edit", "abort", "evaluate")
RESUMABLE = ("stopped", "aborted", "failed")
TICKS_A_FRAME = 3  # a frame costs the training thread up to 30 ms of the interpreter; rare events are drawn at once
AFTERWARDS = ("results", "try_image", "export", "new_run")
AFTERWARDS_KEYS = tuple(key.key for key in SCREENS["train"] if key.action.partition("(")[0] in AFTERWARDS[:3])


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
        self._before: list[Event] = []  # of the run that this one goes on with
        self._ready = False  # the widgets are there
        self.taken = 0  # events taken in
        self._drawn_ago = 0  # ticks
        # Kept here, since looking a widget up costs more than a tick.
        self._bar, self._status, self._curves = StepBar("train"), RunStatus(), RunCurves()
        self._advice, self._log, self._result = Lines(id="advice"), RunLog(), Static(id="result")
        self.state = RunState()

    def compose(self) -> ComposeResult:
        """Status, charts side by side, advice, log."""
        yield self._bar
        yield self._status
        yield self._curves
        yield self._advice
        with Vertical(id="below"):
            yield self._result
            yield self._log
        yield KeyBar()

    def on_mount(self) -> None:
        """The result comes at the end."""
        self._result.display = False
        self._ready = True

    def follow(self, trainer: Trainer, history: RunFolder | None) -> None:
        """Show this session from now on; `history` is the run that it goes on with."""
        self._trainer, self._said, self._asked, self._preparing = trainer, False, "", ""
        self.state = RunState()
        self._log.forget()
        self.refresh_bindings()
        self.remove_class("-ended")
        self._before = not_repeated(history.read_events()) if history is not None else []
        if self._ready:
            self._curves.clear()
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
            self._curves.start(event, self._folder, self._trained_before(event) if event.step else ())
        self._curves.add(event)

    @property
    def _folder(self) -> RunFolder | None:
        """Of the run that is shown, once it has one."""
        return self._trainer.session.folder if self._trainer else None

    def _trained_before(self, started: RunStarted) -> list[Event]:
        """What the run trained up to the step at which it goes on, and does not train again."""
        folder = self._folder
        if folder is None or not folder.events.exists():
            return []
        before = itertools.takewhile(lambda event: event != started, folder.read_events())
        return not_repeated([*before, started])

    def _draw(self) -> None:
        state, waiting = self.state, self._trainer.session.waiting_for if self._trainer else ""
        preparing = self._preparing if state.phase == "starting" else ""
        words, style = state_in_words(state, self._asked or waiting or preparing)
        self._bar.status(words, style)
        here = self._trainer is not None and self._trainer.session.owned
        self._status.show_run(state, usage.in_words() if here else ())  # of this process only
        self._curves.flush()
        self._draw_advice()
        self._log.show_log(state)

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
        self._result.display = True
        path = str(self._folder.path) if self._folder else ""
        self._result.update(result_text(self.state, path, self.size.width - 2))
        self.add_class("-ended")
        self.refresh_bindings()
        self._draw()
        self.call_after_refresh(self._draw)  # the log has another height from then on

    def on_screen_resume(self) -> None:
        """Draw at once what happened behind other screens."""
        if self._trainer is not None:
            self._draw()
        else:
            self._bar.status("no run", "$foreground-muted")
            self._advice.show([[(f" {self._draft.nothing_runs()}", "")]])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer has what steers a run while it goes on, and what can be done with its model afterwards."""
        if action in STEERING:
            return self._trainer is not None and not self._said
        if action == "resume_run":
            return self._said and self.state.saved and self.state.outcome in RESUMABLE
        return self._said and (self.state.saved or action == "new_run") if action in AFTERWARDS else True

    def on_key(self, event: Key) -> None:
        """Say when the keys of a finished run will work."""
        if self._trainer is not None and not self._said and event.character in AFTERWARDS_KEYS:
            self.app.clear_notifications()
            self.notify("That needs the trained model: when the run has ended, or s stops it now.", markup=False)

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
        if self._folder is not None:
            self.app.resume(self._folder)  # type: ignore[attr-defined]

    def action_results(self, then: str) -> None:
        """Test the model, and go on to the confusion matrix if that was asked for."""
        if self._folder is not None:
            self.app.push_screen(ResultsScreen(str(self._folder.path), then=then))

    def action_try_image(self) -> None:
        """Ask the model about an image."""
        if self._folder is not None:
            self.app.push_screen(TryScreen(str(self._folder.path)))

    def action_export(self) -> None:
        """Take the model away."""
        if self._folder is not None:
            self.app.push_screen(ExportScreen(str(self._folder.path)))

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
        self.notify(f"Advice is {'on' if self._advise else 'off'}.", timeout=2)

    def action_metric(self) -> None:
        """Both charts, the loss alone, the other metric alone."""
        self._curves.next_metric()

    def action_log_scale(self) -> None:
        """Linear or logarithmic loss."""
        self._curves.toggle_log()

    def action_smooth(self, steps: int) -> None:
        """Average over more or fewer samples."""
        self._curves.smoother(steps)

    def action_crosshair(self, columns: int) -> None:
        """Move it in both charts, and read out what stands there."""
        self._curves.move_crosshair(columns)

    def action_clear(self) -> None:
        """Take it away."""
        self._curves.clear_crosshair()

    def action_zoom(self, steps: int) -> None:
        """Fewer or more epochs; the view stays where it is."""
        self._curves.zoom(steps)

    def action_follow(self) -> None:
        """The whole run, live."""
        self._curves.follow()

    def on_chart_crosshair_moved(self) -> None:
        """Say in words what stands there."""
        self._draw_advice()

    def _draw_advice(self) -> None:
        sentence = self._curves.sentence
        text = sentence or (advice(self.state) if self._advise else "")
        self._advice.show([[(f" {text}", "" if sentence else "$text-warning")]])
