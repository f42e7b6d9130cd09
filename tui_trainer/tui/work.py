"""Threads behind the screens: they never call a screen, whose timer reads what they have found."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tui_trainer.errors import UserError
from tui_trainer.text import display


class Work:
    """A thread that can be asked to stop, and whose failure becomes a sentence.

    One inside torch must be waited for (not `daemon`): the interpreter's end would abort the process.
    """

    def __init__(
        self, name: str, work: Callable[[threading.Event], None], fail: Callable[[str], None], *, daemon: bool
    ) -> None:
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=daemon)
        self._work, self._fail = work, fail

    def stop(self, seconds: float = 0.0) -> None:
        """Ask it to stop, and wait so long for it."""
        self.stopped.set()
        if seconds and self.thread.is_alive():
            self.thread.join(seconds)

    def _run(self) -> None:
        try:
            self._work(self.stopped)
        except UserError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"Cannot read {display(error.filename or 'the folder')}: {error.strerror}.")
        except Exception as error:
            logging.getLogger("tui_trainer").exception("A bug in the thread %s", self.thread.name)
            self._fail(display(f"This is a bug: {type(error).__name__}: {error}", 300))


class Works:
    """The threads of screens that come and go; they end before a run begins."""

    def __init__(self) -> None:
        self._works: list[Work] = []

    def start(self, work: Work) -> Work:
        """Begin, and remember it as long as it lives."""
        self._works = [known for known in self._works if known.thread.is_alive()]
        self._works.append(work)
        work.thread.start()
        return work

    def stop(self, seconds: float = 0.0) -> None:
        """Ask all to stop, and wait so long for each."""
        for work in self._works:
            work.stop(seconds)
