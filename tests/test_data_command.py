"""`tui-trainer data DIR`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.data_command import main
from tui_trainer.errors import ConfigError, DataError


def test_the_report_is_printed(digits60: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(digits60)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "60: 48 train, 12 val" in out
    assert "all 8x8" in out
    assert "all files, all decoded" in out
    rows = [line.split() for line in out.splitlines() if line[:1].isdigit()]
    assert [row[:3] for row in rows] == [[str(i), "16", "4"] for i in range(3)]
    bars = [row[3] for row in rows]
    assert len(set(bars)) == 1
    assert len(set(bars[0])) == 2  # the part held out looks different


def test_the_split_of_the_flags_is_used(digits60: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(digits60), "--val-fraction", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"] == {"train": 30, "val": 30, "test": 0}
    assert main([str(digits60), "--val-data", str(digits60), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["parts"] == {"train": 60, "val": 60, "test": 0}
    assert len(record["copies"]) == 60
    assert "60 images are in train and held out both" in record["warnings"][0]


def test_bad_files_are_named_safely(digits60: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    shutil.copytree(digits60, folder)
    (folder / "0" / "\x1b]0;evil\x07[red][@click=app.quit].png").write_text("no image")
    for i in range(30):
        (folder / "1" / f"b{i}.jpg").touch()
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert "\\x1b]0;evil\\x07[red][@click=app.quit].png" in " ".join(out.split())
    assert not set(out) & {"\x1b", "\x07"}
    assert "31 images cannot be read" in out
    assert "and 11 more; --json names all." in out
    assert main([str(folder), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["bad"]) == 31


def test_all_decodes_every_image(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_trainer import data_command
    from tui_trainer.data.examine import EVERYTHING, examine

    asked = []
    monkeypatch.setattr(data_command, "examine", lambda index, limits: (asked.append(limits), examine(index))[1])
    main([str(digits60)])
    main([str(digits60), "--all"])
    assert asked[0] != EVERYTHING
    assert asked[1] == EVERYTHING


@pytest.mark.parametrize("words", [[], ["--nix"], ["a", "b"], ["x", "--val-fraction", "2"], ["x", "--seed", "y"]])
def test_words_that_are_not_understood(words: list[str]) -> None:
    with pytest.raises(ConfigError):
        main(words)


@pytest.mark.parametrize("name", ["nowhere", "~no-such-user/x", "file"])
def test_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=name):
        main([name])


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from tui_trainer.data_command import main\n"
        "try: main(['--help'])\nexcept SystemExit as leaving: assert not leaving.code\n"
        "assert not {'torch', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert "--json" in done.stdout
