import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_trainer.data.index import TRAIN, VAL, Index, Rows, write_split
from tui_trainer.data.sources import open_source
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError

TABLE = """\
size,colour,weight,price
1,red,2.5,10.5
2,blue,,20.25
3,red,4.5,30.5
4,green,5.5,40.75
5,red,6.5,50.5
6,blue,7.5,60.25
"""


def opened(path: Path, text: str | None = None, seed: int = 0, **settings: Any) -> Index:
    if text is not None:
        path.write_text(text, "utf-8")
    return open_source(DataConfig(data=str(path), **settings), seed)


def rows_of(index: Index) -> Rows:
    assert isinstance(index.inputs, Rows)
    return index.inputs


def test_a_table_becomes_rows_with_the_last_column_as_target(tmp_path: Path) -> None:
    index = opened(tmp_path / "t.csv", TABLE, missing="mean", val_fraction=0.34)
    rows = rows_of(index)
    assert rows.names == ("size", "colour=blue", "colour=green", "colour=red", "weight")
    assert (index.task, index.target_names, index.unit) == ("regression", ("price",), "rows")
    assert index.targets.tolist() == [[10.5], [20.25], [30.5], [40.75], [50.5], [60.25]]
    assert rows.features[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert rows.features[:, 3].tolist() == [1, 0, 1, 0, 1, 0]
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (4, 2)
    assert ("target", ("price",), "the last column") in index.chosen


def test_a_missing_value_is_refused_filled_from_the_training_part_or_its_row_dropped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(DataError, match=r"lacks values in weight \(1\): choose --missing drop"):
        opened(path, TABLE)
    index = opened(path, missing="mean")
    known = [v for i, v in enumerate([2.5, None, 4.5, 5.5, 6.5, 7.5]) if v is not None and index.parts[i] == TRAIN]
    assert rows_of(index).features[1, 4] == pytest.approx(np.mean(known))
    median = rows_of(opened(path, missing="median"))
    assert median.features[1, 4] == pytest.approx(np.median(known))
    assert median.encoding[-1] == {"column": "weight", "fill": float(np.median(known))}
    dropped = opened(path, missing="drop")
    assert len(dropped) == 5
    assert [dropped.name(i) for i in range(5)] == [b"1", b"3", b"4", b"5", b"6"]
    assert dropped.warnings == ("1 of 6 rows lack a value and are left out.",)


def test_a_missing_text_is_a_text_of_its_own_and_a_row_without_target_is_never_kept(tmp_path: Path) -> None:
    text = "a,y\nx,1.5\n,2.5\nz,3.5\nx,\nx,4.25\n"
    index = opened(tmp_path / "t.csv", text, missing="mean")
    assert rows_of(index).names == ("a=(missing)", "a=x", "a=z")
    assert index.targets[:, 0].tolist() == [1.5, 2.5, 3.5, 4.25]


@pytest.mark.parametrize(
    ("delimiter", "name", "header"),
    [(",", "t.csv", True), (";", "t.csv", True), ("\t", "t.tsv", True), (",", "t.csv", False)],
)
def test_dialect_and_header_are_found_out(tmp_path: Path, delimiter: str, name: str, header: bool) -> None:
    lines = [["a", "b", "y"]] * header + [[str(i), str(2 * i), str(i / 7)] for i in range(30)]
    index = opened(tmp_path / name, "\n".join(delimiter.join(cells) for cells in lines))
    assert len(index) == 30
    assert rows_of(index).names == (("a", "b") if header else ("column 1", "column 2"))


def test_a_header_can_be_given(tmp_path: Path) -> None:
    text = "red,cat\nblue,dog\nred,dog\nblue,cat\n"
    assert len(opened(tmp_path / "t.csv", text, header=True)) == 3
    assert len(opened(tmp_path / "t.csv", text, header=False)) == 4


@pytest.mark.parametrize(("asked", "found"), [("y", "y"), ("Y", "y"), ("1", "a"), ("-1", "y"), ("-2", "b")])
def test_a_target_is_named_or_at_a_place(tmp_path: Path, asked: str, found: str) -> None:
    text = "a,b,y\n" + "\n".join(f"{i / 3},{i / 7},{i / 9}" for i in range(30))
    index = opened(tmp_path / "t.csv", text, target=(asked,))
    assert index.target_names == (found,)
    assert found not in rows_of(index).names


def test_inputs_are_those_named_or_all_but_those_ignored(tmp_path: Path) -> None:
    text = "a,b,c,y\n" + "\n".join(f"{i / 3},{i / 7},{i / 9},{i / 2}" for i in range(30))
    path = tmp_path / "t.csv"
    assert rows_of(opened(path, text, features=("c", "a"))).names == ("c", "a")
    assert rows_of(opened(path, ignore_columns=("b",))).names == ("a", "c")
    with pytest.raises(ConfigError, match="features names y, which is the target"):
        opened(path, features=("y",))
    with pytest.raises(DataError, match=r"ignore_columns = x: .* has no such column; it has a, b, c, y"):
        opened(path, ignore_columns=("x",))


@pytest.mark.parametrize(
    ("target", "settings", "task"),
    [
        ("{i}.5", {}, "regression"),
        ("{i}", {}, "regression"),  # thirty different whole numbers
        ("{third}", {}, "classification"),
        ("{third}", {"task": "regression"}, "regression"),
        ("c{third}", {}, "classification"),
        ("x;y{third}", {"label_separator": ";"}, "multilabel"),
    ],
)
def test_the_task_follows_from_the_targets(tmp_path: Path, target: str, settings: dict[str, Any], task: str) -> None:
    text = "a,y\n" + "\n".join(f"{i / 7}," + target.format(i=i, third=i % 3) for i in range(30))
    index = opened(tmp_path / "t.csv", text, **settings)
    assert index.task == task
    assert index.task_reason


def test_several_columns_are_several_numbers_or_labels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    index = opened(path, "a,u,v\n" + "\n".join(f"{i},{i / 7},{i / 3}" for i in range(20)), target=("u", "v"))
    assert (index.task, index.targets.shape, index.target_names) == ("regression", (20, 2), ("u", "v"))
    index = opened(path, "a,u,v\n" + "\n".join(f"{i},{i % 2},{int(i < 9)}" for i in range(20)), target=("u", "v"))
    assert (index.task, index.classes) == ("multilabel", ("u", "v"))
    assert index.counts(TRAIN)[0] + index.counts(VAL)[0] == 10


def test_a_column_can_say_which_part_a_row_belongs_to(tmp_path: Path) -> None:
    text = "a,split,y\n" + "\n".join(f"{i},{('train', 'val', 'test')[i % 3]},{i / 7}" for i in range(12))
    index = opened(tmp_path / "t.csv", text)
    assert index.parts.tolist() == [0, 1, 2] * 4
    assert rows_of(index).names == ("a",)
    text = text.replace("split", "which")
    index = opened(tmp_path / "t.csv", text, part_column="which")
    assert index.parts.tolist() == [0, 1, 2] * 4
    with pytest.raises(DataError, match="column which holds dev2: a part is train, val or test"):
        opened(tmp_path / "t.csv", text.replace(",val,", ",dev2,"), part_column="which")


def test_another_table_is_the_validation_part(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("y,a\n7.5,c\n8.5,d\n")
    index = opened(tmp_path / "t.csv", "a,y\nb,1.5\nc,2.5\nb,3.5\n", val_data=str(tmp_path / "val.csv"))
    assert index.parts.tolist() == [0, 0, 0, 1, 1]
    assert index.targets[:, 0].tolist() == [1.5, 2.5, 3.5, 7.5, 8.5]
    (tmp_path / "val.csv").write_text("y,b\n7.5,c\n")
    with pytest.raises(DataError, match="has no column a, which the training table has"):
        opened(tmp_path / "t.csv", val_data=str(tmp_path / "val.csv"))


def test_arrays_are_tables(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.save(tmp_path / "t.npy", np.column_stack([x, x.sum(1)]))
    index = opened(tmp_path / "t.npy")
    assert (rows_of(index).names, index.target_names) == (("column 1", "column 2", "column 3"), ("column 4",))
    assert np.allclose(rows_of(index).features, x)
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(20) % 3)
    index = opened(tmp_path / "t.npz")
    assert (index.task, index.classes, rows_of(index).names) == (
        "classification",
        ("0", "1", "2"),
        ("x 1", "x 2", "x 3"),
    )


def test_a_pickle_in_an_array_is_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not an array that can be read"):
        opened(tmp_path / "t.npy")


def test_json_lines_are_tables(tmp_path: Path) -> None:
    lines = [json.dumps({"a": i / 7, "flag": i % 2 == 0, "y": ["x", "z"][: i % 3]}) for i in range(20)]
    index = opened(tmp_path / "t.jsonl", "\n".join(lines), task="multilabel", missing="mean")
    assert index.classes == ("x", "z")
    assert rows_of(index).names == ("a", "flag")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty: it has no rows"),
        ("a,y\n", "no rows below it|one class|no column besides"),
        ("a,y\n1,2\n1\n", "row 3 has 1 cells and the first one 2"),
        ("a,a\n1,2\n3,4\n", "two columns of the name a"),
        ("y\n1.5\n2.5\n", "no column besides the target"),
        ("a,y\n1,x\n2,x\n", "one class only, x"),
        ("a,y\nu1,1.5\n" + "\n".join(f"u{i},{i / 7}" for i in range(200)), "200 different texts|201 different texts"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises((DataError, ConfigError), match=sentence):
        opened(tmp_path / "t.csv", text)


def test_the_split_is_stratified_and_a_function_of_the_seed(tmp_path: Path) -> None:
    text = "a,y\n" + "\n".join(f"{i / 7},{'rare' if i % 10 == 0 else 'often'}" for i in range(100))
    index = opened(tmp_path / "t.csv", text)
    assert index.counts(VAL) == [18, 2]
    assert index.fingerprint() == opened(tmp_path / "t.csv").fingerprint()
    assert index.fingerprint() != opened(tmp_path / "t.csv", seed=1).fingerprint()
    other = opened(tmp_path / "t.csv", text.replace("0.2857142857142857", "0.3"))
    assert other.fingerprint() != index.fingerprint()  # the values count, not only the targets


def test_the_split_is_written_with_targets_in_words(tmp_path: Path) -> None:
    index = opened(
        tmp_path / "t.csv", "a,u,v\n" + "\n".join(f"{i},{i % 2},{int(i < 3)}" for i in range(5)), target=("u", "v")
    )
    write_split(index, tmp_path / "split.csv")
    lines = (tmp_path / "split.csv").read_text().splitlines()
    assert lines[0] == "path,target,part"
    assert [line.rsplit(",", 1)[0] for line in lines[1:]] == ["1,v", "2,u|v", "3,v", "4,u", "5,"]
