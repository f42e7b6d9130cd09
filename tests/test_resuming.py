"""Going on with a run: exactly, only with the same data and recipe, and never over what is there."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.commands import Command, Set, Stop
from tui_trainer.config import Config, read_toml
from tui_trainer.events import Evaluated, Progress
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox, RunFolder

from .conftest import DIGITS, Told, copy_digits, metrics_but_seconds

Cli = Callable[..., Told]


def config_for(data: Path, folder: Path, **values: Any) -> Config:
    recipe = {"epochs": 2, "batch_size": 8, "augment": "light", "lr_scheduler": "cosine"}
    return Config().replace(**{"data": str(data), "output_dir": str(folder), **recipe, **values})


def trained(config: Config, at: int = 0, *commands: Command) -> RunFolder:
    """Train; the commands are sent with the first event after step `at`."""
    made = prepare(config)
    mailbox, sent = Mailbox(), False
    for event in made.events(mailbox):
        if isinstance(event, Progress) and event.step == at and not sent:
            sent = True
            for command in commands:
                mailbox.put(command)
    assert sent or not commands
    return made.folder


@pytest.fixture(scope="module")
def whole(digits60: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return trained(config_for(digits60, tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def cut(digits60: Path, tmp_path: Path) -> RunFolder:
    """The same, stopped after step 4 of 12."""
    return trained(config_for(digits60, tmp_path / "cut"), 4, Stop())


def final(folder: RunFolder) -> bytes:
    return (folder.checkpoints / "final.safetensors").read_bytes()


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("at", [1, 3, 6, 7, 11, 12])
def test_a_run_that_was_cut_off_anywhere_goes_on_exactly(
    digits60: Path, whole: RunFolder, tmp_path: Path, run_cli: Cli, at: int
) -> None:
    folder = trained(config_for(digits60, tmp_path / "cut"), at, Stop())
    assert final(folder) != final(whole)
    told = run_cli("--no-tui", "--json", "--resume", folder.path)
    assert told.code == 0, told.err
    assert (told.json["outcome"], told.json["epochs"], told.json["steps"]) == ("finished", 2, 12)
    assert final(folder) == final(whole)
    assert metrics_but_seconds(folder.metrics) == metrics_but_seconds(whole.metrics)
    wanted = {e.epoch: (e.metrics, e.best) for e in whole.read_events() if isinstance(e, Evaluated)}
    assert {e.epoch: (e.metrics, e.best) for e in folder.read_events() if isinstance(e, Evaluated)} == wanted
    best = [e for e in whole.read_events() if isinstance(e, Evaluated) and e.best][-1]
    assert told.json["best"] == {"epoch": best.epoch + 1, **best.metrics}


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    cut: RunFolder, whole: RunFolder, tmp_path: Path, run_cli: Cli
) -> None:
    """Killed: half a line of events, a row too many, a temporary file, a checkpoint without its manifest."""
    killed = tmp_path / "killed"
    shutil.copytree(cut.path, killed)
    with (killed / "events.jsonl").open("a") as file:
        file.write('{"v":1,"kind":"progr')
    (killed / "checkpoints" / ".step-9.pt.4711.tmp").write_bytes(b"half")
    (killed / "checkpoints" / "step-9.pt").write_bytes(b"whole, but nobody says so")
    assert run_cli("--no-tui", "--resume", killed).code == 0
    assert final(RunFolder(killed)) == final(whole)
    assert [event.kind for event in RunFolder(killed).read_events()].count("run_started") == 2


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    digits60: Path, whole: RunFolder, tmp_path: Path, run_cli: Cli
) -> None:
    folder = trained(config_for(digits60, tmp_path / "run"), 9, Stop())
    damaged = folder.checkpoints / "step-9.pt"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 4
    damaged.write_bytes(data)
    told = run_cli("--no-tui", "--json", "--resume", folder.path)
    assert told.code == 0
    assert "step-9.pt is damaged" in told.err
    assert final(folder) == final(whole)


def test_without_a_whole_checkpoint_nothing_is_changed(cut: RunFolder, run_cli: Cli) -> None:
    (cut.checkpoints / "step-4.pt").write_bytes(b"")
    before = content(cut.path)
    told = run_cli("--no-tui", "--resume", cut.path)
    assert told.code == 4
    assert "There is no whole checkpoint in" in told.sentence
    assert content(cut.path) == before


def test_a_run_is_found_by_its_name(digits60: Path, whole: RunFolder, run_cli: Cli) -> None:
    folder = trained(config_for(digits60, Path(), output_dir="", name="mine"), 4, Stop())
    told = run_cli("--no-tui", "--json", "--resume", "mine")
    assert told.code == 0
    assert told.json["run"] == str(folder.path)
    assert final(folder) == final(whole)


def test_more_epochs_are_trained_if_asked_for_and_asked_for_once(digits60: Path, tmp_path: Path, run_cli: Cli) -> None:
    long = trained(config_for(digits60, tmp_path / "long", epochs=3, lr_scheduler="none"))
    folder = trained(config_for(digits60, tmp_path / "run", epochs=1, lr_scheduler="none"))
    resumed = prepare(Config(**vars(_of_run(folder))).replace(resume=str(folder.path), epochs=3))
    mailbox = Mailbox()
    for event in resumed.events(mailbox):
        if isinstance(event, Progress) and event.step == 14:
            mailbox.put(Stop())
    told = run_cli("--no-tui", "--json", "--resume", folder.path)
    assert (told.code, told.json["epochs"]) == (0, 3), "the number of epochs was given once, with the first resume"
    assert final(folder) == final(long)


def _of_run(folder: RunFolder) -> Config:
    return Config().replace(**read_toml(folder.config))


def test_a_setting_changed_while_running_stays_changed_unless_given_anew(
    digits60: Path, tmp_path: Path, run_cli: Cli
) -> None:
    config = config_for(digits60, tmp_path / "run", lr_scheduler="none")
    folder = trained(config, 4, Set(name="lr", value=0.003), Stop())
    shutil.copytree(folder.path, tmp_path / "copy")
    assert run_cli("--no-tui", "--resume", folder.path).code == 0
    assert run_cli("--no-tui", "--resume", tmp_path / "copy", "--lr", "0.004").code == 0
    for path, lr in ((folder.path, 0.003), (tmp_path / "copy", 0.004)):
        rates = {e.lr for e in RunFolder(path).read_events() if isinstance(e, Progress) and e.step > 4}
        assert rates == {lr}


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "3"),
        ("-b", "4"),
        ("--model", "resnet18"),
        ("--augment", "none"),
        ("--no-shuffle",),
        ("--optimizer", "adam"),
    ],
)
def test_another_recipe_is_another_run(cut: RunFolder, run_cli: Cli, words: tuple[str, ...]) -> None:
    before = content(cut.path)
    told = run_cli("--no-tui", "--resume", cut.path, *words)
    assert told.code == 2
    assert "A run is resumed with the settings it began with" in told.sentence
    assert content(cut.path) == before


def test_what_changes_nothing_that_is_learned_may_be_given_anew(cut: RunFolder, whole: RunFolder, run_cli: Cli) -> None:
    assert run_cli("--no-tui", "--resume", cut.path, "--keep-checkpoints", "1", "--max-bad", "0.5").code == 0
    assert final(cut) == final(whole)


def test_other_data_is_refused_and_nothing_written(tmp_path: Path, run_cli: Cli) -> None:
    data = copy_digits(tmp_path / "data", classes=2, each=10)
    folder = trained(config_for(data, tmp_path / "run"), 1, Stop())
    before = content(folder.path)
    shutil.copy(next((DIGITS / "7").iterdir()), data / "0" / "new.png")
    told = run_cli("--no-tui", "--resume", folder.path)
    assert told.code == 4
    assert "The dataset is not the one that" in told.sentence
    assert "1 added (0/new.png)" in told.sentence
    assert content(folder.path) == before
    shutil.copytree(folder.path, tmp_path / "copy")
    told = run_cli("--no-tui", "--json", "--resume", tmp_path / "copy", "--allow-changed-data")
    assert told.code == 0
    assert "warning: Not bit-exact: the dataset has changed since the run began: 1 added (0/new.png)." in told.err
    assert told.json["outcome"] == "finished"
    (data / "0" / "new.png").unlink()
    assert run_cli("--no-tui", "--resume", folder.path).code == 0


def test_the_differences_of_a_dataset_are_named_and_other_classes_refused(tmp_path: Path, run_cli: Cli) -> None:
    data = copy_digits(tmp_path / "data", classes=3, each=10)
    folder = trained(config_for(data, tmp_path / "run"), 1, Stop())
    first, second, *_ = sorted((data / "0").iterdir())
    first.unlink()
    second.rename(data / "1" / second.name)
    words = ("--no-tui", "--resume", folder.path)
    told = run_cli(*words)
    assert told.code == 4
    assert f"1 removed (0/{first.name}), 1 moved to another folder (0/{second.name})" in told.sentence
    (data / "2").rename(data / "two")
    told = run_cli(*words, "--allow-changed-data")
    assert told.code == 4
    assert "The classes are not those that" in told.sentence
    assert f"--pretrained {folder.path}" in told.sentence


def test_a_finished_run_has_nothing_left_to_train(whole: RunFolder, tmp_path: Path, run_cli: Cli) -> None:
    shutil.copytree(whole.path, tmp_path / "copy")
    told = run_cli("--no-tui", "--json", "--resume", tmp_path / "copy")
    assert (told.code, told.json["outcome"], told.json["steps"]) == (0, "finished", 12)
    assert final(RunFolder(tmp_path / "copy")) == final(whole)


def test_what_cannot_be_bit_exact_is_told(cut: RunFolder, run_cli: Cli) -> None:
    told = run_cli("--no-tui", "--resume", cut.path, "--threads", "2")
    torch.set_num_threads(1)
    assert told.code == 0
    assert "warning: Not bit-exact: the run was saved with 1 CPU threads (--threads), and now it is 2." in told.err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, run_cli: Cli, cut: RunFolder) -> None:
    assert "There is no run" in run_cli("--no-tui", "--resume", tmp_path).sentence
    told = run_cli("--no-tui", "--resume", cut.path, "-c", cut.config)
    assert (told.code, told.sentence) == (2, "A run is resumed with its own configuration: leave out --config.")
    cut.events.unlink()
    shutil.rmtree(cut.checkpoints)
    told = run_cli("--no-tui", "--resume", cut.path)
    assert told.code == 4
    assert "There is no whole checkpoint" in told.sentence
