"""Predictions: the same as in validation, from anywhere, for whatever files are named."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DIGITS
from tui_trainer.results.predict import expand, predict
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained

IMAGES = sorted(map(str, (DIGITS / "1").glob("*.png")))[:5]


def test_it_agrees_with_the_test_of_the_run(digits_run: Path) -> None:
    trained = load_trained(str(digits_run))
    tested = run_test(trained)
    told = list(predict(trained, (str(tested.path(i)) for i in range(len(tested.outcomes)))))
    for i, prediction in enumerate(told):
        name, share = prediction.answers[0]
        assert name == tested.outcomes.classes[tested.outcomes.predicted[i]]  # type: ignore[union-attr]
        assert share == pytest.approx(tested.outcomes.confidence[i], abs=1e-6)  # type: ignore[union-attr]


def test_a_moved_run_without_its_dataset_predicts_the_same(
    digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    before = run_cli("predict", digits_run, *IMAGES)
    moved = tmp_path / "else where" / "run"
    shutil.copytree(digits_run, moved)
    config = (moved / "config.toml").read_text()
    data = config.split('data = "')[1].split('"')[0]
    (moved / "config.toml").write_text(config.replace(data, "/no/such/folder"))
    after = run_cli("predict", moved, *IMAGES)
    assert before.code == after.code == 0
    assert before.out == after.out
    alone = shutil.copy(moved / "checkpoints" / "best.safetensors", tmp_path / "alone.safetensors")
    assert run_cli("predict", alone, *IMAGES).out == before.out


def test_bad_files_are_rows_with_a_reason(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    broken = tmp_path / 'bro,"ken.png'
    broken.write_bytes(b"\x89PNG no more")
    told = run_cli("predict", digits_run, IMAGES[0], broken, tmp_path / "none.png", IMAGES[1])
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert told.code == 3
    assert [row["path"] for row in rows] == [IMAGES[0], str(broken), str(tmp_path / "none.png"), IMAGES[1]]
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert [bool(row["name1"]) for row in rows] == [True, False, False, True]
    assert "2 of them cannot be read" in told.err
    assert "images/s" in told.err
    only_bad = run_cli("predict", digits_run, "--json", broken)
    assert only_bad.json["error"]


def test_json_lines_and_top_k(digits_run: Path, run_cli: Callable[..., Any]) -> None:
    told = run_cli("predict", digits_run, "--json", "--top-k", 2, *IMAGES)
    records = [json.loads(line) for line in told.out.splitlines()]
    assert [record["path"] for record in records] == IMAGES
    for record in records:
        first, second = record["predictions"]
        assert first["value"] >= second["value"]
    assert run_cli("predict", digits_run, "--top-k", 0, *IMAGES).code == 2
    assert len(json.loads(run_cli("predict", digits_run, "--json", IMAGES[0]).out)["predictions"]) == 3


def test_paths_come_from_stdin(digits_run: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.BytesIO("\n".join([*IMAGES, "", "nothing.png\n"]).encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(lines))
    told = run_cli("predict", digits_run, "-", "--json")
    assert [json.loads(line)["path"] for line in told.out.splitlines()] == [*IMAGES, "nothing.png"]
    assert told.code == 3


def test_what_a_person_means_by_a_word(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "notes.txt", "deep/er/c.webp", "[x].png"):
        (tmp_path / name).touch()
    found = [os.path.relpath(path, tmp_path) for path in expand([str(tmp_path)], ())]
    assert found == ["[x].png", "a.JPG", "b.png", "deep/er/c.webp"]
    assert list(expand([str(tmp_path / "[x].png")], ())) == [str(tmp_path / "[x].png")]
    assert [Path(p).name for p in expand([str(tmp_path / "**" / "*.webp")], ())] == ["c.webp"]
    assert list(expand(["-", "x.png"], ["1.png\n", "\n", "2.png"])) == ["1.png", "2.png", "x.png"]


def test_a_folder_or_glob_without_images_is_refused(
    digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    for word in (tmp_path, tmp_path / "*.png"):
        told = run_cli("predict", digits_run, word)
        assert told.code == 3
        assert told.out == ""
