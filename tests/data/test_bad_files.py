"""What is bad in a dataset is known before a run, listed in its folder, and ends it only if it is too much."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tui_trainer import cli
from tui_trainer.config import resolve
from tui_trainer.data import bad_files
from tui_trainer.data import preflight as module
from tui_trainer.data.bad_files import BadFiles, read_list
from tui_trainer.data.examine import Limits
from tui_trainer.data.folders import scan
from tui_trainer.data.header import MEGAPIXELS
from tui_trainer.data.preflight import preflight
from tui_trainer.data.report import Report
from tui_trainer.data_config import DataConfig

from ..conftest import Told, copy_digits

Cli = Callable[..., Told]
NAME = b'caf\xe9,"\n\x1b[31m.png'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty digits in two classes, of which four cannot be read."""
    root = copy_digits(tmp_path / "digits", classes=2, each=15)
    for number, path in enumerate(sorted((root / "0").iterdir())[:3]):
        path.write_bytes(path.read_bytes()[: 40 * number])
    with open(os.path.join(os.fsencode(root), b"1", NAME), "wb") as file:
        file.write(b"<html>")
    return root


def words(folder: Path, *more: str) -> tuple[str, ...]:
    return ("--no-tui", "--json", str(folder), "--epochs", "2", "-b", "8", *more)


