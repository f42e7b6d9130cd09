"""ctrl+e on each setup screen: the code it stands for, with the values that it has now."""

from __future__ import annotations

import ast

from tests.tui.conftest import MAKER
from tui_trainer.tui.screens.code import CodeScreen

SAYS = {"1": "CLASSES = sorted", "2": "batch_size=32", "3": "class LeNet(nn.Module)", "4": "lr=LR, momentum=0.9"}


async def test_each_setup_screen_shows_its_code(make_app: MAKER) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        app = pilot.app
        for key, expected in SAYS.items():
            await pilot.press(key)
            await pilot.pause()
            await pilot.press("ctrl+e")
            await pilot.pause()
            screen = app.screen
            assert isinstance(screen, CodeScreen)
            assert expected in screen.code
            ast.parse(screen.code)
            await pilot.press("c", "ctrl+e")
            assert app.clipboard == screen.code
            assert not isinstance(app.screen, CodeScreen)


async def test_it_is_live(make_app: MAKER) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        app = pilot.app
        await pilot.press("4")
        app.draft.set("optimizer", "adamw")  # type: ignore[attr-defined]
        app.draft.set("lr", 0.125)  # type: ignore[attr-defined]
        await pilot.press("ctrl+e")
        screen = app.screen
        assert isinstance(screen, CodeScreen)
        assert "torch.optim.AdamW" in screen.code
        assert "LR = 0, 20, 0.125" in screen.code
