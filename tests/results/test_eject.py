"""The plain script of a run: it repeats the run to the last digit, and has no line of this program."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import Told
from tui_trainer import vision

Cli = Callable[..., Told]
# torchvision beside a torch without its compiled operators is imported through this door; a script cannot know it.
RUN = (
    "import runpy, sys; from tui_trainer import vision as v; v.models(); runpy.run_path(sys.argv[1], None, '__main__')"
)
NAMES = ("train_loss", "train_top1", "val_loss", "val_top1")
LINE = re.compile(r"epoch (\d+): " + " ".join(rf"{name} ([\d.]+)" for name in NAMES))


def repeated(run_cli: Cli, run: Path) -> str:
    """Eject a run, run the script, and compare each epoch; the script."""
    assert run_cli("eject", run).code == 0
    script = run / "ejected" / "train.py"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(script)], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = [LINE.fullmatch(line) for line in done.stdout.splitlines()]
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for match, row in zip(found, rows, strict=True):
        assert match is not None, done.stdout
        numbers = [float(row[name]) for name in ("epoch", *NAMES)]
        assert [float(text) for text in match.groups()] == pytest.approx(numbers, abs=1e-6)
    source = script.read_text("utf-8")
    assert "tui_trainer" not in source
    assert source.count("\n") <= 200
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", str(script)], check=False, capture_output=True
    )
    assert ruff.returncode == 0, ruff.stdout
    return source


def test_digits(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--epochs", 3, "--lr", 0.02, "--lr-scheduler", "step", "-b", 7, "--output-dir", run)
    assert run_cli("--no-tui", digits60, *words).code == 0
    assert "class LeNet" in repeated(run_cli, run)


def test_augmented_photos_from_a_part_of_other_weights(run_cli: Cli, colour24: Path, tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "other.pth"
    torch.manual_seed(3)
    torch.save(vision.models().get_model("squeezenet1_1", weights=None, num_classes=5).state_dict(), weights)
    recipe = ("--lr-scheduler", "cosine", "--warmup-epochs", 0.5, "--label-smoothing", 0.1, "--optimizer", "adamw")
    start = ("--pretrained", weights, "--exclude-layers", "classifier.1", "--freeze", "features.0", "--lr", 0.001)
    images = ("--model", "squeezenet1_1", "--image-size", 32, "--augment", "light", "--threads", 1, "--epochs", 2)
    assert run_cli("--no-tui", colour24, *images, *start, *recipe, "--output-dir", run).code == 0
    source = repeated(run_cli, run)
    assert "not name.startswith(('classifier.1.',))" in source
    assert not (run / "ejected" / "start.pt").exists()


def test_what_a_plain_script_does_not_cover_is_named(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--epochs", 1, "--mixup", 0.2, "--model-ema", "--output-dir", run)
    assert run_cli("--no-tui", digits60, *words).code == 0
    told = run_cli("eject", run)
    assert told.code == 2
    assert "mixup, model_ema" in told.sentence
    assert not (run / "ejected").exists()
