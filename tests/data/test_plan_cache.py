"""A stream is passed over once: a later start, a test of a run and a resumed run know what that pass has found."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import Config
from tui_trainer.data import plan_cache, scan_cache, streams
from tui_trainer.data.batches import scan
from tui_trainer.data.index import Index, Stream, write_split
from tui_trainer.data.json_lines import JsonLines
from tui_trainer.data.sql import Database
from tui_trainer.data.stream_loader import PlannedLoader
from tui_trainer.data.tar_shards import TarShards

from .streams_made import built, epoch_of, lines, picture, rows, source

KINDS = ("sql", "tar", "jsonl", "jsonl.gz")


@pytest.fixture(autouse=True)
def _all_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short passes are kept too, and the clock runs ahead, so that the files are old."""
    monkeypatch.setattr(plan_cache, "WORTH_KEEPING", 0.0)
    now = time.time_ns
    monkeypatch.setattr(plan_cache.time, "time_ns", lambda: now() + 10 * scan_cache.RACY)


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the rows that are passed over, of what is more than a look at the first."""
    counted: list[int] = []

    def counting(real: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def walk(self: Any, columns: tuple[str, ...] = ()) -> Iterator[Any]:
            for row in real(self, columns):
                counted.extend([1] * bool(columns))
                yield row

        return walk

    for kind in (JsonLines, TarShards, Database):
        monkeypatch.setattr(kind, "walk", counting(kind.walk))
    return counted


def stream_of(index: Index) -> Stream:
    assert isinstance(index.inputs, Stream)
    return index.inputs


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_start_passes_over_nothing_and_gives_the_same(kind: str, tmp_path: Path, walked: list[int]) -> None:
    spec, values = source(kind, tmp_path)
    first = built(spec, **values)
    assert len(walked) == 401
    second = built(spec, **values)
    assert len(walked) == 401
    assert second.index.fingerprint() == first.index.fingerprint()
    assert vars(stream_of(second.index)).keys() == vars(stream_of(first.index)).keys()
    for name in ("counts", "target_moments", "names", "encoding", "facts", "row_bytes", "counted"):
        assert getattr(stream_of(second.index), name) == getattr(stream_of(first.index), name), name
    assert epoch_of(second.train, 1) == epoch_of(first.train, 1)
    built(spec, **values, seed=1)
    assert len(walked) == 802


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_changed_is_passed_over_again(kind: str, tmp_path: Path, walked: list[int]) -> None:
    spec, values = source(kind, tmp_path)
    scanned = scan(Config().replace(data=spec, **values))
    if kind == "sql":
        with closing(sqlite3.connect(tmp_path / "a.db")) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("INSERT INTO samples VALUES (99999, 401, 401.0, 1, 1203.0)")
            db.commit()
            again = scan(Config().replace(data=spec, **values))
    else:
        last = max(tmp_path.glob(f"s-*.{kind}"))
        with last.open("ab") as file:
            file.write(last.read_bytes() if kind == "jsonl" else b"\0" * 1024)
        again = scan(Config().replace(data=spec, **values))
    assert len(walked) > 2 * 401 - 2
    if kind in ("sql", "jsonl"):
        assert sum(again.size(part) for part in (0, 1)) > sum(scanned.size(part) for part in (0, 1))


def test_a_damaged_entry_and_two_processes_do_no_harm(tmp_path: Path, walked: list[int]) -> None:
    spec, values = source("jsonl", tmp_path)
    config = Config().replace(data=spec, **values)
    whole = scan(config).fingerprint()
    (entry,) = scan_cache.cache_folder().glob("*.plan")
    good = entry.read_bytes()
    for at in (*range(0, len(good), max(1, len(good) // 10)), len(good) - 1):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :])
        before = len(walked)
        assert scan(config).fingerprint() == whole
        assert len(walked) == before + 401
        entry.write_bytes(good[:at])
        assert scan(config).fingerprint() == whole
    entry.unlink()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(scan(config).fingerprint())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [whole] * 4
    assert scan(config).fingerprint() == whole


def test_an_entry_that_cannot_be_touched_is_not_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walked: list[int]
) -> None:
    spec, values = source("jsonl", tmp_path)
    first = scan(Config().replace(data=spec, **values))

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(plan_cache.os, "utime", refused)
    again = scan(Config().replace(data=spec, **values))
    assert len(walked) == 401
    assert stream_of(again).counts == stream_of(first).counts


def test_a_query_that_asks_for_the_day_is_passed_over_again(tmp_path: Path, walked: list[int]) -> None:
    spec, values = source("sql", tmp_path)
    values["query"] = "SELECT * FROM samples WHERE date('now') > '2000-01-01'"
    values["order_key"] = "key"
    for _ in range(2):
        scan(Config().replace(data=spec, **values))
    assert len(walked) == 802


def test_entries_of_long_ago_go_when_one_is_kept(tmp_path: Path, walked: list[int]) -> None:
    old = scan_cache.cache_folder() / "old.plan"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    spec, values = source("jsonl", tmp_path)
    scan(Config().replace(data=spec, **values))
    assert not old.exists()


def test_files_that_changed_just_now_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walked: list[int]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plan_cache, "WORTH_KEEPING", 0.0)
    spec, values = source("jsonl", tmp_path)
    scan(Config().replace(data=spec, **values))
    assert not list(scan_cache.cache_folder().glob("*.plan"))


def test_a_resumed_run_reads_no_block_to_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    values: dict[str, Any] = {"features": ("x",), "target": ("z",), "stream": True}
    config = Config().replace(data=lines(path, rows(300)), **values)
    index = scan(config)
    folder = tmp_path / "run"
    folder.mkdir()
    write_split(index, folder / "split.csv")
    with path.open("ab") as file:
        file.write(b'{"id": 301, "x": 301.0, "z": 3, "y": 1.0}\n' * 50)
    real = streams._within
    monkeypatch.setattr(streams, "_within", lambda *_: pytest.fail("it was counted again"))
    again = scan(config, folder)
    assert (again.fingerprint(), stream_of(again).counts) == (index.fingerprint(), stream_of(index).counts)
    (folder / "targets.json").write_text("{}")  # as of a run before it was kept
    monkeypatch.setattr(streams, "_within", real)
    assert stream_of(scan(config, folder)).counts == stream_of(index).counts


def test_rows_of_a_database_wait_in_bounded_memory(tmp_path: Path) -> None:
    """Pictures of 300 KB: 4,096 of them in 24 lanes would be over a gigabyte."""
    spec = f"sqlite:///{tmp_path / 'a.db'}"
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE samples (key INTEGER PRIMARY KEY, image BLOB, y)")
        data = picture(7) + bytes(300_000)
        db.executemany("INSERT INTO samples VALUES (?, ?, ?)", [(i, data, i % 2) for i in range(60)])
        db.commit()
    made = built(spec, channels=1)
    plan = stream_of(made.index).plans[0]
    assert int(plan.rows.sum(1).max()) * 300_000 <= 1 << 20
    assert isinstance(made.train, PlannedLoader)
    assert made.train._order._window * 24 * 300_000 <= 128 << 20
    assert sum(len(batch.targets) for batch in made.train.epoch(0)) == made.index.size(0)


def test_keys_that_a_collation_takes_for_equal_are_all_read_once(tmp_path: Path) -> None:
    names = [f"{name}{i}" for i in range(200) for name in ("a", "A", "á")]
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE samples (name TEXT COLLATE NOCASE, x REAL, y REAL)")
        db.executemany("INSERT INTO samples VALUES (?, ?, ?)", [(one, i, 0.5 * i) for i, one in enumerate(names)])
        db.commit()
    values: dict[str, Any] = {"order_key": "name", "features": ("x",), "target": ("y",)}
    made = built(f"sqlite:///{tmp_path / 'a.db'}", **values)
    for epoch in (0, 1):
        seen = [one for loader in (made.train, made.val) for batch in epoch_of(loader, epoch) for one in batch]
        assert sorted(seen) == list(range(len(names)))
