import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_trainer.config import read_toml

from .conftest import Told, metrics_but_seconds


@pytest.fixture
def parent(digits60: Path, tmp_path: Path, run_cli: Callable[..., Told]) -> Path:
    """Two epochs of three steps."""
    folder = tmp_path / "parent"
    assert run_cli("--no-tui", digits60, "-b", 16, "--epochs", 2, "--output-dir", folder).code == 0
    return folder


def test_a_branch_with_the_same_recipe_is_the_same_run_gone_on(
    parent: Path, tmp_path: Path, run_cli: Callable[..., Told]
) -> None:
    before = (parent / "events.jsonl").read_bytes()
    assert run_cli("--no-tui", "--branch", f"{parent}@3", "--epochs", 2, "--output-dir", tmp_path / "new").code == 0
    assert (parent / "events.jsonl").read_bytes() == before
    (row,) = metrics_but_seconds(tmp_path / "new" / "metrics.csv")
    assert {**row, "best": ""} == {**metrics_but_seconds(parent / "metrics.csv")[1], "best": ""}
    final = [(folder / "checkpoints" / "final.safetensors").read_bytes() for folder in (parent, tmp_path / "new")]
    assert final[0] == final[1]


def test_a_branch_takes_another_recipe_and_says_where_it_began(
    parent: Path, tmp_path: Path, run_cli: Callable[..., Told]
) -> None:
    new = tmp_path / "new"
    words = ("--no-tui", "--branch", parent, "--epochs", 3, "--optimizer", "adamw", "--lr", 0.001)
    told = run_cli(*words, "--output-dir", new)
    assert told.code == 0, told.err
    assert "The state of the optimizer does not fit the new recipe: it begins afresh." in told.err
    assert read_toml(new / "config.toml")["branch"] == f"{parent}@6"
    record = json.loads(run_cli("runs", "show", new, "--json").out)
    assert (record["parent"], record["settings"]["optimizer"]) == (f"{parent}@6", "adamw")
    assert run_cli("--no-tui", "--resume", new, "--epochs", 4).code == 0
    assert [row["epoch"] for row in metrics_but_seconds(new / "metrics.csv")] == ["3", "4"]


def test_the_options_of_the_optimizer_are_the_new_ones(parent: Path, tmp_path: Path) -> None:
    from tui_trainer.config import resolve
    from tui_trainer.run import prepare

    values = {"branch": str(parent), "weight_decay": 0.25, "epochs": 3, "output_dir": str(tmp_path / "new")}
    made = prepare(resolve(values, parent / "config.toml").config)
    made.lock.release()
    assert made.job.optimizer.param_groups[0]["weight_decay"] == 0.25
    assert made.job.optimizer.state, "momentum is kept"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--branch", "{}@7"), 4, "There is no checkpoint of step 7 in "),
        (("--branch", "{}"), 2, "That checkpoint has 2 epochs already: give more by --epochs."),
        (("--branch", "{}", "--epochs", "3", "--image-size", "40"), 4, "The network is not that of "),
        (("--branch", "nowhere"), 2, "There is no run nowhere"),
    ],
)
def test_what_cannot_be_branched_is_refused(
    words: tuple[str, ...], code: int, sentence: str, parent: Path, tmp_path: Path, run_cli: Callable[..., Told]
) -> None:
    told = run_cli("--no-tui", *(word.format(parent) for word in words), "--output-dir", tmp_path / "new")
    assert told.code == code
    assert sentence in told.sentence
    assert not (tmp_path / "new").exists()
