"""Every kind of run is tested, exported and reported: the user's own datasets and manifests of numbers and labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, Told
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained

Cli = Callable[..., Told]
CODE = ROOT / "tests" / "data" / "own_code.py"
MANIFEST = ROOT / "sample_data" / "digits_manifest.csv"
KINDS: dict[str, tuple[object, ...]] = {  # name -> what it learns from
    "own pictures": (f"{CODE}:Pictures", "--model", "mlp"),
    "own numbers": (f"{CODE}:Numbers",),
    "own stream": (f"{CODE}:ShortStream", "--val-data", f"{CODE}:ShortStream", "--steps-per-epoch", 50),
    "rows of a database": (ROOT / "sample_data" / "wine.db",),
    "a stream of images": (ROOT / "sample_data" / "digits.jsonl", "--stream", "true"),
    "numbers of images": (MANIFEST, "--target", "ink"),
    "labels of images": (MANIFEST, "--target", "tags", "--label-separator", "|", "--missing", "drop"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_the_run_and_the_export_agrees(kind: str, run_cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--epochs", 1, "--threads", 1, "-b", 16, "--output-dir", run)
    assert run_cli("--no-tui", "--data", *KINDS[kind], *words).code == 0
    with (run / "metrics.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    told = run_cli("test", run, "--weights", "final", "--json", "--csv", tmp_path / "all.csv").json
    names = {
        "regression": ("mae", "rmse", "r2"),
        "multilabel": ("loss", "f1"),
        "classification": ("loss", "top1", "f1"),
    }
    for name in names[told["task"]]:
        assert told["metrics"][name]["value"] == pytest.approx(float(row[f"val_{name}"]), abs=1e-5), name
    with (tmp_path / "all.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == told["samples"] + 1

    done = run_cli("export", run, "--format", "pt2", "--weights", "final", "--json").json
    assert done["verified"]["same_answer"] == done["verified"]["samples"] == min(told["samples"], 128)
    assert done["verified"]["real"]
    assert run_cli("report", run).code == 0
    page = (run / "report.html").read_text()
    assert "Not tested" not in page
    dots = page.count('<circle class="val"') - 2 * page.count("<h2>Curves")  # one epoch: a dot each
    assert dots == (told["samples"] if told["task"] == "regression" else 0)
    pictures = {"numbers of images": 24, "labels of images": 24, "own pictures": 6}
    assert page.count("data:image/jpeg") == pictures.get(kind, 0)


def test_what_an_own_dataset_yields_is_in_no_file(run_cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    spec = f"{CODE}:Pictures"
    words = ("--model", "mlp", "--epochs", 1, "--threads", 1, "--output-dir", run)
    assert run_cli("--no-tui", "--data", spec, *words).code == 0
    assert "test RUN --data file.py:Name --csv FILE" in run_cli("predict", run, "x.png").sentence
    assert "no preprocessing" in run_cli("export", run, "--format", "onnx", "--preprocessing").sentence
    assert "which takes items of shape 1x8x8" in run_cli("test", run, "--data", f"{CODE}:Noisy").sentence
    assert run_cli("test", run, "--data", spec, "--json").json["samples"] == 30
    trained = load_trained(str(run))
    tested = run_test(trained)
    picture = tested.picture(0)
    assert picture is not None
    assert picture.shape == (8, 8, 1)


def test_rows_are_standardised_inside_the_graph_where_that_is_asked_for(run_cli: Cli, tmp_path: Path) -> None:
    run, table = tmp_path / "run", ROOT / "sample_data" / "numbers.csv"
    assert run_cli("--no-tui", table, "--epochs", 1, "--threads", 1, "--output-dir", run).code == 0
    done = run_cli("export", run, "--format", "pt2", "--preprocessing", "--json").json
    assert done["inside"] == "normalise -> model -> units of the targets"
    assert done["verified"]["samples"] == 128
    program = torch.export.load(done["file"]).module()
    with table.open(newline="") as file:
        rows = [[float(value) for value in row[:3]] for row in list(csv.reader(file))[1:6]]
    outputs = program(torch.tensor(rows))
    told = run_cli("predict", run, table, "--json").out.splitlines()[:5]
    expected = [json.loads(line)["predictions"][0]["value"] for line in told]
    assert outputs[:, 0].tolist() == pytest.approx(expected, abs=1e-4)
