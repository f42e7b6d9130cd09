from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tui_trainer import tune, tune_command
from tui_trainer.config import Config
from tui_trainer.errors import ConfigError, DataError, TrainingError
from tui_trainer.loader_facts import Measurement

Fake = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Measurements that are given: trained images/s by worker count; what was asked for is kept."""

    def install(rates: dict[int, float], skipped: Sequence[int] = (), raised: BaseException | None = None) -> Any:
        asked: list[dict[str, Any]] = []

        def measure(config: Config, *, workers: Any, tell: Callable[[str], None], **more: Any) -> Iterator[Measurement]:
            asked.append({"config": config, "workers": workers, **more})
            tell("measuring")
            for count, rate in rates.items():
                yield Measurement(num_workers=count, step_seconds=0.01)
                yield Measurement(
                    num_workers=count,
                    batch_size=config.loader.batch_size,
                    step_seconds=0.01,
                    first_batch_seconds=0.5,
                    images_per_second=2 * rate,
                    trained_per_second=rate,
                    wait_share=0.25,
                    final=True,
                    skipped="no room" if count in skipped else "",
                )
            if raised is not None:
                raise raised

        monkeypatch.setattr(tune, "measure", measure)
        return asked

    return install


def test_a_table_and_the_recommendation_at_the_end(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0, 2: 1950.0})
    assert tune_command.main(["data"]) == 0
    out = capsys.readouterr().out
    assert "1,000" in out
    assert "3,900" in out
    assert out.splitlines()[-1] == (
        "--num-workers 1  With 1 worker training is 1.9 times as fast as with 0; the model waits for data 25% "
        "of the time."
    )


def test_json_is_one_object_on_stdout(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0}, skipped=(1,))
    assert tune_command.main(["data", "--json", "-b", "4", "--model", "resnet18"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert out.count("\n") == 1
    assert "measuring" in err
    assert record["data"] == "data"
    assert record["model"] == "resnet18"
    assert record["batch_size"] == 4
    assert record["recommended"] is None
    assert [m["num_workers"] for m in record["measurements"]] == [0, 1]
    assert [m["skipped"] for m in record["measurements"]] == [None, "no room"]
    assert record["measurements"][0]["trained_per_second"] == 1000.0


def test_skipped_counts_say_why(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0, 2: 1.0}, skipped=(2,))
    tune_command.main(["data"])
    assert capsys.readouterr().out.splitlines()[-2] == "no room"


def test_what_is_shown_holds_no_control_character(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0})
    tune_command.main(["\x1b[31mred[/red]"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31mred[/red]" in out


def test_num_workers_is_the_most_that_is_tried(fake: Fake) -> None:
    asked = fake({0: 1.0, 1: 2.0})
    tune_command.main(["data"])
    tune_command.main(["data", "-j", "3"])
    assert [given["workers"] for given in asked] == [None, (0, 1, 2, 3)]


def test_batch_sizes_and_reading_ahead_are_tried_for_a_time(fake: Fake) -> None:
    asked = fake({0: 1.0, 1: 2.0})
    tune_command.main(["data"])
    tune_command.main(["data", "-b", "16"])
    tune_command.main(["data", "--batch-sizes", "64,32", "--prefetch-factors=1,4", "--max-seconds", "5"])
    assert [given["batch_sizes"] for given in asked] == [(32, 64, 128), (16,), (32, 64)]
    assert [given["prefetch"] for given in asked] == [(), (), (1, 4)]
    assert [given["seconds"] for given in asked] == [60.0, 60.0, 5.0]
    for words in (["--batch-sizes", "x"], ["--batch-sizes", "0"], ["--max-seconds", "0"], ["--max-seconds"]):
        with pytest.raises(ConfigError):
            tune_command.main(["data", *words])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "No dataset"),
        (["data", "--resume", "run"], "leave out --resume"),
        (["data", "--no-such-flag"], "Unknown flag"),
        (["data", "--prefetch-factor", "2"], "prefetch_factor needs workers"),
    ],
)
def test_refused_in_words(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        tune_command.main(words)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        tune_command.main([str(tmp_path / "none")])


def test_too_little_memory_is_said_in_words(fake: Fake) -> None:
    fake({0: 1000.0}, raised=MemoryError())
    with pytest.raises(TrainingError, match="Out of memory: try --batch-size 16"):
        tune_command.main(["data"])


def test_a_bug_keeps_its_type(fake: Fake) -> None:
    fake({0: 1000.0}, raised=ZeroDivisionError("why"))
    with pytest.raises(ZeroDivisionError):
        tune_command.main(["data"])


def test_an_interrupt_ends_it_without_a_traceback(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0}, raised=KeyboardInterrupt())
    assert tune_command.main(["data"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "tui-trainer: stopped before everything was measured."


def test_ctrl_c_is_obeyed_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, before = list[str](), signal.getsignal(signal.SIGINT)

    def measure(config: Config, **given: Any) -> Iterator[Measurement]:
        try:
            yield Measurement(num_workers=0, step_seconds=0.01)
            signal.raise_signal(signal.SIGINT)
            closed.append("not here: a worker may be half started")
            yield Measurement(num_workers=0, step_seconds=0.01)
            closed.append("never")
        finally:
            closed.append("closed")

    monkeypatch.setattr(tune, "measure", measure)
    assert tune_command.main(["data"]) == 130
    assert closed == ["not here: a worker may be half started", "closed"]
    assert signal.getsignal(signal.SIGINT) is before


def test_for_real(digits60: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "_rates", lambda *given: iter([(120.0, 0.5)]))
    assert tune_command.main([str(digits60), "--json", "-j", "0", "-b", "8"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["measurements"]
    assert found["images_per_second"] == found["trained_per_second"] == 120.0


def test_the_range_test_of_the_learning_rate(digits60: Path, run_cli: Callable[..., Any]) -> None:
    told = run_cli("tune", "--lr", digits60, "--json")
    assert told.code == 0, told.err
    rates = [point["lr"] for point in told.json["points"]]
    assert rates == sorted(rates)
    assert len(rates) > 20
    assert told.json["recommended"] is None or rates[0] < told.json["recommended"] < rates[-1]
