"""Choosing the dataset folder by its path, from the recent ones, and in the tree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from tests.tui.conftest import MAKER, until
from tests.tui.test_data_screen import report_text, settle
from tui_trainer.tui import preferences
from tui_trainer.tui.screens.choose_folder import ChooseFolder, FolderTree
from tui_trainer.tui.widgets.typed import complete


async def test_typing_a_path_with_completion(
    make_app: MAKER, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures" / "birds").parent.mkdir()
    shutil.copytree(digits60, tmp_path / "pictures" / "birds")
    monkeypatch.chdir(tmp_path)
    app = make_app("data")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"pi")
        field = app.screen.query_one(Input)
        await until(pilot, lambda: field._suggestion == "pictures/")
        await pilot.press("right", "b")
        await until(pilot, lambda: field._suggestion == "pictures/birds/")
        await pilot.press("right", "enter")
        await settle(pilot)
        assert app.draft.values["data"] == "pictures/birds"
        assert "images 60:" in report_text(app)
        assert preferences.recent_folders() == [str(tmp_path / "pictures" / "birds")]


async def test_a_path_that_is_none_stays_to_be_corrected(make_app: MAKER) -> None:
    app = make_app("data")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"nowhere", "enter")
        await pilot.pause()
        assert isinstance(app.screen, ChooseFolder)
        problem = app.screen.query_one(".problem", Static)
        assert problem.display
        assert str(problem.render()) == "nowhere does not exist."
        await pilot.press("x")
        assert not problem.display
        await pilot.press("escape")
        assert app.draft.values["data"] == ""


async def test_the_tree_walks_folders_only(
    make_app: MAKER, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    shutil.copytree(digits60, root / "sets" / "b[red]\x1b[31m")
    (root / "sets" / ".hidden").mkdir()
    (root / "sets" / "a.txt").touch()
    monkeypatch.chdir(root)
    app = make_app("data")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t")
        tree = app.screen.query_one(FolderTree)
        await until(pilot, lambda: tree.root.children)
        await pilot.press("down", "right")
        await until(pilot, lambda: tree.root.children[0].children)
        (child,) = tree.root.children[0].children
        assert str(child.label) == "b[red]\\x1b[31m"
        await pilot.press("right")
        assert tree.cursor_node is child
        await pilot.press("left")
        assert tree.cursor_node is tree.root.children[0]
        assert app.screen.query_one(Input).value == str(root / "sets")
        await pilot.press("left")
        assert not tree.root.children[0].is_expanded
        await pilot.press("backspace")
        await until(pilot, lambda: str(tree.root.label) == tmp_path.name)
        assert isinstance(app.screen, ChooseFolder)
        await until(pilot, lambda: len(tree.root.children) >= 1)
        names = [str(node.label) for node in tree.root.children]
        await pilot.press(*["down"] * (names.index("root") + 1), "enter")
        await settle(pilot)
        assert app.draft.values["data"] == str(root)


async def test_recent_folders_that_still_exist(make_app: MAKER, digits60: Path, colour24: Path) -> None:
    for folder in ("/gone", str(colour24), str(digits60)):
        preferences.remember_folder(folder)
    app = make_app("data")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "path")
        await pilot.press("tab")
        recent = app.screen.query_one("#recent", OptionList)
        assert app.focused is recent
        assert [str(option.prompt) for option in recent.options] == [str(digits60), str(colour24)]
        await pilot.press("down", "enter")
        await settle(pilot)
        assert app.draft.values["data"] == str(colour24)


async def test_choosing_the_same_folder_looks_again(make_app: MAKER, digits60: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(digits60, data)
    app = make_app("data", data=str(data))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        shutil.rmtree(data / "2")
        await pilot.press("slash", "enter")
        await settle(pilot)
        assert "images 40:" in report_text(app)


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("birds", "bees", ".config", "b\x1b[31m"):
        (tmp_path / name).mkdir()
    (tmp_path / "a-file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert complete("") == complete("b") == "bees/"
    assert complete("bi") == "birds/"
    assert complete(f"{tmp_path}/bi") == f"{tmp_path}/birds/"
    assert complete("~/bi") == "~/birds/"
    assert complete(".c") == ".config/"
    assert complete("a") is None
    assert complete("nowhere/b") is None
    assert complete("b\x1b") is None
    assert complete("\0") is None
