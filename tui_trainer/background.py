"""A run in a process of its own, which neither the terminal nor the connection takes along when it goes.

The child is the headless command line: a session of its own, no terminal, SIGHUP ignored, its words
in the run's `output.log`. Whoever wants to see it follows the files of its folder.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tui_trainer.errors import BY_EXIT_CODE, TrainingError, UserError
from tui_trainer.run_folder import RunFolder, make_folder, new_folder_path
from tui_trainer.text import display

LOOK = 0.05  # seconds between two looks at whether the run has begun
LOG_TAIL = 4096  # bytes of output.log in which the last words surely begin
# setsid alone keeps the terminal's hang-up away; the trap also keeps those that are sent by hand.
DEAF_TO_HANG_UP = ("/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"')


@dataclass(frozen=True)
class Background:
    """A child that trains into `folder`."""

    folder: RunFolder
    process: subprocess.Popen[bytes]
    recorded: int  # bytes of events that were there before it
    processes: int = 1  # that train together

    @property
    def starting(self) -> bool:
        """Whether it lives and has not said anything yet."""
        return self.process.poll() is None and not self.begun

    @property
    def begun(self) -> bool:
        """Whether it has recorded an event."""
        path = self.folder.events
        return path.exists() and path.stat().st_size > self.recorded

    def refusal(self) -> UserError:
        """Why it ended before it began, in the words that it left in its log."""
        code = self.process.poll() or 0
        words = last_words(self.folder) or f"it ended with code {code} and without a word"
        if not self.folder.holds_a_run():
            self._clear_away()
        return BY_EXIT_CODE.get(code, TrainingError)(words.removeprefix("tui-trainer: "))

    def _clear_away(self) -> None:
        """Leave nothing behind of a run that never was."""
        with contextlib.suppress(OSError):
            for path in (self.folder.log, self.folder.commands):
                path.unlink(missing_ok=True)
            self.folder.checkpoints.rmdir()
            self.folder.path.rmdir()  # only if nothing else is in it

    def wait_until_begun(self) -> None:
        """Wait for its first event.

        Raises:
            UserError: it refused to start.
        """
        while self.starting:
            time.sleep(LOOK)
        if not self.begun:
            raise self.refusal()


def last_words(folder: RunFolder) -> str:
    """The last line of a run's log, empty if there is none."""
    try:
        with folder.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((display(line, 400) for line in reversed(lines) if line.strip()), "")


def start_new(words: Sequence[str], *, output_dir: str, name: str, model: str, processes: int = 1) -> Background:
    """Start a new run with the flags `words`.

    Raises:
        ConfigError: there is a run in its folder already, or the folder cannot be made.
    """
    folder = make_folder(new_folder_path(output_dir, name, model))
    return replace(_start([*words, f"--output-dir={folder.path}", "--name="], folder), processes=processes)


def go_on(words: Sequence[str], folder: RunFolder, processes: int = 1) -> Background:
    """Go on with a run, with the flags `words`."""
    return replace(_start([*words, f"--resume={folder.path}"], folder), processes=processes)


def _start(words: Sequence[str], folder: RunFolder) -> Background:
    command = [*DEAF_TO_HANG_UP, sys.executable, "-m", "tui_trainer", "--no-tui", *words]
    return start_in(folder, command, os.environ)


def start_in(folder: RunFolder, command: Sequence[str], environment: Mapping[str, str]) -> Background:
    """Start a process that trains into `folder`, in a session of its own."""
    recorded = folder.events.stat().st_size if folder.events.exists() else 0
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**environment, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **not_from_here()},
        )
    threading.Thread(
        target=process.wait, name="reaper", daemon=True
    ).start()  # an ended child stays until it is waited for
    return Background(folder, process, recorded)


def not_from_here() -> dict[str, str]:
    """For the environment of a child: it imports nothing from the current folder unless this process does (3.11)."""
    return {} if sys.path[0] in ("", str(Path.cwd())) else {"PYTHONSAFEPATH": "1"}
