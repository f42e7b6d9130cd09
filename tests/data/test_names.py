import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer.data import names as names_module
from tui_trainer.data.folders import scan
from tui_trainer.data.index import split
from tui_trainer.data.names import Names, ranks
from tui_trainer.data.walk import Walk, images_below

GROUP = st.tuples(st.binary(max_size=5), st.binary(max_size=4), st.lists(st.binary(max_size=6), min_size=1, max_size=9))


def put_together(groups: list[tuple[bytes, bytes, list[bytes]]]) -> tuple[Names, list[bytes]]:
    groups = [(a.replace(b"\0", b"-"), b.replace(b"\0", b"-") + b"x", [m.replace(b"\0", b"-") for m in ms])
              for a, b, ms in groups]  # fmt: skip
    blocks = [b"\0".join((head, tail, *middles, b"")) for head, tail, middles in groups]
    names = Names.of_blocks(blocks, [len(middles) for *_, middles in groups])
    return names, [head + middle + tail for head, tail, middles in groups for middle in middles]


def fed(names: Names) -> str:
    digest = hashlib.sha256()
    names.feed(digest)
    return digest.hexdigest()


def plainly_fed(whole: list[bytes]) -> str:
    """As one blob and the offsets in it, which is what runs of any version have recorded."""
    offsets = np.cumsum([0, *map(len, whole)], dtype=np.int64)
    return hashlib.sha256(b"".join(whole) + offsets.tobytes()).hexdigest()


@pytest.mark.parametrize("together", [2, 1 << 14])
@given(groups=st.lists(GROUP, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_groups_give_the_same_names_hashes_and_ranks_as_whole_names(
    together: int, groups: list[tuple[bytes, bytes, list[bytes]]], seed: int
) -> None:
    names, whole = put_together(groups)
    names_module._TOGETHER, before = together, names_module._TOGETHER
    try:
        assert [names[i] for i in range(len(names))] == whole
        assert fed(names) == fed(Names.of(whole)) == plainly_fed(whole)
        assert names.ranks(seed).tolist() == Names.of(whole).ranks(seed).tolist() == ranks(whole, seed).tolist()
    finally:
        names_module._TOGETHER = before
    again = pickle.loads(pickle.dumps(names))
    assert [again[i] for i in range(len(again))] == whole


@given(st.sets(st.text("ab.jpg", min_size=1, max_size=7), min_size=1, max_size=8), st.sampled_from([".jpg", ".p", ""]))
def test_whatever_a_folder_holds_its_images_are_found(stems: set[str], ending: str) -> None:
    there = sorted(os.fsencode(stem + ending) for stem in stems if not stem.startswith("."))
    images = [name for name in there if name.endswith((b".jpg", b".JPG"))]
    listed = images_of(there)
    assert listed == [b"c/" + name for name in images]


def images_of(there: list[bytes]) -> list[bytes]:
    """What a walk finds in a folder of such files, without a disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda folder: list(reversed(there)))
        patch.setattr("tui_trainer.data.walk._sorted_out", lambda folder: (
            [name for name in there if name.endswith((b".jpg", b".JPG"))], []))  # fmt: skip
        found = images_below(os.fsencode(Path(__file__).parent), b"c/", Walk())
    names = Names.of_blocks(found.blocks, found.counts)
    return [names[i] for i in range(len(names))]


def test_a_run_of_an_earlier_version_finds_its_dataset_unchanged(tmp_path: Path) -> None:
    """The split and the fingerprint, as they were recorded before names were kept in groups."""
    for i in range(30):
        for name in (f"ant/ant-{i:03}.png", f"bee/{i}{'.JPG' if i % 2 else '.png'}", f"cow/deep/{i}.gif"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    index = scan(tmp_path, None, 0.3, 5)
    assert index.fingerprint() == "e229f746cfa8b9d300272e4888018ab11bab387679936e602ea9f7f121e7e9e5"


def test_names_share_what_they_can(tmp_path: Path) -> None:
    """A thousand names of 30 bytes take four each, and four for where they are."""
    for i in range(1000):
        (tmp_path / f"a-long-and-common-name-{i:03}.jpg").touch()
    found = images_below(os.fsencode(tmp_path), b"class/", Walk())
    names = Names.of_blocks(found.blocks, found.counts)
    assert names[77] == b"class/a-long-and-common-name-077.jpg"
    assert names.nbytes < 8.2 * 1000


def test_of_samples_with_one_name_the_first_are_held_out(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    index = scan(tmp_path, tmp_path, 0.0, 0)
    same = replace(
        index, names=Names.of([b"same"] * 8), targets=np.zeros(8, np.int32), parts=np.zeros(8, np.uint8),
        classes=("a",),
    )  # fmt: skip
    assert split(same, 0.25, 0)[0].parts.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
