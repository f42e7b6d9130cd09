"""What is asked when a run could not begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_trainer.errors import DataError, TooManyBadError
from tui_trainer.tui.questions import BadFilesScreen

from .conftest import MAKER, ScriptedSession, until


@pytest.mark.parametrize(("key", "started"), [("y", 1), ("escape", 0)])
async def test_too_many_bad_files_are_a_question(
    make_app: MAKER, digits60: Path, monkeypatch: pytest.MonkeyPatch, key: str, started: int
) -> None:
    app = make_app(data=str(digits60))
    starts: list[float] = []
    async with app.run_test(size=(80, 24)) as pilot:
        session = ScriptedSession()
        session.say(TooManyBadError("9 of 10 images cannot be read, such as \x1b[31m[b]x[/b].png.", allowed=0.9))
        app.begin(session)  # type: ignore[arg-type]
        await until(pilot, lambda: isinstance(app.screen, BadFilesScreen))
        monkeypatch.setattr(type(app), "action_start", lambda self: starts.append(float(self.draft.values["max_bad"])))
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(app.screen, BadFilesScreen))
        app._tick()
        await pilot.pause()
        assert starts == [0.9] * started
        assert not isinstance(app.screen, BadFilesScreen)


async def test_other_refusals_are_no_question(make_app: MAKER, digits60: Path) -> None:
    app = make_app(data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        session = ScriptedSession()
        session.say(DataError("There is nothing."))
        app.begin(session)  # type: ignore[arg-type]
        await until(pilot, lambda: app.trainer is not None and not app.trainer.running)
        app._tick()
        await pilot.pause()
        assert not isinstance(app.screen, BadFilesScreen)
