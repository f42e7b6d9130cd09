import multiprocessing
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.config import Config
from tui_trainer.data.batches import Data, build_batches, scan
from tui_trainer.data.channels import look_at_channels
from tui_trainer.data.datasets import Spec
from tui_trainer.data.index import TRAIN, VAL
from tui_trainer.data.loader import EpochLoader, loader_options, worker_context
from tui_trainer.errors import ConfigError, DataError

from ..conftest import copy_digits


def built(folder: Path, *, channels: int = 3, needs_two: bool = False, **values: Any) -> Data:
    config = Config().replace(data=str(folder), **{"batch_size": 5, "val_fraction": 0.25, **values})
    context = worker_context(config)
    spec = Spec(image_size=16, channels=channels, resize=config.data.resize)
    return build_batches(config, scan(config), spec, needs_two=needs_two, context=context)


def read(loader: EpochLoader, epoch: int = 0, start: int = 0) -> list[tuple[int, list[int], torch.Tensor]]:
    return [(batch.number, batch.targets.tolist(), batch.inputs) for batch in loader.epoch(epoch, start)]


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a[:2] == b[:2] and torch.equal(a[2], b[2]) for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_has_every_sample_of_its_part_once(colour24: Path) -> None:
    data = built(colour24)
    train, val = read(data.train), read(data.val)
    assert [len(targets) for _, targets, _ in train] == [5, 5, 5, 3]
    assert [number for number, *_ in train] == [1, 2, 3, 4]
    assert sorted([target for _, targets, _ in train for target in targets]) == [0] * 9 + [1] * 9
    assert [targets for _, targets, _ in val] == [[0, 0, 0, 1, 1], [1]]
    assert (data.train.samples, data.train.batches, data.val.samples, data.val.batches) == (18, 4, 6, 2)
    assert train[0][2].shape == (5, 16, 16, 3)
    assert train[0][2].dtype == torch.uint8


def test_epochs_differ_and_come_again(colour24: Path) -> None:
    data = built(colour24, augment="light")
    zero, one = read(data.train, 0), read(data.train, 1)
    assert not same(zero, one)
    assert same(read(data.train, 0), zero)
    assert same(read(data.val, 0), read(data.val, 0))
    assert not same(read(built(colour24, augment="light", seed=1).train, 0), zero)


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_can_be_entered_at_any_batch(colour24: Path, start: int) -> None:
    data = built(colour24, augment="light")
    assert same(read(data.train, 3, start), read(data.train, 3)[start:])


@pytest.fixture(scope="module")
def without_workers(colour24: Path) -> dict[int, list[Any]]:
    data = built(colour24)
    return {epoch: read(data.train, epoch) for epoch in (0, 1)}


def test_worker_processes_give_the_same_batches(colour24: Path, without_workers: dict[int, list[Any]]) -> None:
    data = built(colour24, num_workers=2, worker_type="process")
    before = torch.get_rng_state()
    for epoch in (0, 1):
        assert same(read(data.train, epoch), without_workers[epoch])
    assert same(read(data.train, 1, start=2), without_workers[1][2:])
    assert len(multiprocessing.active_children()) >= 2  # they were real, and are kept from epoch to epoch
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("augment", ["none", "trivial"])
def test_threads_give_the_same_batches(colour24: Path, augment: str, workers: int) -> None:
    data, alone = built(colour24, num_workers=workers, augment=augment), built(colour24, augment=augment)
    before = torch.get_rng_state()
    for epoch in (0, 1):
        assert same(read(data.train, epoch), read(alone.train, epoch))
    assert same(read(data.train, 1, start=2), read(alone.train, 1)[2:])
    assert any(thread.name.startswith("loader-") for thread in threading.enumerate())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_given_order_is_kept_and_the_last_batch_left_out_where_asked(colour24: Path) -> None:
    data = built(colour24, shuffle=False, drop_last=True)
    assert [targets for _, targets, _ in read(data.train)] == [[0] * 5, [0] * 4 + [1], [1] * 5]
    assert (data.train.batches, len(read(data.train))) == (3, 3)
    assert data.val.batches == 2  # every validation image counts


def test_a_single_image_left_over_is_left_out_for_a_model_that_needs_two(colour24: Path) -> None:
    data = built(colour24, batch_size=17, needs_two=True)
    assert [len(targets) for _, targets, _ in read(data.train)] == [17]
    assert (data.train.samples, data.train.batches) == (17, 1)
    assert built(colour24, batch_size=17).train.batches == 2
    with pytest.raises(ConfigError, match="batch_size = 1: this model has batch normalisation"):
        built(colour24, batch_size=1, needs_two=True)


def test_drop_last_must_leave_a_batch(colour24: Path) -> None:
    with pytest.raises(DataError, match="18 images, fewer than batch_size 19"):
        built(colour24, batch_size=19, drop_last=True)


# Mean and standard deviation ------------------------------------------------------------------------------------------


def test_statistics_are_measured_on_the_training_part(colour24: Path) -> None:
    data = built(colour24)
    pixels = torch.cat([images.flatten(0, 2) for *_, images in read(data.train)]).double() / 255
    assert data.mean == pytest.approx(pixels.mean(0).tolist(), abs=1e-5)
    assert data.std == pytest.approx(pixels.std(0, correction=0).tolist(), abs=1e-5)
    assert (data.normalize, data.statistics_from) == ("measured", "measured on 18 training images")


