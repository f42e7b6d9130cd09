"""A running run: events out, commands in. The screens and the headless front end see no more of it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

from tui_trainer import idle, preload
from tui_trainer.background import Background
from tui_trainer.commands import LIVE_SETTINGS, Abort, Command, Set, Stop
from tui_trainer.config import SETTINGS, Config
from tui_trainer.errors import ConfigError, UserError
from tui_trainer.events import Event, from_json
from tui_trainer.heap import give_back
from tui_trainer.run_folder import Mailbox, RunFolder
from tui_trainer.run_lock import is_running
from tui_trainer.strategy import require_apt

if TYPE_CHECKING:
    from tui_trainer.data.first_look import FirstLook
    from tui_trainer.engine.ranks import Ranks

FOLLOW_LOOK = 0.02  # seconds between two looks at the file of another process
EXACT_BYTES, PAST_POINTS, LINE_BYTES = 4 << 20, 5_000, 400  # of a record that is followed from its beginning
PROGRESS = b'"kind":"progress"'
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Session(Protocol):
    """What a front end knows of a run, wherever it runs. `owned`: it ends with this process."""

    folder: RunFolder | None
    owned: bool

    @property
    def waiting_for(self) -> str:
        """What is waited for while nothing happens; empty where events say it."""

    def events(self) -> Iterator[Event]:
        """Everything that happens, in its order, until the run has ended."""

    def send(self, command: Command) -> None:
        """Ask for something; an event answers."""

    def close(self) -> None:
        """End `events` soon: an owned run is aborted, another one is left alone."""


class LocalSession:
    """A run of this process, which trains in the thread that iterates over `events`."""

    waiting_for = ""

    def __init__(
        self,
        config: Config,
        tell: Callable[[str], None] = lambda text: None,
        given: Collection[str] = (),
        ranks: Ranks | None = None,
    ) -> None:
        self._config, self._tell, self._given, self._mailbox = config, tell, given, Mailbox()
        self._ranks = ranks  # this process among several, of which the first has looked at the configuration
        self.folder: RunFolder | None = None
        self.owned = True
        self._given_up = False  # before there was anything to save

    def events(self) -> Iterator[Event]:
        """Build the run and train it.

        Raises:
            UserError: it cannot start, or failed.
        """
        if self._ranks is None:
            refuse_early(self._config)
        self._tell("loading PyTorch")
        try:
            again = yield from self._one(self._config, self._given)
            while again is not None:
                gc.collect()  # the model and what it had computed
                again = yield from self._one(again, ())
        finally:
            self._mailbox.close()
            give_back()

    def _one(self, config: Config, given: Collection[str]) -> Generator[Event, None, Config | None]:
        """Build a run and train it; with what to go on, where memory ran out."""
        since = idle.now()
        seen = self._first_look(config)
        from tui_trainer.run import prepare

        run = prepare(config, self._tell, given, self._made, lambda: self._given_up, self._ranks, seen, since)
        handler = logging.FileHandler(run.folder.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(handler)
        try:
            if self._ranks is None or self._ranks.rank == 0:
                self._mailbox.follow(run.folder.commands)
            yield from run.events(self._mailbox)
            return run.again
        except UserError:
            raise
        except Exception:
            logging.getLogger("tui_trainer").exception("This is a bug in tui-trainer")
            raise
        finally:
            logging.getLogger().removeHandler(handler)
            handler.close()

    def _first_look(self, config: Config) -> FirstLook | None:
        """The dataset, while PyTorch is imported; among several processes each does it in its turn, later."""
        if self._ranks is not None:
            return None
        from tui_trainer.data.first_look import first_look

        loading = None if "tui_trainer.run" in sys.modules else preload.Beside()
        seen = first_look(config, self._tell, lambda: self._given_up)
        if loading is not None:
            loading.wait()
        return seen

    def _made(self, folder: RunFolder) -> None:
        """From now on there is something to save into: a signal stops the run instead of giving it up."""
        self.folder = folder

    @property
    def begun(self) -> bool:
        """Whether there is something to save."""
        return self.folder is not None

    def send(self, command: Command) -> None:
        """Hand a command to the loop; a signal handler may call this."""
        self._given_up = self._given_up or isinstance(command, Stop | Abort)
        self._mailbox.put(command)

    def close(self) -> None:
        """Leave after this step."""
        self.send(Abort())


class FollowedSession:
    """A run of another process, or of the past, through the files of its folder."""

    def __init__(self, folder: RunFolder, background: Background | None = None, since: int = 0) -> None:
        self.folder: RunFolder | None = folder
        self.owned = False
        self._folder, self._background, self._closed = folder, background, threading.Event()
        self._since = since  # bytes of what is recorded that are passed over

    def events(self) -> Iterator[Event]:
        """What is recorded, then what comes, until the run has ended or its process is gone.

        Raises:
            UserError: the process that was started refused to train.
        """
        if self._background is not None:
            self._wait_until_begun(self._background)
        if self._closed.is_set() or not self._folder.events.exists():
            return
        with self._folder.events.open("rb") as file:
            file.seek(self._since)
            yield from _known(thinned(file))
            rest = b""
            while not self._closed.is_set():
                alive = self._alive()  # asked before reading, so that a last line is not missed
                whole, newline, rest = (rest + file.read()).rpartition(b"\n")
                yield from _known(whole.splitlines() if newline else ())
                if not alive:
                    return
                self._closed.wait(FOLLOW_LOOK)

    def _wait_until_begun(self, background: Background) -> None:
        while background.starting and not self._closed.is_set():
            self._closed.wait(FOLLOW_LOOK)
        if not background.starting and not background.begun:
            raise background.refusal()

    @property
    def begun(self) -> bool:
        """Whether there is something to save."""
        return self._background is None or self._background.begun

    def _alive(self) -> bool:
        started_here = self._background is not None and self._background.process.poll() is None
        return started_here or is_running(self._folder)

    @property
    def waiting_for(self) -> str:
        """What is waited for while the processes that were started here record nothing."""
        background = self._background
        if background is None or background.process.poll() is not None:
            return ""
        if not background.begun:
            return f"starting {background.processes} processes" if background.processes > 1 else "starting a process"
        return "" if is_running(self._folder) else "restarting after a lost process"

    def send(self, command: Command) -> None:
        """Append it to the run's commands."""
        self._folder.send(command)

    def close(self) -> None:
        """Stop looking; the run is left alone."""
        self._closed.set()


