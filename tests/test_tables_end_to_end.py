"""Tables from the command line: training, reports, exact resume, a run again from its configuration."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from .conftest import ROOT, Script, Told, lines_but_times, metrics_but_seconds

NUMBERS, WINE = ROOT / "sample_data" / "numbers.csv", ROOT / "sample_data" / "wine.csv"
Cli = Callable[..., Told]


def test_the_sum_of_three_numbers_is_learned_with_the_defaults(run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli("--no-tui", "--json", NUMBERS, "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert told.json["metrics"]["val_r2"] >= 0.999
    assert set(told.json["metrics"]) >= {"val_mae", "val_rmse", "train_r2"}
    assert "task = regression (y has 1,000 different numbers)" in told.err
    assert "model = mlp (rows of numbers)" in told.err
    assert "predicts y, 800 training and 200 validation rows" in told.err
    with safe_open(tmp_path / "run" / "checkpoints" / "best.safetensors", "pt") as file:
        metadata = file.metadata()
    preprocessing = json.loads(metadata["preprocessing"])
    assert metadata["task"] == "regression"
    assert preprocessing["inputs"] == ["x1", "x2", "x3"]
    assert len(preprocessing["mean"]) == 3
    assert json.loads(metadata["targets"])["names"] == ["y"]


def test_metrics_are_in_the_unit_of_the_targets(run_cli: Cli, tmp_path: Path) -> None:
    rows = [line.split(",") for line in NUMBERS.read_text().splitlines()[1:201]]
    table = tmp_path / "t.csv"
    table.write_text("a,b,c,y\n" + "\n".join(f"{a},{b},{c},{1000 * float(y) + 5000}" for a, b, c, y in rows))
    metrics = run_cli("--no-tui", "--json", table, "--epochs", 3, "--output-dir", tmp_path / "run").json["metrics"]
    assert metrics["val_rmse"] > 50  # of a standard deviation of about 1,700
    assert metrics["val_loss"] < 1  # in standard deviations


def test_wine_is_told_apart_and_the_run_comes_again_from_its_configuration(run_cli: Cli, tmp_path: Path) -> None:
    first = run_cli(
        "--no-tui", "--json", WINE, "--output-dir", tmp_path / "a", "--hidden-sizes", "32,16", "--epochs", 8
    )
    assert first.json["best"]["val_top1"] > 0.8
    assert "mlp with 1,027 parameters" in first.err
    again = run_cli("--no-tui", "--json", "-c", tmp_path / "a" / "config.toml", "--output-dir", tmp_path / "b")
    assert again.json["metrics"] == first.json["metrics"]
    assert (tmp_path / "a" / "split.csv").read_text() == (tmp_path / "b" / "split.csv").read_text()


@pytest.mark.parametrize("table", [NUMBERS, WINE])
def test_a_table_is_resumed_exactly(run_cli: Cli, tmp_path: Path, table: Path) -> None:
    from tui_trainer.commands import Stop
    from tui_trainer.config import Config
    from tui_trainer.run import prepare

    words = ("--no-tui", "--json", table, "--epochs", 3, "--batch-size", 16)
    whole = run_cli(*words, "--output-dir", tmp_path / "whole").json
    config = Config().replace(data=str(table), epochs=3, batch_size=16, output_dir=str(tmp_path / "cut"))
    list(prepare(config).events(Script(at7=[Stop()])))
    rest = run_cli("--no-tui", "--json", "--resume", tmp_path / "cut").json
    assert rest["metrics"] == whole["metrics"]
    assert metrics_but_seconds(tmp_path / "cut" / "metrics.csv") == metrics_but_seconds(
        tmp_path / "whole" / "metrics.csv"
    )
    assert lines_but_times(tmp_path / "cut" / "events.jsonl")[-1]["kind"] == "run_ended"


def test_a_table_is_reported_on(run_cli: Cli) -> None:
    told = run_cli("data", NUMBERS)
    assert told.code == 0, told.err
    assert "1,000: 800 train, 200 val" in told.out
    assert "y from -5.212 to 4.459" in told.out
    record = run_cli("data", WINE, "--json").json
    assert record["rows"] == 178
    assert {column["name"]: column["role"] for column in record["columns"]}["cultivar"] == "target"
    assert run_cli("data", WINE, "--target", "alcohol", "--json").json["task"] == "regression"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((NUMBERS, "--model", "lenet"), "lenet takes images, and this data is rows of numbers"),
        ((NUMBERS, "--monitor", "val_top1"), "monitor = val_top1: regression has val_r2"),
        ((NUMBERS, "--loss", "cross_entropy"), "loss = cross_entropy is not for regression"),
        ((NUMBERS, "--task", "multilabel"), "column y holds numbers, not labels"),
        ((ROOT / "sample_data" / "none.csv",), "does not exist"),
        ((ROOT / "sample_data" / "digits", "--task", "regression"), "task = regression: class folders"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    run_cli: Cli, words: tuple[object, ...], sentence: str, tmp_path: Path
) -> None:
    import re

    told = run_cli("--no-tui", *words, "--output-dir", tmp_path / "run")
    assert told.code in (2, 3)
    assert re.search(sentence, told.err)
    assert "Traceback" not in told.err
    assert not (tmp_path / "run").exists()
