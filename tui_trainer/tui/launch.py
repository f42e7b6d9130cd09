"""From the command line to the screens and back: what has to happen before and after the app runs."""

from __future__ import annotations

import logging
import os
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.commands import Stop
from tui_trainer.config import Resolved
from tui_trainer.preload import warm_up
from tui_trainer.run_folder import RunFolder
from tui_trainer.session import LOG_FORMAT
from tui_trainer.text import display
from tui_trainer.tui.terminal import shielded, speaks_utf8

if TYPE_CHECKING:
    from tui_trainer.tui.app import TrainerApp

SWITCH = 0.001  # seconds that a computing thread keeps the interpreter while a key waits for it; Python's is 0.005


def log_file() -> Path:
    """Where the screens log what belongs to no run."""
    import platformdirs

    return platformdirs.user_log_path("tui-trainer", appauthor=False) / "screens.log"


def launch(resolved: Resolved, follow: RunFolder | None = None, *, in_ascii: bool = False) -> int:
    """Run the app, over the run `follow` if it is given; the exit code. The terminal is as before when this returns."""
    os.environ.setdefault("TEXTUAL_FPS", "120")  # frames are few: this is only how soon an answer is drawn
    sys.setswitchinterval(SWITCH)
    resource_tracker.ensure_running()  # inside the app it could not be started: its stderr has no descriptor
    log = log_file()
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    logging.basicConfig(filename=log, format=LOG_FORMAT, level=logging.INFO)
    from tui_trainer.tui.app import TrainerApp
    from tui_trainer.tui.graphics import picture_widget

    first = "data" if resolved.config.data.data else "home"
    app = TrainerApp(resolved, first=first, warm_up=None if follow else warm_up, follow=follow)
    app.glyphs = "braille" if speaks_utf8() and not in_ascii else "ascii"
    app.picture_widget = picture_widget() if app.glyphs != "ascii" else None
    with shielded(log):
        code = app.run()
        _end(app)
    code = app.return_code or code or 0
    if app.crash is not None:
        what = display(f"{type(app.crash).__name__}: {app.crash}", 300)
        print(f"tui-trainer: the screens crashed, this is a bug: {what}; traceback in {display(log)}.", file=sys.stderr)
    if threading.active_count() > 1:
        sys.stdout.flush()
        os._exit(code)  # a thread inside torch cannot be stopped, and crashes when the interpreter is torn down
    return code


def _end(app: TrainerApp) -> None:
    """No thread of a run outlives the app; one over which the screens crashed is saved first."""
    if app.crash is not None:
        logging.getLogger("tui_trainer").error("The screens crashed", exc_info=app.crash)
        if app.training and app.trainer is not None:
            app.trainer.send(Stop())
            app.trainer.wait(30.0)
    if app.trainer is not None:
        app.trainer.join(3.0)