def thinned(file: BinaryIO) -> Iterator[bytes]:
    """The whole lines of a long record of events with fewer points of its past; `file` then stands behind them.

    The last `EXACT_BYTES` come whole, before them one line of progress in so many that about
    `PAST_POINTS` are left: a day of events opens as fast as an hour.
    """
    past = max(0, os.fstat(file.fileno()).st_size - EXACT_BYTES)
    every = 1 + past // (PAST_POINTS * LINE_BYTES)
    number = 0
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        number += 1
        if file.tell() > past or number % every == 0 or PROGRESS not in line[:40]:
            yield line


def _known(lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        with contextlib.suppress(ValueError):
            if (event := from_json(line.decode("ascii"))) is not None:
                yield event


def refuse_early(config: Config, processes: int = 1) -> None:
    """What can be refused without PyTorch is refused before the seconds that it takes to load."""
    from tui_trainer.data.sources import require
    from tui_trainer.early import require_there
    from tui_trainer.run_folder import new_folder_path

    require_apt(config, max(processes, config.run.nproc))
    if not config.data.data:
        raise ConfigError("No dataset: give a folder, as in `tui-trainer --no-tui sample_data/digits`.")
    require(config.data)
    if not config.run.resume:
        new_folder_path(config.run.output_dir, config.run.name, config.model.model)
    require_there(config)


def set_from_text(text: str) -> Set:
    """The command of `name=value`, as `tui-trainer send RUN set lr=0.001` has it.

    Raises:
        ConfigError: it is not of that form, no live setting, or out of bounds.
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name not in LIVE_SETTINGS:
        raise ConfigError(f"set takes NAME=VALUE, NAME one of {', '.join(LIVE_SETTINGS)}; for example lr=0.001.")
    number = SETTINGS[name].from_text(value, name)
    assert isinstance(number, int | float)
    return Set(name=name, value=float(number))
