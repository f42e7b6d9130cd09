"""Of many files that are left out a few are named, and the rest counted."""

from __future__ import annotations

from tui_trainer.events import Evaluated, Event, RunEnded, Warned

NAMED = 5


class FewFiles:
    """What a front end that prints lines says of them."""

    def __init__(self) -> None:
        self._seen, self._told = 0, NAMED

    def passes(self, event: Event) -> bool:
        """Whether the event is to be told: it is about something else, or one of the first."""
        if not (isinstance(event, Warned) and event.of_a_file):
            return True
        self._seen += 1
        return self._seen <= NAMED

    def rest(self, event: Event) -> str:
        """What to say before the event that ends an epoch or the run; empty where all files were named."""
        if self._seen <= self._told or not isinstance(event, Evaluated | RunEnded):
            return ""
        more, self._told = self._seen - self._told, self._seen
        return f"and {more:,} more: see bad_files.csv of the run"
