"""Testing a run: which samples, and what the command prints."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.errors import ConfigError, DataError
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_state import RunState


def last_metrics(folder: Path) -> dict[str, float]:
    """Of the best epoch, as the run itself measured them."""
    state = RunState()
    for event in RunFolder(folder).read_events():
        state.add(event)
    assert state.best is not None
    return dict(state.best.metrics)


def test_the_best_weights_give_the_figures_of_their_epoch(digits_run: Path) -> None:
    tested, told = run_test(load_trained(str(digits_run))), last_metrics(digits_run)
    assert tested.part == "val"
    assert tested.outcomes.metrics["top1"].value == pytest.approx(told["val_top1"], abs=1e-9)
    assert tested.outcomes.metrics["f1"].value == pytest.approx(told["val_f1"], abs=1e-9)
    assert tested.outcomes.metrics["loss"].value == pytest.approx(told["val_loss"], abs=1e-5)


def test_it_prints_one_object(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    told = run_cli("test", digits_run, "--json", "--csv", tmp_path / "all.csv", "--device", "cpu")
    record = json.loads(told.out)
    assert told.code == 0
    assert [len(row) for row in record["confusion"]] == [3, 3, 3]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert len(rows) == record["samples"] == sum(c["support"] for c in record["classes"])
    right = sum(row["correct"] == "true" for row in rows)
    assert right / len(rows) == pytest.approx(record["metrics"]["top1"]["value"])
    assert all((row["true"] == row["predicted"]) == (row["correct"] == "true") for row in rows)


def test_the_table_fits_80_columns(
    digits_run: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = run_cli("test", digits_run)
    assert max(map(len, told.out.splitlines())) <= 80
    assert {"0", "1", "2"} <= {line.split()[0] for line in told.out.splitlines() if line.split()}
    assert "precision" in told.out


def test_other_data_may_lack_classes(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "other"
    source = Path(json.loads(run_cli("test", digits_run, "--json").out)["data"])
    for name in ("0", "2"):
        shutil.copytree(source / name, data / name)
    (data / "2" / "broken.png").write_bytes(b"no image")
    told = run_cli("test", digits_run, "--data", data, "--json")
    record = json.loads(told.out)
    assert [c["support"] for c in record["classes"]] == [20, 0, 20]
    assert record["part"] == "all"
    assert [bad["path"] for bad in record["bad"]] == ["2/broken.png"]
    assert "2/broken.png is left out" in told.err
    (data / "unknown").mkdir()
    shutil.copy(source / "0" / "0_000.png", data / "unknown")
    refused = run_cli("test", digits_run, "--data", data)
    assert refused.code == 3
    assert "unknown" in refused.err


def test_images_of_the_training_part_are_told_among_other_data(
    digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    source = Path(json.loads(run_cli("test", digits_run, "--json").out)["data"])
    told = run_cli("test", digits_run, "--data", source, "--json").err
    assert "48 of these 60 images were trained on" in told
    assert "trained on" not in run_cli("test", digits_run, "--data", source, "--part", "val", "--json").err
    shutil.copytree(source, tmp_path / "other")
    assert "trained on" not in run_cli("test", digits_run, "--data", tmp_path / "other", "--json").err


def test_other_data_may_be_a_stream(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    """The run kept its images in memory, which of a stream nobody can."""
    source = Path(json.loads(run_cli("test", digits_run, "--json").out)["data"])
    images = sorted(source.rglob("*.png"))
    rows = [{"image": str(path), "label": path.parent.name} for path in images]
    data = tmp_path / "other.jsonl.gz"
    data.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert run_cli("test", digits_run, "--data", data, "--json").json["samples"] == len(images)


def test_what_came_later_is_left_out(digits_run: Path, tmp_path: Path) -> None:
    source = Path(RunFolder(digits_run).config.read_text().split('data = "')[1].split('"')[0])
    moved, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(digits_run, moved)
    shutil.copytree(source, data)
    config = (moved / "config.toml").read_text().replace(str(source), str(data))
    (moved / "config.toml").write_text(config)
    before = run_test(load_trained(str(moved)))
    for i in range(30):
        shutil.copy(data / "1" / "1_000.png", data / "1" / f"new{i}.png")
    (data / "0" / "0_000.png").unlink()
    after = run_test(load_trained(str(moved)))
    assert {after.name(i) for i in range(len(after.outcomes))} <= {before.name(i) for i in range(len(before.outcomes))}
    assert any("30 samples" in note for note in after.notes)
    assert any("1 samples of the run" in note for note in after.notes)
    (moved / "split.csv").write_text("nothing")
    assert any("split.csv" in note for note in run_test(load_trained(str(moved))).notes)


def test_a_bare_file_needs_data(digits_run: Path, tmp_path: Path) -> None:
    shutil.copy(digits_run / "checkpoints" / "best.safetensors", tmp_path / "mine.safetensors")
    bare = load_trained(str(tmp_path / "mine.safetensors"))
    with pytest.raises(ConfigError, match="--data"):
        run_test(bare)


def test_a_part_that_is_not_there(digits_run: Path) -> None:
    with pytest.raises(DataError, match="no test part"):
        run_test(load_trained(str(digits_run)), part="test")
