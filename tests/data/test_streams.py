from __future__ import annotations

import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.config import Config
from tui_trainer.data.batches import build_batches, scan, spec_of
from tui_trainer.data.index import TRAIN, VAL
from tui_trainer.data.loader import Batch, Loader
from tui_trainer.data.tar_shards import _split as split_name
from tui_trainer.errors import ConfigError

from .streams_made import UNEVEN, built, database, epoch_of, ids_of, lines, rows, shard, source

COUNT = sum(UNEVEN)
KINDS = ("sql", "tar", "jsonl", "jsonl.gz")


def all_of(batches: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize("kind", [*KINDS, "tar.gz"])
def test_each_sample_comes_once_in_training_or_in_validation(kind: str, tmp_path: Path) -> None:
    spec, values = source(kind, tmp_path)
    data = built(spec, **values)
    train, val = epoch_of(data.train), epoch_of(data.val)
    assert sorted(all_of(train) + all_of(val)) == list(range(COUNT))
    assert len(train) == data.train.batches == -(-data.train.samples // 16)
    assert all(len(batch) == 16 for batch in train[:-1])
    assert 0.1 * COUNT < len(all_of(val)) == data.index.size(VAL) < 0.3 * COUNT
    other = epoch_of(data.train, 1)
    assert sorted(all_of(other)) == sorted(all_of(train))
    assert other != train
    assert all_of(train) != sorted(all_of(train))


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_share_out_each_batch_and_have_equally_many(kind: str, tmp_path: Path) -> None:
    spec, values = source(kind, tmp_path)
    alone = built(spec, **values)
    epoch, held_out = epoch_of(alone.train), epoch_of(alone.val)
    for ranks in (2, 3):
        loaders = [built(spec, rank, ranks, index=alone.index, **values) for rank in range(ranks)]
        shares = [epoch_of(one.train) for one in loaders]
        assert {len(share) for share in shares} == {len(epoch)}
        for batch, *parts in zip(epoch, *shares, strict=True):
            assert sorted(all_of(parts)) == sorted(batch)
        assert sorted(all_of(all_of([epoch_of(one.val) for one in loaders]))) == sorted(all_of(held_out))
        sizes = [len(all_of(share)) for share in shares]
        assert max(sizes) - min(sizes) <= 2 * len(UNEVEN) + 16


def test_a_batch_too_small_for_all_ranks_is_refused(tmp_path: Path) -> None:
    spec, values = source("sql", tmp_path)
    config = Config().replace(data=spec, **values, batch_size=5)
    index = scan(config)
    with pytest.raises(ConfigError, match="2 or more rows a step in each process, so 6 or more"):
        build_batches(config, index, spec_of(config.data, index), needs_two=True, context=None, ranks=3)


@pytest.mark.parametrize("kind", KINDS)
def test_workers_and_a_later_start_change_nothing(kind: str, tmp_path: Path) -> None:
    spec, values = source(kind, tmp_path)
    alone = built(spec, **values)
    epoch = epoch_of(alone.train, 2)
    for workers in (1, 2, 4):
        loader = built(spec, index=alone.index, num_workers=workers, **values).train
        assert epoch_of(loader, 2) == epoch
        assert epoch_of(loader, 2, start=7) == epoch[7:]
    if kind == "tar":  # what crosses to a process is the same for all, and starting some takes a second
        processes = built(spec, index=alone.index, num_workers=2, worker_type="process", **values).train
        assert epoch_of(processes, 2) == epoch
    assert (
        epoch_of(built(spec, 1, 2, index=alone.index, **values).train, 2, 9)
        == epoch_of(built(spec, 1, 2, index=alone.index, num_workers=1, **values).train, 2)[9:]
    )


def test_a_later_start_reads_the_windows_it_needs_and_no_more(tmp_path: Path) -> None:
    spec = database(tmp_path / "a.db", rows(4000))
    data = built(spec, features=("x",), target=("y",), shuffle_buffer=24)
    rows_source = data.train._order._stream.source  # type: ignore[union-attr]
    asked: list[int] = []
    read = rows_source.read
    rows_source.read = lambda plan, block, lane=0: asked.append(block) or read(plan, block, lane)  # type: ignore[func-returns-value, method-assign]
    whole = epoch_of(data.train)
    blocks, asked[:] = len(asked), []
    near_the_end = data.train.batches - 3
    assert epoch_of(data.train, 0, near_the_end) == whole[near_the_end:]
    assert len(asked) <= 24 * 2 < blocks / 3


def test_rows_that_are_put_in_meanwhile_harm_no_other(tmp_path: Path) -> None:
    spec = database(tmp_path / "a.db", rows(COUNT))
    values: dict[str, Any] = {"features": ("x",), "target": ("y",)}
    first = built(spec, **values)
    expected = sorted(all_of(epoch_of(first.train)))
    ranks = [built(spec, rank, 2, index=first.index, num_workers=2, **values) for rank in (0, 1)]
    epochs = [one.train.epoch(0) for one in ranks]
    got: list[list[Batch]] = [[], []]
    with closing(sqlite3.connect(tmp_path / "a.db")) as writer:
        for number in range(first.train.batches):
            for rank, epoch in enumerate(epochs):
                got[rank].append(next(epoch))
            key = 10 * ((37 * number) % COUNT) + 5  # between two rows, at any place
            writer.execute("INSERT INTO samples VALUES (?, ?, ?, 0, 0.0)", (key, 10_000 + number, 10_000.0 + number))
            writer.execute("INSERT INTO samples VALUES (?, ?, ?, 0, 0.0)", (10**6 + number, 1, 20_000.0 + number))
            writer.commit()
    assert all(next(epoch, None) is None for epoch in epochs)
    seen = [i for share in got for batch in share for i in ids_of(batch.inputs)]
    assert sorted(i for i in seen if i < 10_000) == expected
    assert len(seen) == len(set(seen))
    assert all(i < 20_000 for i in seen), "what is behind the last key is not of this run"


def test_steps_per_epoch_ends_an_epoch_early_and_never_late(tmp_path: Path) -> None:
    spec, values = source("jsonl", tmp_path)
    whole = epoch_of(built(spec, **values).train)
    few = built(spec, steps_per_epoch=3, **values)
    assert (few.train.batches, few.train.samples, few.val.batches) == (3, 48, built(spec, **values).val.batches)
    assert epoch_of(few.train) == whole[:3]
    assert epoch_of(built(spec, steps_per_epoch=1000, **values).train) == whole
    assert [len(batch) for batch in epoch_of(built(spec, drop_last=True, **values).train)] == [16] * (len(whole) - 1)


def test_the_buffer_and_shuffle_decide_how_far_rows_move(tmp_path: Path) -> None:
    spec, values = source("sql", tmp_path)
    still = all_of(epoch_of(built(spec, shuffle=False, **values).train))
    assert still == sorted(still)
    small, large = (all_of(epoch_of(built(spec, shuffle_buffer=n, **values).train)) for n in (1, 4096))
    assert small != large
    assert sorted(small) == sorted(large)


def test_what_augmentation_draws_depends_on_seed_epoch_and_sample(tmp_path: Path) -> None:
    spec, values = shard(tmp_path / "a.tar", range(60)), {"target": ("y",), "task": "regression", "channels": 1}

    def images(loader: Loader, epoch: int) -> dict[float, torch.Tensor]:
        return {
            target: image
            for batch in loader.epoch(epoch)
            for target, image in zip(batch.targets[:, 0].tolist(), batch.inputs, strict=True)
        }

    values |= {"augment": "light", "image_size": 6}
    one = built(spec, **values)
    other = built(spec, 1, 2, index=one.index, num_workers=2, shuffle_buffer=50, **values)
    first = images(one.train, 0)
    assert all(torch.equal(first[key], image) for key, image in images(other.train, 0).items())
    assert any(not torch.equal(first[key], image) for key, image in images(one.train, 1).items())


def test_a_validation_stream_of_its_own_is_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    spec = database(tmp_path / "a.db", rows(50))
    val = database(tmp_path / "val" / "b.db", rows(30, 1000))
    data = built(spec, val_data=val, features=("x",), target=("y",))
    assert sorted(all_of(epoch_of(data.train))) == list(range(50))
    assert sorted(all_of(epoch_of(data.val))) == list(range(1000, 1030))
    assert (data.index.size(TRAIN), data.index.size(VAL)) == (50, 30)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "tar.gz"])
