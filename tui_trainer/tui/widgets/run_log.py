"""The end of a run's log, as much as has room."""

from __future__ import annotations

from tui_trainer.run_state import RunState
from tui_trainer.text import display
from tui_trainer.tui.widgets.lines import Lines

STYLES = {"good": "$text-success", "warning": "$text-warning"}


class RunLog(Lines):
    """The newest lines at the bottom; drawn when there are others, or more room."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self._logged: tuple[int, ...] = ()  # what is shown

    def forget(self) -> None:
        """Another run follows."""
        self._logged = ()

    def show_log(self, state: RunState) -> None:
        """Draw it, if it changed."""
        height = self.size.height
        if self._logged == (state.logged, height):
            return
        self._logged = state.logged, height
        lines = list(state.log)
        if state.ended and lines and lines[-1].text == state.message:
            lines.pop()  # the result above says it
        last = lines[max(0, len(lines) - height) :]
        self.show([[(display(line.text, 300), STYLES.get(line.level, "$foreground-muted"))] for line in last])
