"""The command palette has every key of the screen, once."""

from __future__ import annotations

import pytest

from tests.tui.conftest import MAKER
from tui_trainer.tui.keys import EVERYWHERE, FORM, LAYERS, SCREENS, Key
from tui_trainer.tui.screens.dialogs import key_in_words


def titles(keys: tuple[Key, ...]) -> set[str]:
    return {f"{key.label} ({key_in_words(key.key)})" for key in keys}


@pytest.mark.parametrize("step", ["home", "data", "loader", "weights", "recipe", "train"])
async def test_it_has_the_keys_of_the_table(make_app: MAKER, step: str) -> None:
    app = make_app(step)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        found = [command.title for command in app.get_system_commands(app.screen)]
        forms = FORM if step in ("data", "loader", "weights", "recipe") else ()
        expected = titles((*EVERYWHERE, *SCREENS[step], *forms, *(LAYERS if step == "weights" else ())))
        assert set(found) - {"Theme", "Screenshot", "Maximize"} == expected
        assert {"Quit", "Keys"}.isdisjoint(found)


async def test_a_setting_is_changed_from_it(make_app: MAKER) -> None:
    app = make_app("recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        (command,) = (c for c in app.get_system_commands(app.screen) if c.title == "Next (right space)")
        result = command.callback()
        if result is not None:
            await result
        await pilot.pause()
        assert app.draft.values["epochs"] == 21
