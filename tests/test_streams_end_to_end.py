"""Streams from the command line: trained, repeated from their file, resumed within a shard, tested, reported on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tui_trainer.commands import Stop
from tui_trainer.config import resolve
from tui_trainer.run import prepare

from .conftest import Script, Told, metrics_but_seconds

SAMPLES = Path(__file__).parent.parent / "sample_data"


def test_a_database_is_trained_on_resumed_and_tested_whatever_comes_to_it(
    run_cli: Callable[..., Told], tmp_path: Path
) -> None:
    shutil.copy(SAMPLES / "wine.db", tmp_path / "wine.db")
    words = ("--no-tui", "--json", "--data", f"sqlite:///{tmp_path}/wine.db", "--epochs", "4", "--batch-size", "8")
    words += ("--query", "SELECT * FROM wine WHERE id > 3", "--order-key", "id")
    told = run_cli(*words, "--output-dir", tmp_path / "whole")
    assert told.code == 0, told.err
    assert told.json["metrics"]["val_top1"] > 0.9
    assert "cultivar holds texts" in told.err
    config = resolve({"output_dir": str(tmp_path / "cut")}, tmp_path / "whole" / "config.toml").config
    assert (config.data.query, config.data.order_key) == ("SELECT * FROM wine WHERE id > 3", "id")
    list(prepare(config).events(Script(at25=[Stop()])))
    with closing(sqlite3.connect(tmp_path / "wine.db")) as file:  # behind the last key: not of this run
        columns = ", ".join(row[1] for row in file.execute("PRAGMA table_info(wine)") if row[1] != "id")
        file.execute(f"INSERT INTO wine ({columns}) SELECT {columns} FROM wine")
        file.commit()
    rest = run_cli("--no-tui", "--json", "--resume", tmp_path / "cut")
    assert rest.code == 0, rest.err
    assert rest.json["metrics"] == told.json["metrics"]
    cut, whole = (metrics_but_seconds(tmp_path / name / "metrics.csv") for name in ("cut", "whole"))
    assert cut == whole
    weights = [(tmp_path / name / "checkpoints" / "final.safetensors").read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]
    tested = run_cli("test", tmp_path / "whole", "--json")
    assert tested.code == 0, tested.err
    assert tested.json["metrics"]["top1"]["value"] == pytest.approx(told.json["metrics"]["val_top1"])
    elsewhere = run_cli("test", tmp_path / "whole", "--data", SAMPLES / "wine.csv", "--json")
    assert elsewhere.code == 0, elsewhere.err
    assert elsewhere.json["metrics"]["top1"]["value"] > 0.9


def test_lines_with_images_are_trained_on_for_any_number_of_workers(
    run_cli: Callable[..., Told], tmp_path: Path
) -> None:
    words = ("--no-tui", "--json", "--data", SAMPLES / "digits.jsonl", "--stream", "true", "--epochs", "1")
    words += ("--augment", "light", "--steps-per-epoch", "9", "--shuffle-buffer", "100")
    told = [run_cli(*words, "-j", workers, "--output-dir", tmp_path / str(workers)) for workers in (0, 2)]
    assert [one.code for one in told] == [0, 0], told[1].err
    assert told[0].json["steps"] == 9
    assert told[0].json["metrics"] == told[1].json["metrics"]
    settings = (tmp_path / "0" / "config.toml").read_text()
    assert "stream = true" in settings
    assert "steps_per_epoch = 9" in settings
    tested = run_cli("test", tmp_path / "0", "--data", SAMPLES / "digits", "--json")
    assert tested.code == 0, tested.err


@pytest.mark.parametrize(
    ("words", "unit", "count"),
    [
        (("wine.db",), "rows", 178),
        (("digits.jsonl", "--stream", "true"), "lines", 600),
    ],
)
def test_a_stream_is_reported_on(words: tuple[str, ...], unit: str, count: int, run_cli: Callable[..., Told]) -> None:
    told = run_cli("data", SAMPLES / words[0], *words[1:], "--json")
    assert told.code == 0, told.err
    assert told.json[unit] == count
    assert sum(told.json["parts"].values()) == count
    assert sum(one["train"] + one["val"] for one in told.json["targets"]) == count
    assert "blocks" in told.json["read"]
    shown = run_cli("data", SAMPLES / words[0], *words[1:])
    assert f"{unit:<11}{count}: " in shown.out