def test_statistics_that_are_given_are_taken(colour24: Path) -> None:
    data = built(colour24, normalize="imagenet")
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    data = built(colour24, normalize="none")
    assert (data.mean, data.std) == ((0.0,) * 3, (1.0,) * 3)
    data = built(colour24, channels=1, mean=(0.1,), std=(0.2,))
    assert (data.mean, data.std, data.statistics_from) == ((0.1,), (0.2,), "given")


def test_statistics_must_fit_the_channels(colour24: Path) -> None:
    with pytest.raises(ConfigError, match="mean has 1 numbers, but the images have 3 channels"):
        built(colour24, mean=(0.1,), std=(0.2,))
    with pytest.raises(ConfigError, match="statistics are of colour images"):
        built(colour24, channels=1, normalize="imagenet")


def test_channels_are_those_of_the_files(colour24: Path, digits60: Path) -> None:
    assert look_at_channels(scan(Config().replace(data=str(colour24)))) == 3
    assert look_at_channels(scan(Config().replace(data=str(digits60)))) == 1


# Files that cannot be read --------------------------------------------------------------------------------------------


@pytest.fixture
def with_bad(tmp_path: Path) -> Path:
    """Sixty digits in three classes, of which some are damaged: one truncated, one page, two pipes."""
    folder = copy_digits(tmp_path / "bad", classes=3, each=20)
    files = sorted(folder.rglob("*.png"))
    files[3].write_bytes(files[3].read_bytes()[:40])
    files[25].write_bytes(b"<!DOCTYPE html>")
    for file in (files[41], files[42]):
        file.unlink()
        os.mkfifo(file)
    return folder


def test_bad_files_are_told_once_and_left_out(with_bad: Path) -> None:
    data = built(with_bad, channels=1, max_bad=0.5, batch_size=4)
    told: list[str] = []
    counts = []
    for _ in range(2):
        got = [*data.train.epoch(0), *data.val.epoch(0)]
        counts.append(sum(len(batch.targets) for batch in got))
        told += [text for batch in got for text in batch.warnings]
    assert counts == [56, 56]
    assert sorted(text.partition(": ")[2] for text in told) == [
        "an HTML page, which is not read.", "damaged or truncated.", "not a regular file.", "not a regular file.",
    ]  # fmt: skip
    assert len({text.partition(" ")[0] for text in told}) == 4


def test_too_many_bad_files_end_the_run(with_bad: Path) -> None:
    data = built(with_bad, channels=1)  # 5 % of 60 are 3
    with pytest.raises(DataError, match=r"4 of 60 images cannot be read, the last .*: more than --max-bad 0.05 allows"):
        [*data.train.epoch(0), *data.val.epoch(0)]


def test_one_bad_file_of_few_does_not_end_the_run(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "few", classes=2, each=3)
    next(folder.rglob("*.png")).write_bytes(b"")
    data = built(folder, channels=1, batch_size=1)
    batches_read = [*data.train.epoch(0), *data.val.epoch(0)]
    assert sum(len(batch.targets) for batch in batches_read) == 5


def test_a_batch_that_is_bad_altogether_is_empty_and_tells_of_its_files(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "holes", classes=2, each=8)
    data = built(folder, channels=1, batch_size=2, shuffle=False, max_bad=1.0, cache="off")
    for index in data.index.part(TRAIN)[2:4]:
        Path(os.fsdecode(data.index.path(int(index)))).write_bytes(b"")
    got = list(data.train.epoch(0))
    assert [batch.number for batch in got] == [1, 2, 3, 4, 5, 6]
    assert [len(batch.targets) for batch in got] == [2, 0, 2, 2, 2, 2]
    assert [len(batch.warnings) for batch in got] == [0, 2, 0, 0, 0, 0]


def test_files_of_the_last_batch_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "holes", classes=2, each=8)
    data = built(folder, channels=1, batch_size=2, shuffle=False, max_bad=1.0, cache="off")
    for index in data.index.part(TRAIN)[-2:]:
        Path(os.fsdecode(data.index.path(int(index)))).write_bytes(b"")
    assert [len(batch.warnings) for batch in data.train.epoch(0)][-1] == 2


def test_a_dataset_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "none", classes=2, each=4)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"<html>")
    index = scan(Config().replace(data=str(folder)))
    with pytest.raises(DataError, match="None of the images looked at"):
        look_at_channels(index)
    with pytest.raises(DataError, match="None of the images in"):
        built(folder, channels=1)


def test_a_link_to_the_dataset_reaches_validation_images_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.move(copy_digits(tmp_path / "real", classes=2, each=4), tmp_path / "deep" / "er" / "train")
    copy_digits(tmp_path / "val", classes=2, each=2)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er" / "train")
    data = built(tmp_path / "link", channels=1, val_data=str(tmp_path / "val"))
    assert len(data.index.part(VAL)) == 4
    assert all(Path(os.fsdecode(data.index.path(int(i)))).exists() for i in data.index.part(VAL))
    assert sum(len(targets) for _, targets, _ in read(data.val)) == 4


def test_the_options_of_the_loader_reach_torch() -> None:
    config = Config().replace(num_workers=2, timeout=9.0, prefetch_factor=3, drop_last=True, persistent_workers=False)
    options = loader_options(config.loader, None)
    wanted = {"batch_size": 32, "num_workers": 2, "timeout": 9.0, "prefetch_factor": 3, "drop_last": True}
    assert {name: options[name] for name in wanted} == wanted
    assert options["persistent_workers"] is False
    assert loader_options(Config().loader, None)["persistent_workers"] is False  # torch refuses it without workers
