from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.commands import Stop
from tui_trainer.config import Config
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.events import RunEnded
from tui_trainer.run import prepare

from ..conftest import Script
from .streams_made import built, ids_of, lines, rows

VALUES: dict[str, Any] = {"features": ("x",), "target": ("y",), "follow": True, "steps_per_epoch": 5, "batch_size": 8}


def test_lines_are_taken_as_they_come_each_once(tmp_path: Path) -> None:
    spec, val = lines(tmp_path / "log.jsonl", rows(20)), lines(tmp_path / "val.jsonl", rows(10, 500))
    data = built(spec, val_data=val, **VALUES)
    assert (data.train.batches, data.train.samples, data.val.samples) == (5, 40, 10)
    text = b"".join(json.dumps(one).encode() + b"\n" for one in rows(60, 20))

    def write() -> None:
        with (tmp_path / "log.jsonl").open("ab", buffering=0) as file:
            for at in range(0, len(text), 333):  # torn anywhere
                file.write(text[at : at + 333])
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    seen: list[int] = []
    waited = 0
    for epoch in (0, 1):
        for batch in data.train.epoch(epoch):
            if not len(batch.targets):
                waited += 1
                if not writer.ident:
                    writer.start()
            seen += ids_of(batch.inputs) if len(batch.targets) else []
    writer.join()
    assert seen == list(range(80))
    assert waited >= 1
    again = built(spec, val_data=val, **VALUES)
    assert [ids_of(batch.inputs) for batch in again.train.epoch(1, 3)] == [list(range(64, 72)), list(range(72, 80))]
    (tmp_path / "log.jsonl").write_bytes(text[:100])
    with pytest.raises(DataError, match=r"log\.jsonl is shorter than it was: followed files only grow"):
        list(again.train.epoch(2))


def test_a_file_that_is_replaced_or_removed_is_not_waited_for(tmp_path: Path) -> None:
    spec, val = lines(tmp_path / "log.jsonl", rows(45)), lines(tmp_path / "val.jsonl", rows(10, 500))
    epochs = [built(spec, val_data=val, **VALUES).train for _ in range(2)]
    for one in epochs:
        assert all(len(batch.targets) for batch in one.epoch(0))
    waiting = epochs[0].epoch(1)
    assert not len(next(waiting).targets)
    lines(tmp_path / "new.jsonl", rows(90))
    (tmp_path / "new.jsonl").replace(tmp_path / "log.jsonl")
    for later in (waiting, epochs[1].epoch(1)):
        with pytest.raises(DataError, match=r"log\.jsonl is another file than it was"):
            next(later)
    again = built(spec, val_data=val, **{**VALUES, "steps_per_epoch": 20}).train.epoch(0)
    while len(next(again).targets):
        pass
    (tmp_path / "log.jsonl").unlink()
    with pytest.raises(DataError, match="cannot be followed: No such file"):
        next(again)


def test_a_run_that_waits_for_lines_can_be_stopped(tmp_path: Path) -> None:
    spec, val = lines(tmp_path / "log.jsonl", rows(20)), lines(tmp_path / "val.jsonl", rows(10, 500))
    config = Config().replace(
        data=spec, val_data=val, output_dir=str(tmp_path / "run"), **{**VALUES, "steps_per_epoch": 100}
    )
    *_, last = prepare(config).events(Script(at4=[Stop()]))
    assert isinstance(last, RunEnded)
    assert (last.outcome, last.step) == ("stopped", 2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps_per_epoch": None}, "A file that grows has no end: give --steps-per-epoch"),
        ({"grad_accum_steps": 2}, "leave out nproc, grad_accum_steps"),
        ({"val_data": ""}, "follow reads a growing file of JSON lines: give that, and --val-data"),
    ],
)
def test_what_follow_needs_is_said(values: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    spec, val = lines(tmp_path / "log.jsonl", rows(20)), lines(tmp_path / "val.jsonl", rows(10, 500))
    with pytest.raises(ConfigError, match=sentence):
        built(spec, **{"val_data": val, **VALUES, **values})
