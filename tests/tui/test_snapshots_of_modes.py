"""How each screen looks in a light theme, in the terminal's sixteen colours, without colours, and in ASCII."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import MAKER, ScriptedSession, a_run, settle
from tests.tui.test_snapshots import Act, SnapCompare, pytestmark, still
from tui_trainer.tui.app import TrainerApp

__all__ = ["pytestmark"]

MODES = ("light", "sixteen", "colourless", "ascii")
THEMES = {"light": "textual-light", "sixteen": "ansi-dark"}
SCREENS = ("home", "data", "loader", "weights", "recipe", "training", "finished", "help")


def shown(screen: str, mode: str) -> Act:
    """Go to a screen in a mode."""

    async def act(pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, TrainerApp)
        app.theme = THEMES.get(mode, app.theme)
        if screen in ("training", "finished"):
            session = ScriptedSession(Path("/home/me/runs/lenet-20260101-120000"))
            app.begin(session)
            session.say(*(a_run(until=30) if screen == "training" else a_run()))
            await settle(pilot, app)
        elif screen != "home":
            await pilot.press("question_mark" if screen == "help" else str(SCREENS.index(screen)))
            await still(pilot)
        await still(pilot)

    return act


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("screen", SCREENS)
def test_each_screen(
    snap_compare: SnapCompare, make_app: MAKER, monkeypatch: pytest.MonkeyPatch, screen: str, mode: str
) -> None:
    if mode == "colourless":
        monkeypatch.setenv("NO_COLOR", "1")
    app = make_app()
    app.glyphs = "ascii" if mode == "ascii" else "braille"
    assert snap_compare(app, terminal_size=(80, 24), run_before=shown(screen, mode))
