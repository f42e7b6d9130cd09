"""The app: its screens, the draft and the run that they share, and how it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from textual.app import App, SystemCommand
from textual.color import Color
from textual.filter import LineFilter
from textual.screen import Screen

from tui_trainer.background import go_on, start_new
from tui_trainer.commands import Abort, Stop
from tui_trainer.config import Config, Resolved, resolve
from tui_trainer.errors import UserError
from tui_trainer.events import RunEnded
from tui_trainer.past_runs import last_event
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.session import FollowedSession, LocalSession, Session
from tui_trainer.text import user_path
from tui_trainer.tui import preferences
from tui_trainer.tui.draft import Draft, words_of
from tui_trainer.tui.filters import AsciiFilter, ColourlessFilter
from tui_trainer.tui.keys import EVERYWHERE, bindings
from tui_trainer.tui.palette import commands, name_of
from tui_trainer.tui.questions import ask_about_bad_files
from tui_trainer.tui.screens.code import code_screen
from tui_trainer.tui.screens.data import DataScreen
from tui_trainer.tui.screens.dialogs import HelpScreen, LeaveScreen
from tui_trainer.tui.screens.home import HomeScreen
from tui_trainer.tui.screens.loader import LoaderScreen
from tui_trainer.tui.screens.recipe import RecipeScreen
from tui_trainer.tui.screens.train import TrainScreen
from tui_trainer.tui.screens.weights import WeightsScreen
from tui_trainer.tui.terminal import send_noise_to
from tui_trainer.tui.themes import THEMES, register_themes
from tui_trainer.tui.trainer import Trainer
from tui_trainer.tui.work import Works

STEP_DEPTH = 2  # screens on the stack while a step is shown: Textual's own, and the step
TICK = 0.1  # seconds between two looks at the trainer's inbox
GRACE = 30.0  # seconds that a step may still take after a signal asked to stop


class TrainerApp(App[int]):
    """Choose, set, pick, train, steer."""

    TITLE = "tui-trainer"
    CSS_PATH = "app.tcss"
    BINDINGS = bindings(EVERYWHERE)
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")], [(0, "-short"), (40, "-tall")]

    def __init__(
        self,
        resolved: Resolved,
        *,
        first: str = "home",
        warm_up: Callable[[], object] | None = None,
        follow: RunFolder | None = None,
    ) -> None:
        super().__init__()
        self.draft, self._resolved = Draft(resolved), resolved
        self.trainer: Trainer | None = None
        self._first, self._warm_up, self._follow = first, warm_up, follow
        self._train_screen, self._data_screen = TrainScreen(self.draft), DataScreen(self.draft)
        self._loader_screen, self._recipe_screen = LoaderScreen(self.draft), RecipeScreen(self.draft)
        self._moving = False  # the run is to go on in a process of its own
        self._noise_sent = False  # to the log of this run
        self.picture_widget: Callable[[], object] | None = None  # for all pixels, where the terminal shows them
        self.glyphs, self.works = "braille", Works()  # threads of screens that come and go
        self._ascii, self._colourless = AsciiFilter(), ColourlessFilter()
        self._leave_at, self._leave_with = float("inf"), 0

    def on_mount(self) -> None:
        """Show the first screen at once; what is slow loads behind it."""
        register_themes(self)
        self.theme = preferences.read_theme(THEMES)
        self.theme_changed_signal.subscribe(
            self, lambda theme: preferences.write_theme(theme.name)
        )  # also the palette's
        for name, screen in (
            ("home", HomeScreen(self.draft)),
            ("data", self._data_screen),
            ("loader", self._loader_screen),
            ("weights", WeightsScreen(self.draft)),
            ("recipe", self._recipe_screen),
            ("train", self._train_screen),
        ):
            self.install_screen(screen, name)
        self.push_screen(self._first)
        if self._follow is not None:
            self.replay(self._follow)
        if self._resolved.config.run.resume:
            self._resume_as_asked()
        self.set_interval(TICK, self._tick)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
                asyncio.get_running_loop().add_signal_handler(number, self._end_by, number)
        if self._warm_up is not None:
            self.call_after_refresh(threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette."""
        return commands(self, screen, super().get_system_commands(screen))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line goes through before it is drawn."""
        filters = [] if self.no_color else list(super().get_line_filters())  # Textual's own leaves greys
        if self.no_color:
            self._colourless.cursor = Color.parse(self.theme_variables["block-cursor-background"]).rich_color
        return [*filters, *[self._colourless] * self.no_color, *[self._ascii] * (self.glyphs == "ascii")]

    @property
    def crash(self) -> BaseException | None:
        """The exception that ended the app, if one did."""
        return self._exception

    @property
    def training(self) -> bool:
        """Whether a run of this process goes on."""
        return self.trainer is not None and self.trainer.running and self.trainer.session.owned

    def action_go(self, step: str) -> None:
        """Show a step."""
        if not self.screen.is_modal:
            self._to_the_steps()
            self.switch_screen(step)

    def _to_the_steps(self) -> None:
        """Leave what was opened over a step: a step is never on the stack twice."""
        while len(self.screen_stack) > STEP_DEPTH:
            self.pop_screen()

    def action_start(self) -> None:
        """Train what is on the screens."""
        if self.draft.values["nproc"] != 1:  # torchrun is no part of a process with screens: they follow it
            self.action_start_background()
        elif not self._cannot_start():
            self.clear_notifications()
            preferences.remember_folder(str(user_path(str(self.draft.values["data"]))))
            self.begin(LocalSession(self.draft.config(), self._train_screen.tell))

    def _cannot_start(self) -> bool:
        busy = "A run is training already; s on its screen stops it." * self.training
        if problem := busy or self.draft.problem() or self.draft.missing():
            self.notify(problem, severity="error", markup=False)
        return bool(problem)

    def action_start_background(self) -> None:
        """Train what is on the screens in a process of its own, and watch it."""
        if self._cannot_start():
            return
        run, model = self.draft.config().run, str(self.draft.values["model"])
        try:
            where = {"output_dir": run.output_dir, "name": run.name, "model": model}
            started = start_new(self.draft.words(), **where, processes=run.nproc)
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.begin(FollowedSession(started.folder, started))

    def action_detach(self) -> None:
        """Let the run go on without these screens: one of this process moves into a process of its own."""
        if self.trainer is None or not self.trainer.running:
            self.notify("Nothing is training.", markup=False)
        elif not self.training:
            self.notify("The run goes on without these screens; open it here again, or leave.", markup=False)
            self.switch_screen("home")
        elif self.trainer.session.folder is None:
            self.notify("The run is still being prepared; try again when it trains.", markup=False)
        else:
            self._moving = True
            self.trainer.send(Stop())
            self.notify("Saving the run, then it goes on in the background.", markup=False)

    def _move(self) -> None:
        """The run of this process has stopped: go on with it in the background."""
        self._moving = False
        assert self.trainer is not None
        folder = self.trainer.session.folder
        last = last_event(folder) if folder else None
        if folder is None or not isinstance(last, RunEnded) or last.outcome != "stopped":
            return
        started = go_on((), folder)
        if self._leave_at == float("inf"):
            self.begin(FollowedSession(folder, started))

    def begin(self, session: Session, history: RunFolder | None = None) -> None:
        """Show the training screen over a session, with the curves of the run that it goes on with."""
        if self.trainer is not None:
            self.trainer.join(GRACE)
        self._end_background(0.0)
        self.trainer = Trainer(session, before=lambda: self._end_background(GRACE))
        self._noise_sent = False
        self._train_screen.follow(self.trainer, history)
        self._to_the_steps()
        self.switch_screen("train")
        self.trainer.start()

    def _end_background(self, seconds: float) -> None:
        """What draws or measures would change torch's random state under the run; the trainer waits for its end."""
        self._loader_screen.stop_measuring(seconds)
        self._data_screen.stop(seconds)
        self._recipe_screen.stop_trying(seconds)
        self.works.stop(seconds)

    def replay(self, folder: RunFolder) -> None:
        """Look at a run of the past, or at one of another process, which can be steered."""
        if not self.training:
            self.begin(FollowedSession(folder))

    def resume(self, folder: RunFolder) -> None:
        """Go on with a run."""
        if self.training:
            self.notify("A run is training already.", severity="error", markup=False)
            return
        try:
            self._go_on(folder, resolve({"resume": str(folder.path)}, folder.config).config, {"resume"})
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)

    def _resume_as_asked(self) -> None:
        """`tui-trainer --resume RUN`: the flags beside it count; the next run on the screens is a new one."""
        given = {name for name, origin in self._resolved.origins.items() if origin.startswith("--")}
        self.draft.set("resume", "")
        self._go_on(find_run(self._resolved.config.run.resume), self._resolved.config, given)

    def _go_on(self, folder: RunFolder, config: Config, given: set[str]) -> None:
        words = words_of({name: config.values()[name] for name in given - {"resume"}})
        if config.run.nproc > 1:
            return self.begin(FollowedSession(folder, go_on(words, folder, config.run.nproc)))
        return self.begin(LocalSession(config, self._train_screen.tell, given), folder)

    def _tick(self) -> None:
        self._train_screen.tick()
        ask_about_bad_files(self)
        if self._moving and not self.training:
            self._move()
        if self.trainer is not None and not self._noise_sent and self.training and self.trainer.session.folder:
            self._noise_sent = True
            if not self.is_headless:
                send_noise_to(self.trainer.session.folder.log)
        if self._leave_at < float("inf") and (not self.training or time.monotonic() > self._leave_at):
            self.exit(self._leave_with)  # what is stuck ends with the process

    def action_help(self) -> None:
        """Every key."""
        if not self.screen.is_modal:
            self.push_screen(HelpScreen(name_of(self, self.screen)))

    def action_code(self, step: str) -> None:
        """The code that a step stands for, with the values that it has now."""
        self.push_screen(code_screen(step, self.draft.values))

    def action_next_theme(self) -> None:
        """The next theme, remembered."""
        here = THEMES.index(self.theme) if self.theme in THEMES else -1
        self.theme = THEMES[(here + 1) % len(THEMES)]
        self.notify(self.theme, title="Theme", timeout=2, markup=False)

    def action_leave(self) -> None:
        """Leave at once, or ask while a run is training."""
        if self.training:
            if not isinstance(self.screen, LeaveScreen):
                self.push_screen(LeaveScreen(), self._leave_by)
        else:
            self.exit(0)

    async def action_quit(self) -> None:
        """Textual's own ctrl+q asks too."""
        self.action_leave()

    action_help_quit = action_leave  # Textual's own ctrl+c

    def _leave_by(self, choice: str | None) -> None:
        if choice == "background":
            self.action_detach()
            self._leave_at = time.monotonic() + 100 * GRACE if self._moving else self._leave_at
        elif choice and self.trainer is not None:
            self.trainer.send(Abort() if choice == "abort" else Stop())
            self._leave_at = time.monotonic() + (GRACE if choice == "abort" else 100 * GRACE)
            self.notify("Finishing the step, then leaving.", markup=False)

    def _end_by(self, number: int) -> None:
        """A signal asks to stop and save; a second one to leave now."""
        if self.training and self.trainer is not None:
            self.trainer.send(Abort() if self._leave_with else Stop())
        self._leave_with, self._leave_at = 128 + number, time.monotonic() + GRACE
