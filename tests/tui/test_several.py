"""Several processes from the screens: they run beside the screens, which follow them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tui.conftest import MAKER
from tui_trainer.config import resolve, to_toml
from tui_trainer.run_folder import RunFolder, make_folder
from tui_trainer.session import FollowedSession
from tui_trainer.tui import app as screens
from tui_trainer.tui.app import TrainerApp


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The flags of the processes that would have been started."""
    calls = list[list[str]]()
    over = SimpleNamespace(starting=False, begun=True, process=SimpleNamespace(poll=lambda: 0))

    def start_new(words: Any, **where: Any) -> Any:
        calls.append(list(words))
        return SimpleNamespace(folder=make_folder(tmp_path / "new"), **vars(over))

    def go_on(words: Any, folder: RunFolder, processes: int) -> Any:
        calls.append([*words, f"--resume={folder.path}"])
        return SimpleNamespace(folder=folder, **vars(over))

    monkeypatch.setattr(screens, "start_new", start_new)
    monkeypatch.setattr(screens, "go_on", go_on)
    return calls


async def test_a_start_with_several_processes_is_one_beside_the_screens(
    make_app: MAKER, started: list[list[str]], digits60: Path
) -> None:
    app = make_app("recipe", data=str(digits60), nproc=3)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.trainer is not None
        assert isinstance(app.trainer.session, FollowedSession)
    (words,) = started
    assert words[words.index("--nproc") + 1] == "3"


async def test_a_run_of_several_goes_on_as_one_of_several(
    make_app: MAKER, started: list[list[str]], digits60: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "old")
    folder.config.write_text(to_toml(resolve({"data": str(digits60), "nproc": 2}).config))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        app.resume(folder)
        await pilot.pause()
        assert app.trainer is not None
        assert isinstance(app.trainer.session, FollowedSession)
    assert started == [[f"--resume={folder.path}"]]


@pytest.mark.parametrize(("flags", "words"), [({}, []), ({"nproc": 3, "lr": 0.5}, ["--lr", "0.5", "--nproc", "3"])])
async def test_a_run_of_several_that_a_flag_names_goes_on_as_one_of_several(
    started: list[list[str]], digits60: Path, tmp_path: Path, flags: dict[str, Any], words: list[str]
) -> None:
    folder = make_folder(tmp_path / "old")
    folder.config.write_text(to_toml(resolve({"data": str(digits60), "nproc": 2}).config))
    app = TrainerApp(resolve({"resume": str(folder.path), **flags}, folder.config), first="train")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.trainer is not None
        assert isinstance(app.trainer.session, FollowedSession)
    assert started == [[*words, f"--resume={folder.path}"]]
