"""The plain script of a run: it repeats the run to the last digit, and has no line of this program."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, Told
from tui_trainer import vision

Cli = Callable[..., Told]
LINE = re.compile(r"epoch (\d+): " + " ".join([r"(\w+) (-?[\d.]+)"] * 4))  # loss and rate of train, then of val


def repeated(run_cli: Cli, run: Path, lines: int = 200) -> str:
    """Eject a run, run the script, and compare each epoch; the script, of at most so many lines."""
    assert run_cli("eject", run).code == 0
    script = run / "ejected" / "train.py"
    vision.models()  # beside a torch without its compiled operators torchvision needs this door, which no script knows
    said = io.StringIO()
    with contextlib.redirect_stdout(said), torch.random.fork_rng(devices=[]):
        runpy.run_path(str(script), None, "__main__")
    found = [LINE.fullmatch(line) for line in said.getvalue().splitlines()]
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for match, row in zip(found, rows, strict=True):
        assert match is not None, said.getvalue()
        told = dict(zip(match.groups()[1::2], map(float, match.groups()[2::2]), strict=True))
        assert [name.partition("_")[0] for name in told] == ["train", "train", "val", "val"]
        assert match[1] == row["epoch"]
        assert told == pytest.approx({name: float(row[name]) for name in told}, abs=1e-6)
    source = script.read_text("utf-8")
    assert "tui_trainer" not in source
    assert source.count("\n") <= lines
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


def test_a_manifest_with_weights_mixing_and_an_average(run_cli: Cli, tmp_path: Path) -> None:
    run, manifest = tmp_path / "run", ROOT / "sample_data" / "digits_manifest.csv"
    words = ("--target", "digit", "--class-weights", "balanced", "--mixup", 0.4, "--cutmix", 1.0, "--model-ema")
    more = ("--augment", "standard", "--clip-grad-norm", 1, "--epochs", 2, "--label-smoothing", 0.1)
    assert run_cli("--no-tui", manifest, *words, *more, "--threads", 1, "--output-dir", run).code == 0
    source = repeated(run_cli, run, lines=250)
    assert "v2.MixUp(alpha=0.4" in source
    assert "evaluate(ema.module" in source


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("numbers.csv", ("--loss", "huber", "--hidden-sizes", "8", "--lr-scheduler", "cosine")),
        ("wine.csv", ("--class-weights", "balanced", "--model-ema", "--optimizer", "adamw", "--lr", 0.001)),
    ],
)
def test_rows_of_a_table(table: str, words: tuple[object, ...], run_cli: Cli, tmp_path: Path) -> None:
    run, data = tmp_path / "run", ROOT / "sample_data" / table
    assert run_cli("--no-tui", data, *words, "--epochs", 3, "--threads", 1, "--output-dir", run).code == 0
    source = repeated(run_cli, run)
    assert "class MLP" in source
    assert (run / "ejected" / "rows.npz").exists()


def test_what_a_plain_script_does_not_cover_is_named(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--epochs", 1, "--amp", "--augment", "rand", "--output-dir", run)
    assert run_cli("--no-tui", digits60, *words).code == 0
    told = run_cli("eject", run)
    assert told.code == 2
    assert "amp, amp_dtype, augment = rand" in told.sentence
    assert not (run / "ejected").exists()