def test_too_many_are_refused_before_anything_is_made(folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli(*words(folder, "--output-dir", str(tmp_path / "run")))
    assert told.code == 3
    assert told.sentence == (
        "4 of 31 images cannot be read, such as "
        + told.sentence.partition("such as ")[2].partition(":")[0]
        + ": more than --max-bad 0.05 allows. `tui-trainer data` names them; --max-bad 0.26 trains on the others."
    )
    assert not (tmp_path / "run").exists()


def test_what_is_left_out_is_listed_in_the_run_folder(folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli(*words(folder, "--max-bad", "0.26", "--output-dir", str(tmp_path / "run")))
    assert told.code == 0, told.err
    listed = read_list(tmp_path / "run" / "bad_files.csv")
    first = sorted((folder / "0").iterdir())[:3]
    assert dict(listed) == {
        **{os.fsencode(path.relative_to(folder)): "damaged or truncated" for path in first[1:]},
        os.fsencode(first[0].relative_to(folder)): "empty file",
        b"1/" + NAME: "an HTML page, which is not read",
    }
    assert len(listed) == 4
    lines = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text("ascii").splitlines()]
    begun = next(line for line in lines if line["kind"] == "run_started")
    with (tmp_path / "run" / "split.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        part = {os.fsencode(name): part for name, _, part in csv.reader(file)}
    held_out = sum(part[name] == "val" for name, _ in listed)
    assert (begun["train_bad"], begun["val_bad"]) == (4 - held_out, held_out)
    assert "4 images cannot be read and are left out of training." in told.err


def test_what_only_the_training_finds_is_listed_once(
    folder: Path, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", Limits(headers=1, compared=1, decoded=1))
    run = tmp_path / "run"
    assert run_cli(*words(folder, "--max-bad", "0.3", "--output-dir", str(run))).code == 0
    assert len(read_list(run / "bad_files.csv")) == 4
    assert run_cli("--no-tui", "--json", "--resume", str(run), "--epochs", "3").code == 0
    assert len(read_list(run / "bad_files.csv")) == 4
    told = run_cli(*words(folder, "--output-dir", str(tmp_path / "stops")))
    assert told.code == 3
    assert "the last" in told.sentence


def test_a_person_is_asked(folder: Path, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cli, "_accepts", lambda failure: (asked.append(str(failure)), True)[1])
    run = tmp_path / "run"
    told = run_cli("--no-tui", str(folder), "--epochs", "1", "--output-dir", str(run))
    assert told.code == 0, told.err
    assert len(asked) == 1
    assert resolve({}, run / "config.toml").config.data.max_bad == 0.26
    monkeypatch.undo()
    told = run_cli("--no-tui", str(folder), "--epochs", "1", "--output-dir", str(tmp_path / "no"))
    assert told.code == 3  # without a terminal there is nobody to ask


def test_copies_in_train_and_val_are_told_before_the_first_epoch(digits60: Path, run_cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(digits60, tmp_path / "data" / "train")
    (tmp_path / "data" / "val" / "0").mkdir(parents=True)
    one = sorted((tmp_path / "data" / "train" / "0").iterdir())[0]
    shutil.copy(one, tmp_path / "data" / "val" / "0" / "renamed.png")
    told = run_cli(*words(tmp_path / "data", "--output-dir", str(tmp_path / "run")))
    assert told.code == 0, told.err
    lines = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text("ascii").splitlines()]
    before = lines[: [line["kind"] for line in lines].index("run_started")]
    assert any("1 image is in train and held out both" in line.get("message", "") for line in before)


def test_a_look_is_kept_until_a_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    real = module.examine
    monkeypatch.setattr(module, "examine", lambda *given: (looks.append(given), real(*given))[1])
    monkeypatch.setattr(module, "WORTH_KEEPING", 0.0)

    def look() -> Report:
        found = preflight(scan(folder, None, 0.2, 0))
        assert found is not None
        return found

    first, second = look(), look()
    assert len(looks) == 1
    assert second.bad == first.bad
    assert second.copies == first.copies
    assert second.bad_in_part == first.bad_in_part
    assert sum(first.bad_in_part) == 4
    assert second.bad_share == first.bad_share > 0.1
    assert second.faults() == first.faults()
    path = min((folder / "1").iterdir())
    path.write_bytes(path.read_bytes()[:50])
    assert len(look().bad) == 5
    assert len(looks) == 2


def test_the_list_is_a_table_with_a_head_and_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad_files.csv"
    assert read_list(path) == []
    BadFiles(1.0, 9).keep_in(path, [(b"a", "x"), (NAME, "y")])
    later = BadFiles(1.0, 9)
    later.keep_in(path)
    with monkeypatch.context() as patch:
        patch.setattr(bad_files, "read_list", None)  # as long as it has become, at each file that is found
        later.tell([(NAME, "y"), (b"b", "z")])
    assert path.read_bytes().startswith(b"path,reason\r\n")
    assert read_list(path) == [(b"a", "x"), (NAME, "y"), (b"b", "z")]


def test_the_size_limit_is_a_setting(run_cli: Cli, tmp_path: Path) -> None:
    """In a look, in training, in the weights' own preprocessing, and in the decoded images that are kept."""
    folder = copy_digits(tmp_path / "data", classes=2, each=10)
    cv2.imwrite(str(folder / "0" / "large.png"), np.zeros((1100, 1000), np.uint8))
    said = "1000x1100 pixels are more than 1 megapixels"
    (tmp_path / "one.toml").write_text("[data]\nmax_megapixels = 1.0\nmax_bad = 0.5\n")
    words = ("-c", tmp_path / "one.toml", "--no-tui", folder, "--epochs", "1", "--cache", "disk")
    told = run_cli(*words, "--output-dir", tmp_path / "a")
    assert f"0/large.png is left out: {said}." in told.err
    told = run_cli(*words, "--max-megapixels", "1.1", "--output-dir", tmp_path / "b")
    assert told.code == 0
    assert "large.png" not in told.err
    assert run_cli("data", folder, "--max-megapixels", "1", "--json").json["bad"] == [
        {"path": "0/large.png", "reason": said}
    ]
    assert said in run_cli("predict", tmp_path / "a", folder / "0" / "large.png").out
    assert run_cli("predict", tmp_path / "b", folder / "0" / "large.png").code == 0
    assert DataConfig().max_megapixels == MEGAPIXELS
    assert "at most 1,000 (megapixels)" in run_cli(folder, "--no-tui", "--max-megapixels", "2000").sentence
