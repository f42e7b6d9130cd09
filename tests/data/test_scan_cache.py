import multiprocessing
import os
import pickle
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tui_trainer.data import folders, index_file, scan_cache, shared_index
from tui_trainer.data.index import Index
from tui_trainer.data.index_file import open_index, write_index
from tui_trainer.data.names import Names
from tui_trainer.data.scan_cache import cache_folder, scan
from tui_trainer.errors import DataError

LONG_AGO = time.time() - 3600


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scan_cache, "SMALLEST", 1)
    monkeypatch.setattr(scan_cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes; the clock of the scan runs ahead, so that the folders are old."""
    folder = tmp_path / "data"
    for name in ("ant", "bee"):
        (folder / name / "more").mkdir(parents=True)
        for i in range(10):
            (folder / name / f"{i}.png").touch()
    now = time.time_ns
    monkeypatch.setattr(scan_cache.time, "time_ns", lambda: now() + 10 * scan_cache.RACY)
    return folder


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each scan that lists folders."""
    counted: list[int] = []
    real = folders.scan

    def counting(*args: object) -> Index:
        counted.append(1)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(folders, "scan", counting)
    return counted


def looked(root: Path, fraction: float = 0.2, seed: int = 0) -> Index:
    return scan(root, None, fraction, seed)


def test_a_second_scan_lists_nothing_and_gives_the_same(root: Path, listings: list[int]) -> None:
    first, second = looked(root), looked(root)
    plain = folders.scan(root, None, 0.2, 0)
    assert len(listings) == 2
    for index in (first, second):
        assert index.fingerprint() == plain.fingerprint()
        assert [index.name(i) for i in range(20)] == [plain.name(i) for i in range(20)]
        assert (index.classes, index.warnings, index.root) == (plain.classes, plain.warnings, plain.root)


@pytest.mark.parametrize(
    "change",
    ["new image", "gone image", "renamed image", "new class", "deep image", "gone class", "time put back", "replaced"],
)
def test_a_changed_folder_is_noticed(root: Path, listings: list[int], change: str) -> None:
    before = looked(root)
    time.sleep(0.02)  # a tick of the file system's clock
    if change == "new image":
        (root / "ant" / "new.png").touch()
    elif change == "gone image":
        (root / "ant" / "3.png").unlink()
    elif change == "renamed image":
        (root / "ant" / "3.png").rename(root / "ant" / "x.png")
    elif change == "new class":
        (root / "cow").mkdir()
        (root / "cow" / "1.png").touch()
        (root / "cow" / "2.png").touch()
    elif change == "deep image":
        (root / "ant" / "more" / "x.png").touch()
    elif change == "time put back":  # as rsync and tar do
        times = (root / "ant").stat()
        (root / "ant" / "new.png").touch()
        os.utime(root / "ant", ns=(times.st_atime_ns, times.st_mtime_ns))
    elif change == "replaced":
        (root / "ant").rename(root.parent / "old")
        shutil.copytree(root.parent / "old", root / "ant")
        (root / "ant" / "new.png").touch()
        for folder in (root, root / "ant"):
            os.utime(folder, ns=(0, 0))
    else:
        (root / "ant").rename(root / "wasp")
    after = looked(root)
    assert after.fingerprint() != before.fingerprint()
    assert after.fingerprint() == folders.scan(root, None, 0.2, 0).fingerprint()


def test_another_split_is_another_entry(root: Path) -> None:
    assert looked(root).fingerprint() != looked(root, seed=7).fingerprint()
    assert len(looked(root, 0.5).part(1)) == 10


def test_a_folder_that_changed_just_now_is_not_trusted(tmp_path: Path, listings: list[int]) -> None:
    for name in ("ant/1.png", "ant/2.png", "bee/1.png", "bee/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    looked(tmp_path)
    looked(tmp_path)
    assert len(listings) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_entry_is_made_again(root: Path, listings: list[int], damage: str) -> None:
    whole = looked(root).fingerprint()
    (entry,) = scan_cache.cache_folder().glob("*.index")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(
        {"cut": data[: len(data) // 2], "flip": data, "empty": b"", "text": b"no index at all" * 9}[damage]
    )
    assert looked(root).fingerprint() == whole
    assert len(listings) == 2
    looked(root)
    assert len(listings) == 2


def test_an_entry_of_an_earlier_version_is_made_again(
    root: Path, listings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(index_file, "VERSION", index_file.VERSION - 1)
        whole = looked(root).fingerprint()
    assert [looked(root).fingerprint() for _ in range(2)] == [whole, whole]
    assert len(listings) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the kernel tells of a mapping")
def test_an_index_is_mapped_once_and_its_check_leaves_no_page(tmp_path: Path) -> None:
    names = Names.of([b"%090d" % i for i in range(20_000)])
    write_index(tmp_path / "some.index", names, {"parts": np.zeros(20_000, np.uint8)}, {})
    file = open_index(tmp_path / "some.index")
    mappings = Path("/proc/self/smaps").read_text("utf-8").split(str(tmp_path / "some.index"))[1:]
    assert len(mappings) == 1
    resident = int(mappings[0].partition("Rss:")[2].split()[0])
    assert resident < 200 < names.nbytes >> 10
    assert file.names[12_345] == names[12_345]


def test_a_cache_that_cannot_be_written_costs_time_only(root: Path) -> None:
    scan_cache.cache_folder().write_text("a file in its place")
    assert len(looked(root)) == len(looked(root)) == 20


def test_what_was_not_used_for_long_goes(root: Path) -> None:
    looked(root)
    (entry,) = scan_cache.cache_folder().glob("*.index")
    os.utime(entry, (0, 0))
    looked(root, seed=1)
    assert entry not in set(scan_cache.cache_folder().iterdir())


def test_an_index_travels_by_the_name_of_its_file(root: Path) -> None:
    index = looked(root)
    sent = pickle.dumps(index)
    assert b"3.png" not in sent
    there = pickle.loads(sent)
    assert there.fingerprint() == index.fingerprint()
    scan_cache.cache_folder().rename(root.parent / "elsewhere")
    with pytest.raises(DataError, match="removed"):
        pickle.loads(sent)
    assert there.name(3) == index.name(3)


def test_a_large_index_of_no_kept_scan_is_mapped_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_index, "cache_folder", scan_cache.cache_folder)
    index = folders.scan(root, None, 0.2, 0)
    assert shared_index.shared(index) is index
    monkeypatch.setattr(shared_index, "LARGE", 1)
    shared = shared_index.shared(index)
    sent = pickle.dumps(shared)
    assert b"3.png" not in sent
    assert pickle.loads(sent).fingerprint() == shared.fingerprint() == index.fingerprint()
    assert len(list(scan_cache.cache_folder().iterdir())) == 1
    del shared
    assert not list(scan_cache.cache_folder().iterdir())


def test_a_changed_index_travels_whole(root: Path) -> None:
    from dataclasses import replace

    index = replace(looked(root), parts=np.ones(20, np.uint8))
    assert pickle.loads(pickle.dumps(index)).fingerprint() == index.fingerprint()


def _scan_often(root: Path, cache: Path, results: "multiprocessing.Queue[str]") -> None:
    scan_cache.SMALLEST, scan_cache.RACY = 1, 0
    scan_cache.cache_folder = lambda: cache
    for _ in range(20):
        results.put(scan(root, None, 0.2, 0).fingerprint())
        for entry in cache.glob("*.index"):
            entry.unlink(missing_ok=True)


def test_processes_that_write_one_entry_do_not_disturb_each_other(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_scan_often, args=(root, tmp_path / "cache", results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    got = [results.get(timeout=60) for _ in range(40)]
    for worker in workers:
        worker.join(60)
    assert set(got) == {folders.scan(root, None, 0.2, 0).fingerprint()}
    assert not list((tmp_path / "cache").glob(".*.tmp"))


def test_the_entries_lie_in_the_cache_folder_of_the_user() -> None:
    assert cache_folder().parts[-2:] == ("tui-trainer", "index")


def test_a_folder_without_classes_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        looked(tmp_path)