def test_each_lane_has_one_file_open_and_validation_in_between_shuts_none(kind: str, tmp_path: Path) -> None:
    """Validation may be asked for while another thread reads ahead for training."""
    for i in range(30):
        if kind == "tar.gz":
            shard(tmp_path / f"s-{i:02}.{kind}", range(3 * i, 3 * i + 3))
        else:
            lines(tmp_path / f"s-{i:02}.{kind}", rows(40, 40 * i))
    values = {"channels": 1} if kind == "tar.gz" else {"features": ("x",), "stream": True}
    data = built(f"{tmp_path}/s-*.{kind}", target=("y",), task="regression", shuffle_buffer=24, **values)
    opened = data.train._order._stream.source.files._cursors  # type: ignore[union-attr]
    for batch in data.train.epoch(0):
        lanes = [lane for lane, _ in opened]
        assert len(lanes) == len(set(lanes))
        if batch.number == 1:
            before = list(opened.values())
            assert len(all_of(epoch_of(data.val))) == data.index.size(VAL)
            assert before
            assert list(opened.values()) == before


def test_members_are_split_as_the_library_does() -> None:
    from webdataset.tariterators import base_plus_ext

    draw = random.Random(0)
    for _ in range(3000):
        name = "".join(draw.choice("ab./\nA.") for _ in range(draw.randrange(9)))
        key, suffix = base_plus_ext(name)
        assert split_name(name) == (key, "" if key is None else suffix.lower()), name
    assert split_name("__meta__.json") == (None, "")
