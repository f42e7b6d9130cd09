import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.data.index import TRAIN, VAL, Index
from tui_trainer.data.sources import open_source
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import DataError

from ..conftest import DIGITS, ROOT, Told

MANIFEST = ROOT / "sample_data" / "digits_manifest.csv"


def opened(path: Path, **settings: Any) -> Index:
    return open_source(DataConfig(data=str(path), **settings), 0)


@pytest.mark.parametrize(
    ("target", "settings", "task", "outputs"),
    [
        ("digit", {}, "classification", 10),
        ("ink", {}, "regression", 1),
        ("tags", {"label_separator": "|"}, "multilabel", 2),
    ],
)
def test_a_manifest_trains_each_task(
    run_cli: Callable[..., Told], tmp_path: Path, target: str, settings: dict[str, str], task: str, outputs: int
) -> None:
    index = opened(MANIFEST, target=(target,), **settings)
    assert (len(index), index.task, index.outputs) == (200, task, outputs)
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (160, 40)
    assert Path(os.fsdecode(index.path(0))).exists()
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    words += ["--target", target, "--epochs", "2"]
    told = run_cli("--no-tui", "--json", MANIFEST, *words, "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert told.json["metrics"].keys() > {
        "val_loss",
        {"regression": "val_mae", "multilabel": "val_map"}.get(task, "val_f1"),
    }
    again = run_cli("--no-tui", "--json", "-c", tmp_path / "run" / "config.toml", "--output-dir", tmp_path / "b")
    assert again.json["metrics"] == told.json["metrics"]


def test_a_manifest_may_be_json_lines_with_lists_of_labels_and_paths_elsewhere(tmp_path: Path) -> None:
    lines = [json.dumps({"what": f"{d}/{d}_{i:03}.png", "is": ["odd"] * (d % 2)}) for d in range(4) for i in range(5)]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    index = opened(tmp_path / "m.jsonl", data_root=str(DIGITS), target=("is",), task="multilabel")
    assert index.classes == ("odd",)
    assert index.targets.sum() == 10
    assert Path(os.fsdecode(index.path(7))).exists()


def test_a_column_of_parts_is_used(tmp_path: Path) -> None:
    rows = [f"{DIGITS}/{d}/{d}_{i:03}.png,{d},{'val' if i > 2 else 'train'}" for d in range(3) for i in range(4)]
    (tmp_path / "m.csv").write_text("file,label,split\n" + "\n".join(rows))
    index = opened(tmp_path / "m.csv")
    assert index.counts(TRAIN) == [3, 3, 3]
    assert index.counts(VAL) == [1, 1, 1]


def test_folders_take_numbers_from_a_file_beside_them(tmp_path: Path) -> None:
    rows = [f"{d}/{d}_{i:03}.png,{d + i / 7}" for d in range(3) for i in range(10)]
    (tmp_path / "t.csv").write_text("path,weight\n" + "\n".join(rows))
    index = opened(DIGITS, targets=str(tmp_path / "t.csv"))
    assert (index.task, index.target_names, len(index)) == ("regression", ("weight",), 30)
    assert Path(os.fsdecode(index.path(29))).exists()
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(DataError, match="has no column of image paths"):
        opened(DIGITS, targets=str(tmp_path / "t.csv"))
