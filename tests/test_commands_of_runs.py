"""send, attach, runs and weights from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import Told
from tui_trainer.events import RunEnded, to_json
from tui_trainer.models.lenet import LeNet
from tui_trainer.run_folder import RunFolder, runs_root

Cli = Callable[..., Told]


@pytest.fixture
def finished() -> RunFolder:
    """A run that has ended, below the user's runs."""
    folder = RunFolder(runs_root() / "first")
    folder.path.mkdir(parents=True)
    folder.config.write_text('[model]\nmodel = "lenet"\n', "utf-8")
    end = RunEnded(outcome="finished", message="m", epochs=1, step=2, seconds=1.0)
    folder.events.write_text(to_json(end) + "\n", "ascii")
    folder.metrics.write_text("epoch,val_top1\n1,0.5\n", "ascii")
    return folder


def test_sending_to_a_run_that_has_ended_is_refused(run_cli: Cli, finished: RunFolder) -> None:
    told = run_cli("send", "first", "pause")
    assert told.code == 2
    assert "is not running" in told.sentence
    assert not finished.commands.exists()


@pytest.mark.parametrize("words", [["first"], ["first", "jump"], ["first", "set"], ["first", "set", "lr"], []])
def test_a_command_that_is_not_understood_says_which_there_are(
    run_cli: Cli, finished: RunFolder, words: list[str]
) -> None:
    assert run_cli("send", *words).code == 2


@pytest.mark.usefixtures("finished")
def test_runs_are_listed_and_shown(run_cli: Cli) -> None:
    told = run_cli("runs")
    assert told.code == 0
    assert "first" in told.out
    assert "50.00%" in told.out
    (record,) = json.loads(run_cli("runs", "--json").out)
    assert (record["state"], record["best"], record["settings"]["model"]) == ("finished", 0.5, "lenet")
    assert json.loads(run_cli("runs", "show", "first").out)["epochs"] == 1
    assert run_cli("runs", "show", "nowhere").code == 2
    assert run_cli("runs", "eat").code == 2


@pytest.mark.usefixtures("finished")
def test_attach_needs_a_terminal_and_a_run(run_cli: Cli) -> None:
    assert "needs a terminal" in run_cli("attach", "first").sentence
    assert "no run" in run_cli("attach", "nowhere").sentence
    assert run_cli("attach").code == 2


def test_a_weight_file_is_listed_and_compared(run_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({name: tensor.clone() for name, tensor in LeNet().state_dict().items()}, file)
    assert "81,194 numbers" in run_cli("weights", str(file)).out
    told = run_cli("weights", str(file), "--model", "lenet", "--num-classes", "7")
    assert told.code == 0
    assert "stays random: fc3" in told.out
    record = json.loads(run_cli("weights", str(file), "--json", "--model", "lenet", "--exclude-layers", "fc1,fc3").out)
    assert {row["layer"] for row in record["layers"] if not row["loaded"]} == {"fc1", "fc3"}
    assert run_cli("weights", str(tmp_path)).code == 4
    assert run_cli("weights").code == 2


@pytest.mark.parametrize("command", ["attach", "runs", "send"])
def test_each_explains_itself(run_cli: Cli, command: str) -> None:
    told = run_cli(command, "--help")
    assert told.code == 0
    assert f"Usage: tui-trainer {command}" in told.out


def test_hostile_names_are_shown_as_text(run_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"\x1b]0;owned\x07[@click=app.quit]x[/].weight": torch.ones(1)}, file)
    out = run_cli("weights", str(file)).out
    assert "\x1b" not in out
    assert "[@click=app.quit]x[/].weight" in out


def test_a_folder_named_like_a_command_can_be_trained_on(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    told = run_cli("data", "--no-tui")
    assert told.code == 3
    assert "holds no images" in told.sentence


def test_the_name_of_a_run_is_listed_whole_however_long_it_and_its_note_are(run_cli: Cli, finished: RunFolder) -> None:
    name = "a-run-on-photos-with-a-name-that-one-wants-to-copy"
    finished.path.rename(runs_root() / name)
    assert run_cli("runs", "note", name, "lower lr next time, and more of the augmentation that cropped").code == 0
    listed = run_cli("runs").out.splitlines()
    assert len(listed) == 2
    assert listed[1].startswith(f"{name} ")
    assert "that cropped" in listed[1]
