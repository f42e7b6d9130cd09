"""Trained models of tables: tested, asked about other rows, told apart from those of images."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, Told
from tui_trainer.data.encoding import encode_as
from tui_trainer.data.table_file import read_table
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import DataError
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained

Cli = Callable[..., Told]
TABLE = "size,colour,weight,kind\n" + "".join(
    f"{i},{colour},{i * (2 if colour == 'red' else 3)},{'big' if i > 20 else 'small'}\n"
    for i in range(40)
    for colour in ("red", "blue")
)


@pytest.fixture(scope="module")
def rows_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table with a column of texts, and a run on it."""
    from tui_trainer import cli

    place = tmp_path_factory.mktemp("rows")
    table = place / "table.csv"
    table.write_text(TABLE)
    words = ("--no-tui", table, "--target", "kind", "--epochs", 5, "--threads", 1, "--output-dir", place / "run")
    assert cli.main([str(word) for word in words]) == 0
    return table, place / "run"


def test_the_figures_are_those_of_the_run(run_cli: Cli, rows_run: tuple[Path, Path]) -> None:
    _, run = rows_run
    with (run / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    found = run_cli("test", run, "--weights", "final", "--json").json["metrics"]
    assert found["top1"]["value"] == pytest.approx(float(last["val_top1"]))
    assert found["loss"]["value"] == pytest.approx(float(last["val_loss"]), abs=1e-6)


def test_rows_of_another_file_are_encoded_as_those_that_were_learned(
    run_cli: Cli, rows_run: tuple[Path, Path], tmp_path: Path
) -> None:
    table, run = rows_run
    tested = run_test(load_trained(str(run)), part="all")
    expected = {int(row[0]): row[2] for row in list(tested.rows())[1:]}  # row number -> predicted class
    lines = TABLE.splitlines()
    other = tmp_path / "other.csv"
    chosen = [79, 3, 40]
    other.write_text("\n".join([lines[0], *(lines[number] for number in chosen)]) + "\n")
    told = run_cli("predict", run, other, "--top-k", 1)
    assert told.code == 0
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [row["path"] for row in rows] == [f"{other}:{n}" for n in (1, 2, 3)]
    assert [row["name1"] for row in rows] == [expected[number] for number in chosen]

    elsewhere = tmp_path / "same.csv"
    elsewhere.write_text(table.read_text().replace("blue", "green"))
    assert run_cli("test", run, "--data", elsewhere, "--json").code == 0


def test_what_is_no_table_for_it_is_refused(run_cli: Cli, rows_run: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = rows_run
    assert "takes rows of a table" in run_cli("test", run, "--data", ROOT / "sample_data" / "digits").sentence
    short = tmp_path / "short.csv"
    short.write_text("size,kind\n1,big\n2,small\n3,big\n4,small\n")
    assert "colour" in run_cli("test", run, "--data", short).sentence
    told = run_cli("predict", run, short, tmp_path / "nowhere.csv")
    assert told.code == 3
    assert told.out.count("\n") == 3
    assert run_cli("report", run).code == 0


def test_numbers_are_predicted_in_their_own_unit(run_cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--no-tui", ROOT / "sample_data" / "numbers.csv", "--epochs", 2, "--threads", 1, "--output-dir", run)
    assert run_cli(*words).code == 0
    with (run / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    found = run_cli("test", run, "--weights", "final", "--json").json["metrics"]
    for name in ("mae", "rmse", "r2"):
        assert found[name]["value"] == pytest.approx(float(last[f"val_{name}"]), abs=1e-5)


def test_missing_numbers_are_filled_and_unseen_texts_are_none_of_those_known(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,x\n,z\n3,\n")
    encoding = ({"column": "b", "categories": ["(missing)", "x"]}, {"column": "a", "fill": 7.0})
    found = encode_as(read_table(table, DataConfig().header), encoding, table)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1, 1], [0, 0, 7], [1, 0, 3]]
    with pytest.raises(DataError, match="holds texts"):
        encode_as(read_table(table), ({"column": "b", "fill": 0.0},), table)
    with pytest.raises(DataError, match="no such column"):
        encode_as(read_table(table), ({"column": "c", "fill": 0.0},), table)
