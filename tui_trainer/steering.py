"""Signals steer a run: they only write commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, Protocol

from tui_trainer.commands import Abort, Command, Stop

P = ParamSpec("P")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Steered(Protocol):
    """What signals steer. `begun`: there is something to save."""

    @property
    def begun(self) -> bool: ...  # noqa: D102

    def send(self, command: Command) -> None:
        """Ask for something."""


class Interrupted(BaseException):
    """A signal came before there was a run that could save itself."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The first asks to stop and save, a second one to leave now, unless `patient`."""

    def __init__(self, *, patient: bool = False) -> None:
        self.received, self._patient = 0, patient
        self._session: Steered | None = None

    def steer(self, session: Steered) -> None:
        """From now on signals steer this session."""
        self._session = session
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        assert self._session is not None
        if not self._session.begun:
            raise Interrupted(number)
        command: Command = Abort() if self.received and not self._patient else Stop()
        self.received = self.received or number
        self._session.send(command)


def unless_gone(descriptor: int, say: Callable[P, None], *what: P.args, **named: P.kwargs) -> None:
    """Say it; when nobody hears it any more (the terminal was closed, the pipe's reader left), a run still goes on."""
    try:
        say(*what, **named)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def complain(text: str) -> None:
    """A line on stderr, for whoever still reads it."""
    unless_gone(2, _to_stderr, text)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def flush() -> None:
    """Hand on what was printed; the interpreter would end with exit code 120 where nobody reads it any more."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        if stream is not None:  # closed by whoever started the program
            unless_gone(number, stream.flush)
