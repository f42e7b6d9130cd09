"""The cache changes no sample, saves all decoding, and believes nothing that is not whole."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tui_trainer.config import Config
from tui_trainer.data import cache, datasets, inline, slots
from tui_trainer.data.batches import Data, build_batches, scan
from tui_trainer.data.datasets import Spec
from tui_trainer.data.index import VAL
from tui_trainer.data.loader import EpochLoader, worker_context
from tui_trainer.data.slots import FileSlots
from tui_trainer.errors import ConfigError, DataError

SIZE = 16


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tui-trainer" / "images"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """JPEGs of which crops are decoded whole, and two that are large."""
    rng = np.random.default_rng(5)
    for number in range(14):
        small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        size = (29 + number, 24) if number < 12 else (120, 90)
        folder = tmp_path / "photos" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number:02}.jpg"), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return tmp_path / "photos"


def built(folder: Path, **values: Any) -> Data:
    config = Config().replace(data=str(folder), **{"batch_size": 4, "val_fraction": 0.25, "augment": "light", **values})
    context = worker_context(config)
    spec = Spec(image_size=SIZE, channels=3, resize="squash")
    return build_batches(config, scan(config), spec, needs_two=False, context=context)


def read(loader: Any, epoch: int = 0) -> list[torch.Tensor]:
    assert isinstance(loader, EpochLoader)
    return [batch.inputs.clone() for batch in loader.epoch(epoch)]


def epochs(data: Data, count: int = 3) -> list[torch.Tensor]:
    return [one for epoch in range(count) for one in (*read(data.train, epoch), *read(data.val))]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each image file that is read."""
    found: list[int] = []
    before = datasets.read_with_stamp
    monkeypatch.setattr(datasets, "read_with_stamp", lambda path: (found.append(1), before(path))[1])
    return found


