import csv
import resource
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.events import Evaluated, Event, Paused, RunStarted, from_json
from tui_trainer.record import JsonLines, MetricsCsv


def evaluated(epoch: int, **metrics: float) -> Event:
    return Evaluated(epoch=epoch, step=10 * (epoch + 1), lr=0.1, metrics=metrics, best=False, seconds=1.23456)


def started(**at: int) -> Event:
    sizes: dict[str, Any] = {"parameters": 1, "train_samples": 1, "val_samples": 1, "steps_per_epoch": 1, "epochs": 3}
    return RunStarted(model="m", device="cpu", classes=("a", "b"), **sizes, **at)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_event_is_a_line_as_soon_as_it_happened(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record = JsonLines(path)
    for step in (1, 2):
        event = Paused(step=step)
        record(event)
        assert from_json(path.read_text().splitlines()[-1]) == event
    record.close()
    assert path.read_text().count("\n") == 2


def test_lines_are_appended_and_half_a_line_of_a_killed_process_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for left, lines in (("", 1), ("", 2), ('{"kind": "pau', 4)):
        path.write_text((path.read_text() if path.exists() else "") + left)
        record = JsonLines(path)
        record(Paused(step=lines))
        record.close()
        assert path.read_text().count("\n") == lines
        assert from_json(path.read_text().splitlines()[-1]) is not None


def test_each_epoch_is_a_row_and_counts_from_one(tmp_path: Path) -> None:
    record = MetricsCsv(tmp_path / "metrics.csv")
    for event in (started(), Paused(step=1), evaluated(0, val_loss=0.5), evaluated(1, val_loss=float("nan"))):
        record(event)
    record.close()
    common = {"lr": "0.1", "seconds": "1.235"}
    assert rows(tmp_path / "metrics.csv") == [
        {"epoch": "1", "step": "10", "val_loss": "0.5", **common},
        {"epoch": "2", "step": "20", "val_loss": "nan", **common},
    ]


def test_where_a_run_goes_on_epochs_that_come_again_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    record = MetricsCsv(path)
    for epoch in range(12):
        record(evaluated(epoch, val_loss=float(epoch)))
    record.close()
    again = MetricsCsv(path)
    again(started(epoch=10, step=100))
    assert [row["epoch"] for row in rows(path)] == [str(n) for n in range(1, 11)]
    again(evaluated(10, val_loss=0.25))
    again.close()
    assert (rows(path)[-1]["epoch"], rows(path)[-1]["val_loss"]) == ("11", "0.25")


def test_what_a_full_disk_did_not_take_is_written_as_soon_as_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record, limit = JsonLines(path), resource.getrlimit(resource.RLIMIT_FSIZE)
    record(Paused(step=1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limit[1]))
    try:
        for step in (2, 3):
            with pytest.raises(OSError, match="File too large"):
                record(Paused(step=step))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    record(Paused(step=4))
    record.close()
    events = [from_json(line) for line in path.read_text().splitlines()]
    assert [event.step for event in events if isinstance(event, Paused)] == [1, 2, 3, 4]


def test_half_a_row_of_a_killed_process_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    record = MetricsCsv(path)
    for epoch in range(3):
        record(evaluated(epoch, val_loss=float(epoch)))
    record.close()
    whole = path.read_text()
    path.write_text(whole[: whole.rindex(",")])
    again = MetricsCsv(path)
    again(started(epoch=3, step=30))
    again(evaluated(3, val_loss=0.25))
    again.close()
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "4"]
