import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.data.folders import _index, require_folder, scan
from tui_trainer.data.index import PARTS, TEST, TRAIN, VAL, Index, split, write_split
from tui_trainer.data.names import Names
from tui_trainer.data.walk import Listed
from tui_trainer.errors import DataError

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A folder with empty files of these names: the scan looks at names only."""

    def files(*names: str | bytes, folder: str = "data") -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return files


def found(root: Path, val_root: Path | None = None, fraction: float = 0.25, seed: int = 0) -> Index:
    return scan(root, val_root, fraction, seed)


def names(index: Index, part: int | None = None) -> list[str]:
    return [os.fsdecode(index.name(i)) for i in range(len(index)) if part is None or index.parts[i] == part]


def refusal(root: Path, val_root: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        found(root, val_root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layouts --------------------------------------------------------------------------------------------------------------


def test_class_folders_become_classes_in_order(make: Make) -> None:
    index = found(make("dog/1.png", "cat/2.png", "cat/1.png", "ant/1.png", "dog/0.png"))
    assert index.classes == ("ant", "cat", "dog")
    assert names(index) == ["ant/1.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"]
    assert index.targets.tolist() == [0, 1, 1, 2, 2]
    assert index.path(1) == os.fsencode(index.root / "cat/1.png")


def test_images_may_lie_at_any_depth_with_extensions_in_any_case(make: Make) -> None:
    index = found(
        make("a/x/y/z/1.PNG", "a/2.JpEg", "a/x/3.webp", "b/4.TIF", "b/deep/5.jpg", "b/notes.txt", "b/6.png.bak")
    )
    assert names(index) == ["a/2.JpEg", "a/x/3.webp", "a/x/y/z/1.PNG", "b/4.TIF", "b/deep/5.jpg"]


def test_hidden_files_and_folders_are_no_data(make: Make) -> None:
    root = make(
        "a/1.png",
        "b/1.png",
        "b/2.png",
        ".git/1.png",
        "a/.thumbs/1.png",
        "a/._1.png",
        "__MACOSX/a/1.png",
        "b/@eaDir/1.png",
    )
    assert names(found(root)) == ["a/1.png", "b/1.png", "b/2.png"]


@pytest.mark.parametrize("held_out", ["val", "valid", "validation"])
def test_a_given_split_is_used(make: Make, held_out: str) -> None:
    index = found(
        make("train/a/1.png", "train/b/1.png", f"{held_out}/a/2.png", f"{held_out}/b/2.png", f"{held_out}/b/3.png")
    )
    assert names(index, TRAIN) == ["train/a/1.png", "train/b/1.png"]
    assert names(index, VAL) == [f"{held_out}/a/2.png", f"{held_out}/b/2.png", f"{held_out}/b/3.png"]
    assert index.targets.tolist() == [0, 1, 0, 1, 1]
    assert index.warnings == ()


def test_test_alone_is_used_to_validate_and_told(make: Make) -> None:
    index = found(make("train/a/1.png", "train/b/1.png", "test/a/2.png"))
    assert names(index, VAL) == ["test/a/2.png"]
    assert index.warnings == ("There is no val folder: test is used to validate each epoch.",)


def test_test_beside_val_is_a_part_of_its_own(make: Make) -> None:
    index = found(make("train/a/1.png", "train/b/1.png", "val/a/2.png", "test/b/3.png"))
    assert [names(index, part) for part in (TRAIN, VAL, TEST)] == [
        ["train/a/1.png", "train/b/1.png"],
        ["val/a/2.png"],
        ["test/b/3.png"],
    ]
    assert index.targets.tolist() == [0, 1, 0, 1]
    assert index.counts(TEST) == [0, 1]


def test_a_class_may_be_called_train(make: Make) -> None:
    index = scan(make("bus/1.png", "bus/2.png", "train/1.png", "train/2.png"), None, 0.5, 0)
    assert index.classes == ("bus", "train")


def test_train_alone_is_split(make: Make) -> None:
    index = found(make(*(f"train/{c}/{n}.png" for c in "ab" for n in range(4))))
    assert (index.counts(TRAIN), index.counts(VAL)) == ([3, 3], [1, 1])


def test_validation_images_may_lie_elsewhere(make: Make) -> None:
    root = make("a/1.png", "b/1.png")
    other = make("b/9.png", folder="other")
    index = found(root, other)
    assert names(index, VAL) == ["../other/b/9.png"]
    assert (other / "b/9.png").samefile(os.fsdecode(index.path(2)))
    assert index.targets.tolist() == [0, 1, 1]


def test_links_are_followed_and_a_loop_is_cut(make: Make) -> None:
    root = make("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    elsewhere = make("3.png", folder="elsewhere")
    (root / "a" / "link").symlink_to(elsewhere)
    (root / "b" / "up").symlink_to("..")
    (root / "b" / "here").symlink_to(".")
    index = found(root)
    assert "a/link/3.png" in names(index)
    b = [name for name in names(index) if name.startswith("b/")]
    assert b == ["b/1.png", "b/2.png"]  # and nothing of what lies above
    (root / "c").symlink_to(".")  # a class that is the whole dataset
    assert found(root).classes == ("a", "b")


def test_a_link_to_itself_costs_nothing_but_itself(make: Make) -> None:
    root = make("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    (root / "self").symlink_to("self")
    (root / "a" / "self").symlink_to("self")
    assert names(found(root)) == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]


# Names from outside ---------------------------------------------------------------------------------------------------

STRANGE = [
    b"a/caf\xe9.png",
    b"a/new\nline.png",
    b'a/"quoted", comma.png',
    b"a/\x1b[31m.png",
    b"b\xff\n/1.png",
    b"b\xff\n/2.png",
]


def test_names_of_any_bytes_are_kept(make: Make, tmp_path: Path) -> None:
    root = make(*STRANGE)
    index = found(root)
    assert sorted(index.name(i) for i in range(len(index))) == sorted(STRANGE)
    assert index.classes == ("a", os.fsdecode(b"b\xff\n"))
    write_split(index, tmp_path / "split.csv")
    with (tmp_path / "split.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "target", "part"]
    assert [os.fsencode(path) for path, _, _ in rows[1:]] == [index.name(i) for i in range(len(index))]
    assert [(target, part) for _, target, part in rows[1:]] == [
        (index.classes[index.targets[i]], PARTS[index.parts[i]]) for i in range(len(index))
    ]


def test_sentences_about_strange_names_hold_no_control_characters(make: Make) -> None:
    root = make(b"\x1b[31m\xff\n/1.png", folder="bad\x1bname")
    assert refusal(root).isprintable()
    lonely = found(make(b"\x1b\xff/1.png", "b/1.png", "b/2.png"))
    assert len(lonely.warnings) == 1
    assert lonely.warnings[0].isprintable()


# What cannot be trained on --------------------------------------------------------------------------------------------


def test_nothing_to_train_on_is_a_sentence(make: Make, tmp_path: Path) -> None:
    assert "does not exist: give a folder with one sub-folder" in refusal(tmp_path / "none")
    assert "is a file, not a folder" in refusal(make("x.png") / "x.png")
    assert "holds no images: put the images of each class" in refusal(make(folder="empty"))
    assert "holds no images" in refusal(make("a/readme.txt", "b/.hidden.png", folder="text"))
    assert "holds 2 images but no class folders" in refusal(make("1.png", "2.PNG", folder="flat"))
    assert "holds 1 images but no class folders" in refusal(make("train/1.png", "val/a/1.png", folder="flat-train"))
    assert "has one class only, a: a classifier needs two or more" in refusal(make("a/1.png", "b/x.txt", folder="one"))
    assert "Every class in" in refusal(make("a/1.png", "b/1.png", folder="lonely"))
    assert "holds no images: nothing to validate on" in refusal(
        make("train/a/1.png", "train/b/1.png", "val/a/x.txt", folder="no-val")
    )
    assert "has classes that the training part has not: c, d" in refusal(
        make("train/a/1.png", "train/b/1.png", "val/c/1.png", "val/d/1.png", "val/a/1.png", folder="unknown")
    )
    assert "File name too long" in refusal(tmp_path / ("x" * 300))
    with pytest.raises(DataError, match="does not exist"):
        require_folder(Path("/none"))


def test_what_is_left_out_is_told(make: Make) -> None:
    index = found(make("a/1.png", "a/2.png", "b/1.png", "empty/x.txt", "loose.png"))
    assert [warning.partition(":")[0].split()[0] for warning in index.warnings] == ["1", "Folders", "Class"]
    assert index.warnings[1] == "Folders without images are no classes: empty."
    assert index.warnings[2] == "Class b has one image only: it stays in the training part."
    assert index.counts(VAL) == [1, 0]


# The split ------------------------------------------------------------------------------------------------------------

COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=6).filter(lambda counts: max(counts) > 1)
FRACTION = st.floats(0, 1, exclude_min=True, exclude_max=True)


def index_of(counts: list[int]) -> Index:
    classes = tuple(f"c{n}" for n in range(len(counts)))
    blocks = [
        b"%s/\0.png\0" % c.encode() + b"".join(b"%d\0" % i for i in range(n))
        for c, n in zip(classes, counts, strict=True)
    ]
    groups = [(c, Listed([block], [n]), TRAIN) for c, block, n in zip(classes, blocks, counts, strict=True)]
    return _index(Path("/data"), classes, groups)


@given(COUNTS, FRACTION, st.integers(0, 2**32 - 1))
def test_each_class_is_split_by_itself(counts: list[int], fraction: float, seed: int) -> None:
    index, lonely = split(index_of(counts), fraction, seed)
    train, val = index.counts(TRAIN), index.counts(VAL)
    assert [a + b for a, b in zip(train, val, strict=True)] == counts
    assert all(n >= 1 for n in train)
    for count, held_out in zip(counts, val, strict=True):
        assert held_out == (0 if count == 1 else min(count - 1, max(1, round(count * fraction))))
    assert len(lonely) == counts.count(1)


@given(COUNTS, FRACTION, st.integers(0, 2**32 - 1))
def test_the_split_is_a_function_of_the_seed_and_the_names(counts: list[int], fraction: float, seed: int) -> None:
    one, other = split(index_of(counts), fraction, seed)[0], split(index_of(counts), fraction, seed)[0]
    assert one.fingerprint() == other.fingerprint()
    assert np.array_equal(one.parts, other.parts)


def test_another_seed_is_another_split() -> None:
    parts = {split(index_of([40, 40]), 0.5, seed)[0].parts.tobytes() for seed in range(10)}
    assert len(parts) == 10


@given(st.integers(10, 60), st.integers(1, 10), FRACTION)
def test_added_files_move_few_others(before: int, added: int, fraction: float) -> None:
    """Each added image displaces at most one of the others, or makes room for one."""
    old = split(index_of([before, 2]), fraction, 3)[0]
    new = split(index_of([before + added, 2]), fraction, 3)[0]
    moved = sum(old.parts[i] != new.parts[i] for i in range(before))
    assert moved <= added + 1


def test_the_place_of_a_sample_does_not_depend_on_where_the_dataset_lies(make: Make) -> None:
    files = [f"{c}/{n}.png" for c in "ab" for n in range(9)]
    one, other = found(make(*files, folder="here")), found(make(*files, folder="there"))
    assert np.array_equal(one.parts, other.parts)
    assert one.fingerprint() == other.fingerprint()


@given(COUNTS.flatmap(lambda counts: st.tuples(st.just(counts), st.integers(0, sum(counts) - 1))))
def test_the_fingerprint_changes_with_whatever_matters(drawn: tuple[list[int], int]) -> None:
    counts, at = drawn
    index = split(index_of(counts), 0.3, 0)[0]
    parts, targets, names = index.parts.copy(), index.targets.copy(), [index.names[i] for i in range(len(index))]
    parts[at] ^= 1
    targets[at] += 1
    names[at] += b"g"
    changed = [
        replace(index, parts=parts),
        replace(index, targets=targets),
        replace(index, names=Names.of(names)),
        replace(index, classes=(*index.classes[:-1], "other")),
    ]
    assert len({index.fingerprint(), *(other.fingerprint() for other in changed)}) == 5
    assert replace(index, root=Path("/elsewhere"), warnings=("x",)).fingerprint() == index.fingerprint()
