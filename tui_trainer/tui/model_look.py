"""The threads behind the weights screen: one looks at the model and the file, one fetches, one reads a tensor.

Each hands what it finds to a callable, which takes it back to the screen's own thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_trainer.config import Config
from tui_trainer.errors import UserError
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.model_facts import ModelFacts
    from tui_trainer.weights.contents import WeightFile
    from tui_trainer.weights.statistics import Statistics


def _in_thread(name: str, work: Callable[[], object], failed: Callable[[Exception], object]) -> None:
    def run() -> None:
        try:
            work()
        except UserError as error:
            failed(error)
        except Exception as error:
            logging.getLogger("tui_trainer").exception("A bug in the thread %s", name)
            failed(UserError(display(f"This is a bug: {type(error).__name__}: {error}", 300)))

    threading.Thread(target=run, name=name, daemon=True).start()


def look(config: Config, found: Callable[[ModelFacts], object], failed: Callable[[Exception], object]) -> None:
    """Build the model and bring the file over it; the first time PyTorch may still be loading."""

    def work() -> None:
        from tui_trainer.model_facts import look_at_model

        found(look_at_model(config))

    _in_thread("look at model", work, failed)


class Fetch:
    """A download that can be stopped."""

    def __init__(self, config: Config) -> None:
        self._config, self._stopped = config, threading.Event()

    def start(
        self, tell: Callable[[str], object], done: Callable[[], object], failed: Callable[[Exception], object]
    ) -> None:
        """Begin."""

        def told(text: str) -> None:
            tell(text)

        def work() -> None:
            from tui_trainer.start_weights import weight_file

            weight_file(self._config.model, told, self._stopped.is_set)
            done()

        _in_thread("download", work, failed)

    def stop(self) -> None:
        """End soon; what was fetched is thrown away."""
        self._stopped.set()


class Reading:
    """The statistics of a layer's tensors, one after the other until it is cancelled."""

    def __init__(self, file: WeightFile, tensors: tuple[str, ...]) -> None:
        self._file, self._tensors, self._stopped = file, tensors, threading.Event()

    def start(self, found: Callable[[str, Statistics | None], object], failed: Callable[[Exception], object]) -> None:
        """Begin; `found` gets the name in the file and what is in it."""

        def work() -> None:
            from tui_trainer.weights.statistics import statistics_of

            for name in self._tensors:
                if not self._stopped.is_set():
                    found(name, statistics_of(self._file, name, self._stopped.is_set))

        _in_thread("statistics", work, lambda error: None if self._stopped.is_set() else failed(error))

    def stop(self) -> None:
        """What is not read yet is not wanted any more."""
        self._stopped.set()
