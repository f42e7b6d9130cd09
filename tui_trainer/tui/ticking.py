"""Looks that repeat, for as long as there is something to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen
from textual.timer import Timer


def every(seconds: float, screen: Screen[Any], look: Callable[[], object]) -> Timer:
    """Call `look` so often; not while the app is taken down, whose widgets go one by one while timers still run."""

    def alive() -> None:
        if screen.app.is_running:
            look()

    return screen.set_interval(seconds, alive)
