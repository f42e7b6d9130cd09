from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tui_trainer import search, trials, tune, tune_command
from tui_trainer.config import Config, resolve
from tui_trainer.errors import ConfigError, DataError, TrainingError
from tui_trainer.loader_facts import Measurement
from tui_trainer.tune_facts import OUT_OF_TIME, Trial

Fake = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Measurements that are given: trained images/s by worker count; what was asked for is kept."""

    def install(
        rates: dict[int, float],
        skipped: Sequence[int] = (),
        raised: BaseException | None = None,
        steps: Sequence[Trial] = (),
    ) -> Any:
        asked: list[dict[str, Any]] = []

        def found(
            config: Config, *, workers: Any, tell: Callable[[str], None], **more: Any
        ) -> Iterator[Measurement | Trial]:
            asked.append({"config": config, "workers": workers, **more})
            tell("measuring")
            yield from steps
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

        monkeypatch.setattr(search, "search", found)
        return asked

    return install


def test_a_table_and_the_recommendation_at_the_end(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0, 2: 1950.0})
    assert tune_command.main(["data"]) == 0
    out = capsys.readouterr().out
    assert "1,000" in out
    assert "3,900" in out
    assert out.splitlines()[-6:] == [
        "--num-workers 1  With 1 worker training is 1.9 times as fast as with 0; the model waits for data 25% "
        "of the time.",
        "The same in a TOML file, which --write FILE makes:",
        "[data]",
        f'data = "{Path("data").absolute()}"',
        "[loader]",
        "num_workers = 1",
    ]


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
    assert record["complete"] is True
    figures = ("images_per_second", "trained_per_second", "wait_share")
    assert [record["measurements"][1][name] for name in figures] == [None, None, None]


def test_what_time_did_not_allow_has_no_figures_and_is_not_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = Trial(threads=2, skipped=OUT_OF_TIME)
    monkeypatch.setattr(search, "search", lambda *given, **more: (t for t in (Trial(threads=1, rates=(9.0,)), late)))
    tune_command.main(["data", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["complete"] is False
    assert [step["images_per_second"] for step in record["steps"]] == [9.0, None]


@pytest.mark.parametrize("words", [["--help"], ["data", "-h"], ["--lr", "--help"]])
def test_the_help_is_a_page_of_its_own(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        tune_command.main(words)
    page = capsys.readouterr().out
    assert left.value.code == 0
    assert page.startswith("usage: tui-trainer tune DIR")
    assert all(flag in page for flag in ("--max-seconds", "--batch-sizes", "--prefetch-factors", "--write", "--lr"))
    assert len(page.splitlines()) < 40


def test_skipped_counts_say_why(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0, 2: 1.0}, skipped=(2,))
    tune_command.main(["data"])
    assert "no room" in capsys.readouterr().out.splitlines()


def test_what_is_shown_holds_no_control_character(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0})
    tune_command.main(["\x1b[31mred[/red]"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31mred[/red]" in out


STEPS = [
    Trial(threads=1, rates=(100.0, 101.0), losses=(2.3, 2.2)),
    Trial(threads=2, rates=(150.0, 152.0), losses=(2.3, 2.2)),
    Trial(threads=1, precision="bf16", rates=(190.0, 191.0), losses=(2.3, 2.21)),
    Trial(threads=2, precision="bf16", rates=(280.0, 283.0), losses=(2.3, 2.21)),
]


def test_threads_and_16_bits_are_advised_with_reasons(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake({0: 1000.0, 1: 1900.0}, steps=STEPS)
    assert tune_command.main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["2", "bf16", "282", "±0%"] for line in lines)
    assert "--threads 2  A step is 1.48 times as fast as with 1 thread." in lines
    assert any(line.startswith("--amp --amp-dtype bf16  bf16 autocast trains 1.86 times as fast") for line in lines)
    assert "compare the accuracy" in "".join(lines)
    assert lines[-6:] == ["[loader]", "num_workers = 1", "[recipe]", "amp = true", 'amp_dtype = "bf16"', "threads = 2"]
    tune_command.main(["data", "--json"])
    record = json.loads(capsys.readouterr().out)["recommended"]
    assert record["flags"] == ["--num-workers", "1", "--amp", "--amp-dtype", "bf16", "--threads", "2"]


def test_write_makes_a_file_that_the_configuration_is_read_from(
    fake: Fake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "tuned.toml"
    fake({0: 1000.0, 1: 1900.0}, steps=STEPS)
    assert tune_command.main(["data", "--epochs", "3", "--trust-code", "--write", str(file)]) == 0
    out, err = capsys.readouterr()
    assert f"tui-trainer -c {file}" in err
    assert out.endswith(f"which --write FILE makes:\n{file.read_text()}")
    config = resolve({}, file).config
    assert (config.recipe.epochs, config.loader.num_workers) == (3, 1)
    assert config.data.data == str(Path("data").absolute())  # -c works from any folder
    assert (config.recipe.threads, config.recipe.amp, config.recipe.amp_dtype) == (2, True, "bf16")
    for words, sentence in (
        (["--write", str(file)], "overwrites nothing"),
        (["--write", str(tmp_path / "none" / "x.toml")], "no folder"),
        (["--lr", "--write", str(tmp_path / "x.toml")], "take one"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            tune_command.main(["data", *words])


def test_without_advice_nothing_is_written(fake: Fake, tmp_path: Path) -> None:
    fake({0: 1000.0, 1: 1900.0}, skipped=(0, 1))
    with pytest.raises(ConfigError, match="not written"):
        tune_command.main(["data", "--write", str(tmp_path / "x.toml")])
    assert not (tmp_path / "x.toml").exists()


def test_no_workers_advised_leave_nothing_behind_that_needs_them(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    fake({0: 1900.0, 2: 1000.0})
    assert tune_command.main(["data", "-j", "2", "--prefetch-factor", "4", "--write", str(file)]) == 0
    assert resolve({}, file).config.loader.num_workers == 0
    assert "num_workers = 0" in file.read_text()  # advised, although it is the default


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


def test_an_interrupt_shows_what_was_measured_and_advises_nothing(
    fake: Fake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "tuned.toml"
    fake({0: 1000.0, 1: 1900.0}, raised=KeyboardInterrupt(), steps=STEPS)
    assert tune_command.main(["data", "--write", str(file)]) == 130
    out, err = capsys.readouterr()
    assert "1,900" in out
    assert "--num-workers" not in out
    assert err.splitlines()[-1] == "tui-trainer: stopped before everything was measured."
    assert not file.exists()
    fake({}, raised=KeyboardInterrupt())
    assert tune_command.main(["data", "--json"]) == 130
    record = json.loads(capsys.readouterr().out)
    assert (record["complete"], record["recommended"], record["measurements"]) == (False, None, [])


def test_ctrl_c_is_obeyed_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, before = list[str](), signal.getsignal(signal.SIGINT)

    def found(config: Config, **given: Any) -> Iterator[Measurement]:
        try:
            yield Measurement(num_workers=0, step_seconds=0.01)
            signal.raise_signal(signal.SIGINT)
            closed.append("not here: a worker may be half started")
            yield Measurement(num_workers=0, step_seconds=0.01)
            closed.append("never")
        finally:
            closed.append("closed")

    monkeypatch.setattr(search, "search", found)
    assert tune_command.main(["data"]) == 130
    assert closed == ["not here: a worker may be half started", "closed"]
    assert signal.getsignal(signal.SIGINT) is before


def test_for_real(digits60: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "_rates", lambda *given: iter([(120.0, 0.5)]))
    for name, value in {"BLOCK": 0.01, "ROUNDS": 2, "WHOLE_BLOCK": 0.02, "WHOLE_ROUNDS": 2}.items():
        monkeypatch.setattr(trials, name, value)
    assert tune_command.main([str(digits60), "--json", "-j", "1", "-b", "8", "--threads", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [m["images_per_second"] for m in found["measurements"]] == [120.0, 120.0]
    tried = [(step["threads"], step["precision"]) for step in found["steps"] if not step["skipped"]]
    assert tried[:2] == [(1, "float32"), (2, "float32")]
    assert all(step["images_per_second"] > 0 for step in found["steps"] if not step["skipped"])
    assert {m["num_workers"] for m in found["together"]} == {0, 1}
    assert found["complete"] is True
    assert {"num_workers", "threads", "amp", "flags"} <= found["recommended"].keys()


def test_the_range_test_of_the_learning_rate(digits60: Path, run_cli: Callable[..., Any]) -> None:
    told = run_cli("tune", "--lr", digits60, "--json")
    assert told.code == 0, told.err
    rates = [point["lr"] for point in told.json["points"]]
    assert rates == sorted(rates)
    assert len(rates) > 20
    assert told.json["recommended"] is None or rates[0] < told.json["recommended"] < rates[-1]
