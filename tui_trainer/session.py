"""A running run: events out, commands in. The screens and the headless front end see no more of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from tui_trainer.commands import LIVE_SETTINGS, Command, Set
from tui_trainer.config import SETTINGS, Config
from tui_trainer.errors import ConfigError, UserError
from tui_trainer.events import Event
from tui_trainer.run_folder import Mailbox, RunFolder

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Session(Protocol):
    """What a front end knows of a run, wherever it runs."""

    folder: RunFolder | None

    def events(self) -> Iterator[Event]:
        """Everything that happens, in its order, until the run has ended."""

    def send(self, command: Command) -> None:
        """Ask for something; an event answers."""


class LocalSession:
    """A run of this process, which trains in the thread that iterates over `events`."""

    def __init__(self, config: Config, tell: Callable[[str], None] = lambda text: None) -> None:
        self._config, self._tell, self._mailbox = config, tell, Mailbox()
        self.folder: RunFolder | None = None

    def events(self) -> Iterator[Event]:
        """Build the run and train it.

        Raises:
            UserError: it cannot start, or failed.
        """
        _refuse_early(self._config)
        self._tell("loading PyTorch")
        from tui_trainer.run import prepare

        run = prepare(self._config, self._tell)
        self.folder = run.folder
        handler = logging.FileHandler(run.folder.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(handler)
        self._mailbox.follow(run.folder.commands)
        try:
            yield from run.events(self._mailbox)
        except UserError:
            raise
        except Exception:
            logging.getLogger("tui_trainer").exception("This is a bug in tui-trainer")
            raise
        finally:
            self._mailbox.close()
            logging.getLogger().removeHandler(handler)
            handler.close()

    def send(self, command: Command) -> None:
        """Hand a command to the loop; a signal handler may call this."""
        self._mailbox.put(command)


def _refuse_early(config: Config) -> None:
    """What can be refused without PyTorch is refused before the seconds that it takes to load."""
    from tui_trainer.data.sources import require_folder
    from tui_trainer.run_folder import new_folder_path

    if not config.data.data:
        raise ConfigError("No dataset: give a folder, as in `tui-trainer --no-tui sample_data/digits`.")
    for folder in filter(None, (config.data.data, config.data.val_data)):
        require_folder(Path(folder).expanduser().absolute())
    if not config.run.resume:
        new_folder_path(config.run.output_dir, config.run.name, config.model.model)


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
