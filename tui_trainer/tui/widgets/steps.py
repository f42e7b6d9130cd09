"""The line at the top: where one is in the flow, and what the run does."""

from __future__ import annotations

from rich.cells import cell_len

from tui_trainer.tui.keys import STEPS
from tui_trainer.tui.widgets.lines import Lines


class StepBar(Lines):
    """The five steps with their keys, the current one marked; on the right the state in words."""

    def __init__(self, current: str) -> None:
        super().__init__(id="steps")
        self._current, self._status = current, ("", "")

    def on_mount(self) -> None:
        """Draw it once."""
        self._draw()

    def on_resize(self) -> None:
        """The state stays at the right edge."""
        super().on_resize()
        self._draw()

    def status(self, text: str, style: str = "$foreground-muted") -> None:
        """Say what the run does."""
        if (text, style) != self._status:
            self._status = (text, style)
            self._draw()

    def _draw(self) -> None:
        text, style = self._status
        for named in (True, False):  # without the names of other steps where they have no room
            parts = self._steps(named)
            gap = self.size.width - sum(len(part) for part, _ in parts) - cell_len(text) - 1
            if gap > 0:
                break
        self.show([[*parts, (" " * max(1, gap), ""), (text, style)]])

    def _steps(self, named: bool) -> list[tuple[str, str]]:
        parts: list[tuple[str, str]] = []
        for number, step in enumerate(STEPS, 1):
            here = step == self._current
            parts.append((f" {number} ", "$text-accent bold" if here else "$foreground-muted"))
            if here or named:
                parts.append((f"{step.capitalize()} ", "bold reverse $text-accent" if here else "$foreground"))
        return parts
