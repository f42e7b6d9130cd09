"""The thread in which a session runs while the screens are shown.

It only appends to an inbox; a timer of the screen drains it. The trainer never waits for the
screen: messages or calls per batch cost up to half of the training speed.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import deque
from collections.abc import Callable

from tui_trainer.background import last_words
from tui_trainer.commands import Command
from tui_trainer.errors import UserError
from tui_trainer.events import Event, RunEnded, RunStarted
from tui_trainer.run_lock import is_running
from tui_trainer.session import Session
from tui_trainer.text import display

INBOX = 20_000  # events kept while a stalled terminal does not draw; older ones are in events.jsonl


class Trainer:
    """One session in one thread, owned by the app and joined before the app ends."""

    def __init__(self, session: Session, before: Callable[[], None] = lambda: None) -> None:
        self.session, self._before = session, before
        self.error = ""
        self.failure: UserError | None = None
        self.is_bug = False
        self._inbox: deque[Event] = deque(maxlen=INBOX)
        self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the loop has not ended yet."""
        return self._thread.is_alive()

    def drain(self) -> list[Event]:
        """What has happened since the last call."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def send(self, command: Command) -> None:
        """Ask for something."""
        self.session.send(command)

    def join(self, seconds: float) -> bool:
        """End it and wait; whether it has ended."""
        if self.running:
            self.session.close()
            self._thread.join(seconds)
        return not self.running

    def wait(self, seconds: float) -> None:
        """Wait for its end without asking for it."""
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            self._before()
            event: Event | None = None
            for event in self.session.events():
                if isinstance(event, RunStarted):
                    gc.freeze()  # the model and what it imported stay: a full collection walks them for 0.2 s
                self._inbox.append(event)
            self.error = self._silent_end(event)
        except UserError as error:
            self.error, self.failure = str(error), error
        except BaseException as error:
            logging.getLogger("tui_trainer").exception("A bug ended the run")
            self.error, self.is_bug = display(f"{type(error).__name__}: {error}", 400), True

    def _silent_end(self, last: Event | None) -> str:
        """What there is to say of a run of another process that is gone and has not said how it ended."""
        folder = self.session.folder
        if last is None or folder is None or isinstance(last, RunEnded) or self.session.owned or is_running(folder):
            return ""
        return f"It ended without a word; its log ends: {last_words(folder) or 'with nothing'}"
