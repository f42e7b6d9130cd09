"""The line at the top: where one is in the flow, and what the run does."""

from __future__ import annotations

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
        parts: list[tuple[str, str]] = []
        for number, step in enumerate(STEPS, 1):
            here = step == self._current
            parts.append((f" {number} ", "$text-accent bold" if here else "$foreground-muted"))
            parts.append((f"{step.capitalize()} ", "bold reverse $text-accent" if here else "$foreground"))
        used = sum(len(text) for text, _ in parts)
        text, style = self._status
        gap = max(1, self.size.width - used - len(text) - 1)
        self.show([[*parts, (" " * gap, ""), (text, style)]])
