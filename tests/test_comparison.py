"""Runs side by side: what differs, and curves that are read in bounded time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Told
from tui_trainer.comparison import WHOLE, best_before, differences, train_curve, val_curve
from tui_trainer.config import Config, to_toml
from tui_trainer.events import Progress, RunEnded, to_json
from tui_trainer.past_runs import read_run
from tui_trainer.run_folder import RunFolder, make_folder, runs_root

Cli = Callable[..., Told]


def step(number: int, per_epoch: int = 10) -> str:
    """The line of a step; its loss is its number."""
    epoch, batch = divmod(number, per_epoch)
    numbers = {"batch": batch + 1, "batches": per_epoch, "samples": 1, "lr": 0.1, "seconds": 1.0}
    rest = {"images_per_second": 1.0, "eta_seconds": 0.0, "metrics": {"batch_loss": float(number)}}
    return to_json(Progress(part="train", epoch=epoch, step=number + 1, **numbers, **rest)) + "\n"  # type: ignore[arg-type]


def make_run(name: str, top1: tuple[float, ...] = (0.5, 0.75), data: str = "", **settings: object) -> RunFolder:
    """A finished run among the user's runs."""
    folder = make_folder(runs_root() / name)
    folder.config.write_text(to_toml(Config().replace(data=data, **settings)))  # type: ignore[arg-type]
    end = RunEnded(outcome="finished", message="m", epochs=len(top1), step=20, seconds=60.0)
    folder.events.write_text("".join(map(step, range(20))) + to_json(end) + "\n")
    rows = "".join(f"{number},{value}\n" for number, value in enumerate(top1, 1))
    folder.metrics.write_text(f"epoch,val_top1\n{rows}")
    return folder


def test_only_settings_that_are_not_the_same_differ() -> None:
    runs = [read_run(make_run("one", lr=0.1)), read_run(make_run("two", lr=0.2))]
    found = {difference.name: difference for difference in differences(runs)}
    assert [name for name, difference in found.items() if difference.differs] == ["lr"]
    assert found["lr"].values == ("0.1", "0.2")
    assert found["epochs"].values == ("20", "20")


def test_a_short_record_is_read_whole_and_what_was_trained_again_counts_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    folder.events.write_text("".join(map(step, [*range(15), *range(10, 20)])) + "half a li")
    assert train_curve(folder, "loss") == [((number + 1) / 10, float(number)) for number in range(20)]


def test_a_long_record_is_sampled_evenly_up_to_its_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    lines = 4 * WHOLE // len(step(1000))
    folder.events.write_text("".join(map(step, range(lines))))
    curve = train_curve(folder, "loss", points=50)
    assert 50 <= len(curve) < 100
    assert curve[-1][1] == lines - 1
    assert [x for x, _ in curve] == sorted({x for x, _ in curve})
    assert max(b - a for (a, _), (b, _) in itertools.pairwise(curve)) < 2.5 * curve[-1][0] / 50


def test_the_best_other_run_on_the_same_data_is_the_ghost() -> None:
    make_run("worse", (0.4, 0.6), data="/photos")
    better = make_run("better", (0.9,), data="/photos")
    make_run("elsewhere", (1.0,), data="/other")
    found = best_before(make_run("this", (1.0,), data="/photos"))
    assert found is not None
    assert found.folder == better
    assert val_curve(better, "val_top1") == [(1.0, 0.9)]
    assert best_before(make_run("alone", data="/nothing")) is None


def test_runs_are_filtered_sorted_noted_renamed_and_removed(run_cli: Cli) -> None:
    make_run("good", (0.9,))
    make_run("bad", (0.1,))
    assert [Path(run["run"]).name for run in run_cli("runs", "--sort", "best", "--json").json_list] == ["good", "bad"]
    assert run_cli("runs", "note", "bad", "try", "[red]less lr").code == 0
    (noted,) = run_cli("runs", "--filter", "LESS", "--json").json_list
    assert noted["note"] == "try [red]less lr"
    assert run_cli("runs", "note", "bad").code == 0
    assert run_cli("runs", "--filter", "less", "--json").json_list == []

    assert run_cli("runs", "rename", "bad", "worst").code == 0
    assert run_cli("runs", "rename", "worst", "good").sentence.startswith("good cannot be the run's name")
    assert run_cli("runs", "rename", "worst", "../up").code == 2
    assert run_cli("runs", "rm", "worst").sentence.endswith("add --yes.")
    assert run_cli("runs", "rm", "worst", "--yes").code == 0
    assert not (runs_root() / "worst").exists()
    assert run_cli("runs", "rm", "worst", "--yes").code == 2


def test_a_run_that_trains_is_not_removed(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("busy")
    monkeypatch.setattr("tui_trainer.past_runs.is_running", lambda folder: True)
    assert "is training" in run_cli("runs", "rm", "busy", "--yes").sentence
    assert "is training" in run_cli("runs", "rename", "busy", "other").sentence
    assert (runs_root() / "busy").exists()


def test_compare_prints_what_differs(run_cli: Cli) -> None:
    make_run("one", lr=0.1)
    make_run("two", (0.25,), lr=0.2)
    told = run_cli("runs", "compare", "one", "two")
    words = {line.split()[0]: line.split()[1:] for line in told.out.splitlines()[1:]}
    assert words["best"] == ["75.00%", "25.00%"]
    assert words["lr"] == ["0.1", "0.2"]
    assert "seed" not in words
    assert run_cli("runs", "compare", "one", "two", "--json").json["differences"] == {"lr": ["0.1", "0.2"]}


@pytest.mark.parametrize("words", [("compare", "one"), ("lst",), ("--sort", "age"), ("--filter",), ("--al",)])
def test_what_is_not_understood_is_refused_in_one_sentence(run_cli: Cli, words: tuple[str, ...]) -> None:
    told = run_cli("runs", *words)
    assert told.code == 2
    assert told.sentence
