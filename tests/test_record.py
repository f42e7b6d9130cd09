import csv
from pathlib import Path
from typing import Any

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
    again = MetricsCsv(path)
    again(started(epoch=10, step=100))
    assert [row["epoch"] for row in rows(path)] == [str(n) for n in range(1, 11)]
    again(evaluated(10, val_loss=0.25))
    assert (rows(path)[-1]["epoch"], rows(path)[-1]["val_loss"]) == ("11", "0.25")