@pytest.mark.parametrize("augment", ["none", "light"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_no_sample_changes_and_later_epochs_decode_only_what_is_too_large(
    photos: Path, augment: str, where: str, decodings: list[int]
) -> None:
    wanted = epochs(built(photos, augment=augment, cache="off"))
    decodings.clear()
    made = built(photos, augment=augment, cache=where, normalize="none")
    assert made.kept.train is None if augment != "none" else made.kept.train is not None
    assert equal(epochs(made), wanted)
    large = 0 if augment == "none" else 10  # training images: too few fit to keep them
    assert len(decodings) == 14 + 2 * large


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_small_images_are_kept_for_crops(digits60: Path, where: str, workers: int, decodings: list[int]) -> None:
    wanted = epochs(built(digits60, cache="off"))
    decodings.clear()
    made = built(digits60, cache=where, normalize="none", num_workers=workers, persistent_workers=False)
    assert equal(epochs(made), wanted)
    assert len(decodings) == 60


def test_worker_processes_share_what_is_in_memory(digits60: Path) -> None:
    config: dict[str, Any] = {"num_workers": 2, "worker_type": "process", "normalize": "none"}
    made = built(digits60, cache="memory", **config)
    first = epochs(made)
    assert made.kept.train is not None
    assert all(made.kept.train.get(sample, lambda _: None) is not None for sample in made.index.part(0).tolist())
    assert equal(first, epochs(built(digits60, cache="off")))


def test_an_image_of_which_only_one_side_is_written_is_not_there() -> None:
    """As another process may see it that looks in between."""
    made = slots.MemorySlots(np.arange(2), 2, 12, 3, shared=True)
    made.put(1, np.ones((2, 2, 3), np.uint8), slots.FOREVER)
    assert made.get(1, lambda _: None) is not None
    for sides in ((2, 0), (0, 2)):
        made._sides[1] = sides
        assert made.get(1, lambda _: None) is None


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_validation_images_are_read_where_they_are_kept(
    digits60: Path, tmp_path: Path, where: str, workers: int
) -> None:
    values: dict[str, Any] = {"val_data": str(digits60), "num_workers": workers, "normalize": "none", "drop_last": True}
    made = built(digits60, cache=where, **values)
    wanted = read(made.val)
    kept = made.kept.val
    assert isinstance(kept, slots.MemorySlots | FileSlots)
    begin, end = kept._memory.data_ptr(), kept._memory.data_ptr() + kept._memory.numel()
    assert all(begin <= batch.inputs.data_ptr() < end for batch in made.val.epoch(1))
    assert equal(read(made.val), wanted)
    some: Any = made.val._loader  # type: ignore[attr-defined]
    one = (some._read if workers else some._dataset.read)([(0, int(i)) for i in made.index.part(VAL)[:2]], None)
    assert not begin <= one.inputs.data_ptr() < end  # a worker process would send all of it


@pytest.mark.parametrize("limit", [None, 1e-5], ids=["all", "a part"])
@pytest.mark.parametrize("sampler", ["default", "weighted"])
def test_batches_that_are_gathered_together_are_those_of_one_after_another(
    digits60: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, limit: float | None
) -> None:
    """With a last batch that is short, or left out, and from the midst of an epoch on."""
    values: dict[str, Any] = {"augment": "none", "normalize": "none", "batch_size": 7, "sampler": sampler}
    values |= {"shuffle": sampler == "default"}
    cpu = torch.device("cpu")
    monkeypatch.setattr(inline, "TOGETHER", 3 * 7 * SIZE * SIZE * 3)
    for drop_last in (False, True):
        values["drop_last"] = drop_last
        plain = built(digits60, cache="off", **values)
        kept = built(digits60, cache="memory", cache_limit=limit, **values)
        assert equal(epochs(kept), epochs(plain))
        ready, wanted = kept.prepare(cpu, channels_last=True), plain.prepare(cpu, channels_last=True)
        for here, there in zip(kept.train.epoch(2, 2), plain.train.epoch(2, 2), strict=True):
            assert here.number == there.number
            assert torch.equal(here.inputs, there.inputs)
            assert torch.equal(here.targets, there.targets)
            assert torch.equal(ready(here)[0], wanted(there)[0])
        assert any(batch.block for batch in kept.train.epoch(3)) is (limit is None)  # type: ignore[attr-defined]
        assert not list(kept.train.epoch(2, kept.train.batches))


@pytest.mark.parametrize("size", [15, 16])
def test_each_batch_begins_where_one_in_memory_of_its_own_would(
    digits60: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Else a product with it has other last bits: kept or not, resumed or not."""
    monkeypatch.setitem(globals(), "SIZE", size)
    made = built(digits60, augment="none", normalize="none", batch_size=10, cache="memory")
    read(made.train)
    ready = made.prepare(torch.device("cpu"))
    found = [(ready(batch)[0], batch) for batch in made.train.epoch(1)]
    assert all(inputs.data_ptr() % 16 == 0 for inputs, _ in found)
    assert any(batch.block for _, batch in found) is (size == 16)  # type: ignore[attr-defined]


def test_shrinking_is_the_same_whether_there_or_not(photos: Path, decodings: list[int]) -> None:
    shrunk: dict[str, Any] = {"cache_shrink": True, "normalize": "none"}
    wanted = epochs(built(photos, cache="memory", **shrunk))
    decodings.clear()
    assert equal(epochs(built(photos, cache="disk", **shrunk)), wanted)
    assert len(decodings) == 14
    assert equal(epochs(built(photos, cache="disk", **shrunk)), wanted)  # of another run
    assert len(decodings) == 14
    assert equal(epochs(built(photos, cache="memory", cache_limit=1e-6, **shrunk)), wanted)  # nothing fits
    whole = epochs(built(photos, cache="off"))
    assert not equal(whole, wanted)
    differences = [(a.float() - b.float()).abs().mean().item() for a, b in zip(whole, wanted, strict=True)]
    assert max(differences) < 30  # boxes are rounded to the pixels of images of 20


# A file ---------------------------------------------------------------------------------------------------------------


def on_disk(digits: Path) -> Data:
    return built(digits, cache="disk", normalize="none")


def test_a_changed_image_is_decoded_anew(digits60: Path, tmp_path: Path, decodings: list[int]) -> None:
    mine = tmp_path / "digits"
    shutil.copytree(digits60, mine)
    before = epochs(on_disk(mine), 1)
    shutil.copy(mine / "1" / sorted(os.listdir(mine / "1"))[0], mine / "0" / sorted(os.listdir(mine / "0"))[0])
    decodings.clear()
    after = epochs(on_disk(mine), 1)
    assert len(decodings) == 1
    assert not equal(before, after)
    assert equal(after, epochs(built(mine, cache="off"), 1))


@pytest.mark.parametrize("damage", ["pixels", "record", "pixels never written"])
def test_what_is_not_whole_is_decoded_anew(digits60: Path, user_cache: Path, damage: str, decodings: list[int]) -> None:
    wanted = epochs(on_disk(digits60), 1)
    for path in user_cache.glob("*.images"):
        whole = bytearray(path.read_bytes())
        samples, start = 60, -(-(slots.PAGE + 60 * slots.FIELDS * 8) // slots.PAGE) * slots.PAGE
        size = (len(whole) - start) // samples
        if damage == "pixels":
            whole[start::size] = bytes(255 - byte for byte in whole[start::size])
        elif damage == "record":
            whole[slots.PAGE : slots.PAGE + samples * slots.FIELDS * 8 : 8] = b"\7" * samples * slots.FIELDS
        else:
            whole[start:] = bytes(len(whole) - start)
        path.write_bytes(whole)
    decodings.clear()
    assert equal(epochs(on_disk(digits60), 1), wanted)
    assert len(decodings) == 60


def test_two_runs_write_one_file(digits60: Path, decodings: list[int], user_cache: Path) -> None:
    one, other = on_disk(digits60), on_disk(digits60)
    assert equal(epochs(one, 1), epochs(other, 1))
    assert len(decodings) == 60
    assert len(list(user_cache.iterdir())) == 2


@pytest.mark.parametrize("other", ["version", "library", "preprocessing"])
def test_a_file_of_another_version_or_preprocessing_is_not_read(
    digits60: Path, user_cache: Path, decodings: list[int], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs(on_disk(digits60), 1)
    decodings.clear()
    if other == "version":
        monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    elif other == "library":
        monkeypatch.setattr(cv2, "__version__", "0.0.0")
    made = built(
        digits60, cache="disk", normalize="none", **({"cache_shrink": True} if other == "preprocessing" else {})
    )
    epochs(made, 1)
    train = made.index.part(0)
    assert len(decodings) == (len(train) if other == "preprocessing" else 60)  # evaluation is the same for both
    assert len(list(user_cache.iterdir())) == (3 if other == "preprocessing" else 4)


def test_a_full_disk_is_told_once_and_costs_time_only(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    wanted = epochs(built(digits60, cache="off"), 1)
    made = on_disk(digits60)
    monkeypatch.setattr(os, "pwritev", full)
    told = [text for part in (made.train, made.val) for batch in part.epoch(0) for text in batch.warnings]
    assert told == ["The disk of the cache is full: no more images are kept; the others are decoded each epoch."]
    assert equal(epochs(made, 1), wanted)


def test_a_disk_that_cannot_be_written_is_told_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    made = FileSlots(tmp_path / "a.images", 3, 12, 3, 3)
    monkeypatch.setattr(os, "pwritev", broken)
    made.put(1, np.ones((2, 2, 3), np.uint8), slots.FOREVER)
    assert made.told == "The cache of decoded images is not continued: Input/output error."


@pytest.mark.parametrize("fits", [0, 1])
def test_a_disk_without_room_for_the_records_is_told_and_nothing_kept(
    digits60: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    wanted = epochs(built(digits60, cache="off"), 1)
    calls = iter(range(99))

    def full(*_: object) -> int:
        ctypes.set_errno(errno.EINTR if (number := next(calls)) == 0 else errno.ENOSPC)
        return 0 if number and number <= fits else -1

    monkeypatch.setattr(slots, "_fallocate", full)
    made = built(digits60, cache="disk", normalize="none", seed=0)
    which = "validation images" if fits else "images"
    assert made.kept.told == (f"The disk of the cache is full: no {which} are kept; they are decoded each epoch.",)
    assert (made.kept.train is None, made.kept.val is None) == (not fits, True)
    assert equal(epochs(made, 1), wanted)


def test_a_full_tmpfs_ends_no_process(tmp_path: Path) -> None:
    """There even reading takes a block, where nothing was ever written."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        child = _forked(lambda: _all_read_and_put(folder / "a.images"))
        assert os.waitpid(child, 0)[1] == 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _forked(work: Callable[[], bool]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not need
        child = os.fork()
    if not child:
        good = False
        try:
            good = work()
        finally:
            os._exit(0 if good else 1)
    return child


def _all_read_and_put(path: Path) -> bool:
    """Of more images than there is room for."""
    made, image = FileSlots(path, 2000, 768, 3, 2000), np.ones((16, 16, 3), np.uint8)
    for sample in range(2000):
        made.put(sample, image, slots.FOREVER)
    found = [made.get(sample, lambda _: None) is not None for sample in range(2000)]
    return 0 < sum(found) < 2000 and "is full" in made.told


def test_large_images_lie_on_pages_of_their_own(tmp_path: Path) -> None:
    """A page that two share, or pieces that begin off their size, took up to a third longer to write."""
    for number in range(8):
        folder = tmp_path / "large" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), np.full((190, 121, 3), number, np.uint8))
    made = built(tmp_path / "large", cache="disk")
    kept: Any = made.kept.train
    assert kept._size >= slots.LARGE
    assert kept._size % slots.PAGE == kept._start % slots.FOLIO == 0


def test_a_page_is_written_whole_within_its_slot(tmp_path: Path) -> None:
    image = np.full((60, 67, 3), 255, np.uint8)  # 228 bytes less than three pages
    for size in (3 * slots.PAGE, image.size):
        made = FileSlots(tmp_path / f"{size}.images", 2, size, 3, 2)
        made._bytes[:] = 7
        made.put(0, image, slots.FOREVER)
        assert not made._bytes[0, image.size :].any()
        assert (made._bytes[1] == 7).all()
        found = made.get(0, lambda _: None)
        assert found is not None
        assert np.array_equal(found, image)


def test_a_short_write_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = FileSlots(tmp_path / "a.images", 3, 12, 3, 3)
    monkeypatch.setattr(os, "pwritev", lambda *_: 5)
    made.put(1, np.ones((2, 2, 3), np.uint8), slots.FOREVER)
    assert made.told
    assert made.get(1, lambda _: None) is None


@pytest.mark.parametrize("write", [1, 2])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_process_that_is_killed_while_it_writes_leaves_no_image_that_is_believed(
    tmp_path: Path, write: int, part: float
) -> None:
    """In the midst of the pixels, which come first, or of the record."""
    path, size = tmp_path / "a.images", 3 * slots.PAGE
    image = np.random.default_rng(3).integers(1, 256, (64, 64, 3), dtype=np.uint8)
    FileSlots(path, 40, size, 3, 40).put(2, image, slots.FOREVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not need
        child = os.fork()
    if not child:
        pwritev, writes = os.pwritev, iter(range(1, 3))

        def killed(file: int, parts: Any, at: int) -> int:
            if next(writes) < write:
                return pwritev(file, parts, at)
            written = b"".join(parts)
            pwritev(file, [written[: int(part * len(written))]], at)
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

        slots.os.pwritev = killed  # type: ignore[attr-defined]
        FileSlots(path, 40, size, 3, 40).put(1, image, slots.FOREVER)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    after = FileSlots(path, 40, size, 3, 40)
    found = after.get(1, lambda _: None)
    assert (found is not None) == (write == 2 and part == 1.0)
    assert found is None or np.array_equal(found, image)
    there = after.get(2, lambda _: None)
    assert there is not None
    assert np.array_equal(there, image)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_the_epoch_that_fills_gives_what_later_ones_give(
    digits60: Path, photos: Path, where: str, shrink: bool, decodings: list[int]
) -> None:
    made = built(photos if shrink else digits60, cache=where, cache_shrink=shrink, normalize="none")
    first = read(made.train, 0)
    decodings.clear()
    assert equal(read(made.train, 0), first)
    assert not decodings


def test_a_file_system_that_reserves_nothing_is_as_good(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = epochs(built(digits60, cache="off"), 1)
    for call in (None, lambda *_: -1):
        monkeypatch.setattr(slots, "_fallocate", call)
        assert equal(epochs(built(digits60, cache="disk", normalize="none", seed=0), 1), wanted)


def test_the_least_recently_used_make_room_but_none_in_use(digits60: Path, colour24: Path, user_cache: Path) -> None:
    used = on_disk(digits60)
    epochs(used, 1)
    first = set(user_cache.glob("*.images"))
    old = built(colour24, cache="disk", normalize="none", augment="none")
    epochs(old, 1)
    second = set(user_cache.glob("*.images")) - first
    assert (len(first), len(second)) == (2, 2)
    del old
    built(digits60, cache="disk", cache_limit=5e-5, normalize="none", augment="none", seed=0, batch_size=5)
    left = set(user_cache.glob("*.images"))
    assert first <= left
    assert not second & left


def test_a_file_that_another_process_removes_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_files", lambda folder: [folder / "gone.images"])
    assert cache._made_room(tmp_path, 1, 2, []) == 0


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_rank_without_a_sample_of_the_last_batch_reads_an_empty_one(digits60: Path, where: str) -> None:
    config = Config().replace(data=str(digits60), val_fraction=0.25, cache=where)
    index = scan(config)
    config = config.replace(batch_size=index.size(VAL) - 1)
    spec = Spec(image_size=SIZE, channels=3, resize="squash")
    data = build_batches(config, index, spec, needs_two=False, context=None, rank=1, ranks=2)
    for _ in range(2):
        assert len(read(data.val)[-1]) == 0


def test_a_limit_keeps_a_part(digits60: Path, decodings: list[int]) -> None:
    wanted = epochs(built(digits60, cache="off"))
    decodings.clear()
    made = built(digits60, cache="memory", cache_limit=60 * 64 * 3 / 2e9, normalize="none")
    assert "holds" in made.kept.told[0]
    assert equal(epochs(made), wanted)
    assert 60 < len(decodings) < 3 * 60


@pytest.mark.parametrize("asked", ["memory", None])
def test_processes_keep_no_more_than_they_can_share(
    digits60: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    """What is allocated beyond it ends in a traceback, or the process."""
    others, whole = (2 << 20) + 5 * 4 * 18**2 * 4 // 3 * 3, 60 * 64 * 3
    small = SimpleNamespace(f_bavail=(others + whole // 2) * 10 // 9, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda folder: small)
    values: dict[str, Any] = {"num_workers": 2, "cache_limit": 1000.0, "cache": asked, "normalize": "none"}
    kept = built(digits60, **values, worker_type="process").kept
    if asked is None:
        assert kept.where == "off"
        assert "more than the" in kept.reason
        return
    assert isinstance(kept.train, slots.MemorySlots)
    assert kept.told[0].endswith(
        "the others are decoded each epoch (/dev/shm has no room for more; --worker-type thread needs none)."
    )
    assert 0 < kept.train._memory.numel() <= whole // 2
    assert built(digits60, **values, worker_type="thread").kept.told == ()


def test_a_folder_that_cannot_be_made_is_one_sentence(digits60: Path, user_cache: Path) -> None:
    user_cache.parent.mkdir(parents=True)
    user_cache.write_text("a file")
    with pytest.raises(DataError, match=r"Cannot keep images in .*; use --cache memory, or off"):
        on_disk(digits60)


# auto -----------------------------------------------------------------------------------------------------------------


def test_auto_keeps_in_memory_what_changes_nothing(digits60: Path, photos: Path) -> None:
    assert built(digits60).kept.where == "memory"
    assert built(digits60, epochs=1).kept == cache.Kept(where="off", reason="one epoch reads each image once")
    large = built(photos).kept
    assert (large.where, large.train) == ("memory", None)
    assert "validation images" in large.reason
    assert built(photos, cache_shrink=True).kept.train is not None


def test_auto_stays_within_a_share_of_the_memory(
    digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "available_memory", lambda: 10_000)
    assert built(digits60).kept.where == "off"
    assert built(digits60).kept.reason.endswith("--cache disk keeps them")
    for number in range(8):
        folder = tmp_path / "larger" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), np.full((24, 30, 3), number, np.uint8))
    assert built(tmp_path / "larger").kept.reason.endswith("keeps them and --cache-shrink makes them smaller")
    assert built(tmp_path / "larger", augment="none").kept.reason.endswith("--cache disk keeps them")
    assert built(digits60, cache_shrink=True).kept.where == "disk"


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cache_shrink is of a cache, and cache = off"):
        Config().replace(cache="off", cache_shrink=True)
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n3,4\n" * 9)
    with pytest.raises(ConfigError, match="cache = memory: only images"):
        built(tmp_path / "t.csv", cache="memory", augment="none")


def test_memory_of_this_machine_is_known() -> None:
    assert 10_000_000 < cache.available_memory() < 1 << 50
