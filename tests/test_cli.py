"""The command line in this process; `test_session.py` has the runs that are processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tui_trainer import headless, steering
from tui_trainer.commands import Checkpoint, Pause, Resume, Set
from tui_trainer.config import SETTINGS, read_toml
from tui_trainer.events import Event, Progress
from tui_trainer.run_folder import Mailbox, RunFolder, make_folder, runs_root
from tui_trainer.run_lock import RunLock

from .conftest import DIGITS, PATIENCE, Told, copy_digits, metrics_but_seconds

Cli = Callable[..., Told]
SHORT = ("--epochs", "2", "-b", "8")


# Bad input: one sentence, the right exit code, nothing written --------------------------------------------------------


def link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, Path]:
    """Datasets that cannot be trained on."""
    one = copy_digits(tmp_path / "one-class", classes=1, each=5)
    lonely = copy_digits(tmp_path / "lonely", classes=3, each=1)
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, image in enumerate(sorted(one.rglob("*.png"))):
        (flat / f"{number}.png").write_bytes(image.read_bytes())
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    (tmp_path / "file.png").write_bytes(b"x")
    pages = copy_digits(tmp_path / "pages", classes=2, each=4)
    for image in pages.rglob("*.png"):
        image.write_bytes(b"<!DOCTYPE html><title>404</title>")
    unknown = copy_digits(tmp_path / "unknown", classes=2, each=3)
    copy_digits(tmp_path / "more", classes=3, each=3)
    (tmp_path / "parts").mkdir()
    unknown.rename(tmp_path / "parts" / "train")
    (tmp_path / "more").rename(tmp_path / "parts" / "val")
    names = ("none", "empty", "hollow", "flat", "one-class", "lonely", "file.png", "pages", "parts")
    assert lonely.is_dir()
    return {name: tmp_path / name for name in names}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("none", "does not exist: give a folder with one sub-folder of images a class."),
        ("empty", "holds no images: put the images of each class into a folder of their own"),
        ("hollow", "holds no images: put the images of each class into a folder of their own"),
        ("flat", "holds 5 images but no class folders: put the images"),
        ("one-class", "has one class only, 0: a classifier needs two or more"),
        ("lonely", "has one image only: nothing is left to validate on."),
        ("file.png", "is a file, not a folder: give a folder"),
        ("pages", "None of the images looked at in"),
        ("parts", "has classes that the training part has not: 2"),
    ],
)
def test_bad_data(run_cli: Cli, bad: dict[str, Path], tmp_path: Path, data: str, sentence: str) -> None:
    told = run_cli("--no-tui", bad[data], "--output-dir", tmp_path / "run")
    assert told.code == 3
    assert sentence in told.sentence
    assert told.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epoch", "3"], "Unknown flag --epoch; did you mean --epochs?"),
        (["--model", "lenett"], "Unknown model lenett; did you mean lenet?"),
        (["--model", "\x1b[31m"], "Unknown model \\x1b[31m."),
        (["--optimizer", "sgdd"], "--optimizer = sgdd: optimizer must be one of sgd, adam, adamw, rmsprop, adadelta"),
        (["--batch_size", "0"], "--batch-size = 0: batch_size must be a whole number, at least 1"),
        (["--batch-size", "-1"], "--batch-size = -1: batch_size must be a whole number, at least 1"),
        (["-b", "x"], "--batch-size = x: batch_size must be a whole number, at least 1"),
        (["--lr", "nan"], "--lr = nan: lr must be a number, greater than 0 and at most 1,000."),
        (
            ["--val-fraction", "0"],
            "--val-fraction = 0.0: val_fraction must be a number, greater than 0 and less than 1.",
        ),
        (
            ["--val-fraction", "1"],
            "--val-fraction = 1.0: val_fraction must be a number, greater than 0 and less than 1.",
        ),
        (
            ["--num-workers", "-1"],
            "--num-workers = -1: num_workers must be a whole number, at least 0 and at most 256.",
        ),
        (["--image-size", "0"], "--image-size = 0: image_size must be a whole number, at least 1"),
        (["--image-size", "9"], "lenet cannot take images of 9x9 with 1 channel(s): use --image-size 32."),
        (["--epochs", "9" * 400], "epochs must be a whole number, at least 1 and at most 1,000,000."),
        (["--device", "cuda:99"], "device = cuda:99: there is no such device here; use --device auto or cpu."),
        (["--mean", "0.5"], "mean has 1 numbers and std 0: give both or neither."),
        (["--timeout", "3"], "set num_workers to 1 or more."),
        (["--data", "x"], "The dataset is given twice"),
        (["-c", "/none.toml"], "Cannot read the configuration /none.toml: No such file or directory."),
        (["--resume", "none"], "There is no run none"),
        (["--lr"], "Argument --lr: expected one argument; see tui-trainer --help."),
        (["--name", "a/b"], "name = a/b: a name of a run is one short folder name, without '/'."),
    ],
)
def test_bad_settings(run_cli: Cli, digits60: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    told = run_cli("--no-tui", digits60, *words, "--output-dir", tmp_path / "run")
    assert told.code == 2
    assert sentence in told.sentence
    assert told.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[recipe]\nlr = \n", "is not valid TOML: Invalid value (at line 2, column 6)."),
        ("[recipe]\nlearning = 1\n", "unknown key learning in [recipe]"),
        ("[recipee]\n", "unknown table [recipee]; did you mean recipe?"),
        ("[recipe]\nlr = 'x'\n", "lr = x: lr must be a number, greater than 0 and at most 1,000."),
        ("[loader]\nbatch_size = 0\n", "batch_size = 0: batch_size must be a whole number, at least 1"),
    ],
)
def test_a_bad_file(run_cli: Cli, digits60: Path, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    told = run_cli("--no-tui", digits60, "-c", file, "--output-dir", tmp_path / "run")
    assert told.code == 2
    assert sentence in told.sentence
    assert "my.toml" in told.sentence
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for where, words in (
        (tmp_path / "file", "is a file: choose another --output-dir."),
        (tmp_path / "file" / "run", "Cannot write the run folder"),
        (Path("/proc/none"), "Cannot write the run folder /proc/none"),
        (tmp_path / "file" / "run", f"{tmp_path / 'file'} is no folder; choose another --output-dir."),
        (tmp_path / ("x" * 300), "cannot be a run folder: File name too long."),
    ):
        told = run_cli("--no-tui", digits60, *SHORT, "--output-dir", where)
        assert told.code == 2
        assert words in told.sentence
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_folder_with_a_run_in_it_is_left_alone(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert run_cli("--no-tui", digits60, *SHORT, "--output-dir", run).code == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told = run_cli("--no-tui", digits60, *SHORT, "--output-dir", run)
    assert told.code == 2
    assert (
        f"{run} already holds a run: choose another --output-dir or --name, or go on with it by --resume"
        in told.sentence
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_refusal_in_json(run_cli: Cli, bad: dict[str, Path], tmp_path: Path) -> None:
    told = run_cli("--json", bad["one-class"], "--output-dir", tmp_path / "run")
    assert told.code == 3
    assert told.json["error"]["kind"] == "data"
    assert told.json["error"]["message"] == told.sentence
    assert (told.json["run"], told.json["outcome"]) == (None, "failed")


def test_no_dataset_at_all(run_cli: Cli) -> None:
    told = run_cli("--no-tui")
    assert (told.code, told.sentence[:12]) == (2, "No dataset: ")


def test_a_batch_larger_than_the_data_is_told_of(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    told = run_cli("--no-tui", digits60, "--epochs", "1", "-b", "4096", "--output-dir", tmp_path / "run")
    assert told.code == 0
    sentence = "batch_size = 4,096 is more than the 48 training images: an epoch is one step; lower --batch-size."
    assert f"warning: {sentence}" in told.err.splitlines()
    assert "48 training and 12 validation images, 1 step an epoch" in told.err


def test_a_class_with_one_image_is_warned_about_and_trained(run_cli: Cli, tmp_path: Path) -> None:
    data = copy_digits(tmp_path / "data", classes=3, each=6)
    for image in sorted((data / "2").iterdir())[1:]:
        image.unlink()
    told = run_cli("--no-tui", "--json", data, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 0
    assert "warning: Class 2 has one image only: it stays in the training part." in told.err
    split = (tmp_path / "run" / "split.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in split if line.startswith("2/")] == ["train"]


def test_a_file_that_cannot_be_read_is_warned_about_and_left_out(run_cli: Cli, tmp_path: Path) -> None:
    data = copy_digits(tmp_path / "data", classes=2, each=20)
    first, second, *_ = sorted(data.rglob("*.png"))
    first.write_bytes(first.read_bytes()[:50])
    second.unlink()
    link(second, "nowhere")
    told = run_cli("--no-tui", data, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 0
    warnings = [line for line in told.err.splitlines() if line.startswith("warning: ")]
    assert sorted(warnings) == [
        f"warning: 0/{first.name} is left out: damaged or truncated.",
        f"warning: 0/{second.name} is left out: No such file or directory.",
        "warning: 2 images cannot be read and are left out of training.",
    ]
    assert "warnings  3, see events.jsonl" in told.out


def test_too_many_files_that_cannot_be_read(run_cli: Cli, tmp_path: Path) -> None:
    data = copy_digits(tmp_path / "data", classes=2, each=20)
    for image in sorted(data.rglob("*.png"))[::5]:
        image.write_bytes(b"\xff\xd8\xff\xe0 half a picture")
    told = run_cli("--no-tui", "--json", data, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 3
    assert "8 of 40 images cannot be read, such as" in told.sentence
    assert "more than --max-bad 0.05 allows" in told.sentence
    assert told.json["error"] == {"kind": "data", "message": told.sentence}
    assert not (tmp_path / "run").exists()
    assert run_cli("--no-tui", data, *SHORT, "--max-bad", "0.5", "--output-dir", tmp_path / "other").code == 0


def test_a_run_that_diverges(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    told = run_cli("--no-tui", "--json", digits60, *SHORT, "--lr", "1000", "--output-dir", tmp_path / "run")
    assert told.code == 5
    assert "training diverged. Try a smaller --lr than 1000" in told.sentence
    assert told.json["outcome"] == "failed"
    assert told.json["error"]["kind"] == "training"
    assert told.json["run"] == str(tmp_path / "run")


def test_a_bug_keeps_its_traceback_in_the_log(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tui_trainer.running

    def broken(*_: object) -> Any:
        yield from ()
        raise KeyError("\x1b[31m")

    monkeypatch.setattr(tui_trainer.running, "train", broken)
    told = run_cli("--no-tui", digits60, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 1
    assert told.sentence.startswith("this is a bug: KeyError: '\\x1b[31m'; traceback in ")
    log = (tmp_path / "run" / "output.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "in broken" in log


# What is asked for and got --------------------------------------------------------------------------------------------


def test_the_configuration_is_printed_with_where_each_value_came_from(run_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[recipe]\nepochs = 7\nlr = 0.5\n")
    told = run_cli("--print-config", "-c", file, "--epochs", "3", "-b", "64")
    assert (told.code, told.err) == (0, "")
    lines = {line.split(" = ")[0]: line for line in told.out.splitlines() if " = " in line}
    assert set(lines) == set(SETTINGS)
    for name, value, origin in (
        ("epochs", "3", "--epochs"), ("lr", "0.5", "my.toml"), ("batch_size", "64", "--batch-size"),
        ("momentum", "0.9", "default"), ("image_size", '"auto"', "default"),
    ):  # fmt: skip
        assert [part.strip() for part in lines[name].partition(" = ")[2].split("  # ")] == [value, origin]
    again = tmp_path / "again.toml"
    again.write_text(told.out)
    assert read_toml(again)["epochs"] == 3


def test_json_is_one_object_on_stdout_and_progress_is_on_stderr(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    told = run_cli("--json", digits60, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 0
    assert set(told.json) == {"run", "outcome", "epochs", "steps", "seconds", "metrics", "best"}
    assert {name: told.json[name] for name in ("run", "outcome", "epochs", "steps")} == {
        "run": str(tmp_path / "run"), "outcome": "finished", "epochs": 2, "steps": 12,
    }  # fmt: skip
    row = metrics_but_seconds(tmp_path / "run" / "metrics.csv")[-1]
    assert {name: float(row[name]) for name in told.json["metrics"]} == told.json["metrics"]
    assert told.json["best"]["epoch"] in (1, 2)
    assert told.err.splitlines()[-1].startswith("epoch 2/2  train loss ")


def test_the_result_is_text_without_json(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    told = run_cli("--no-tui", digits60, *SHORT, "--name", "mine")
    assert told.code == 0
    assert f"run       {runs_root() / 'mine'}" in told.out.splitlines()
    assert "\x1b" not in told.out + told.err


def test_a_dataset_whose_names_are_strange_is_trained(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    data = os.fsencode(tmp_path) + b"/data"
    for n, name in enumerate((b"caf\xe9", b"new\nline", b"\x1b[31mred")):
        Path(os.fsdecode(os.path.join(data, name))).mkdir(parents=True)
        for image in sorted((digits60 / str(n)).iterdir())[:6]:
            with open(os.path.join(data, name, b"\x1b]0;title\x07" + os.fsencode(image.name)), "wb") as file:
                file.write(image.read_bytes() if "3" not in image.name else b"")
    told = run_cli("--no-tui", os.fsdecode(data), *SHORT, "--max-bad", "1", "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert "\x1b" not in told.out + told.err
    assert "\\x1b]0;title\\x07" in told.err
    copy = run_cli("--no-tui", "-c", tmp_path / "run" / "config.toml", "--output-dir", tmp_path / "again")
    assert copy.code == 0


def test_a_dataset_folder_that_is_not_utf8_is_refused_in_words(run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli("--no-tui", os.fsdecode(b"/data/caf\xe9"), "--output-dir", tmp_path / "run")
    assert told.code == 2
    assert "--data = /data/caf\\xe9: data must be text" in told.sentence


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_are_results(run_cli: Cli, word: str) -> None:
    told = run_cli(word)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(("usage: tui-trainer", "tui-trainer 0."))


def test_a_dataset_called_like_a_command_is_a_dataset(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "send").mkdir()
    assert "holds no images" in run_cli("send", "--no-tui").sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tset"], "tset is no command and no dataset folder; did you mean tui-trainer test?"),
        (
            ["predcit", "a-run", "--json"],
            "predcit is no command and no dataset folder; did you mean tui-trainer predict?",
        ),
        (["images"], "/images does not exist: give a folder with one sub-folder of images a class."),
    ],
)
def test_a_command_that_is_mistyped(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in run_cli(*words).sentence
    (tmp_path / "tset").mkdir()
    assert "holds no images" in run_cli("tset").sentence


# Signals: a real one, at an exact step --------------------------------------------------------------------------------


class Raising:
    """Progress that raises signals in this process after a given step."""

    def __init__(self, step: int, *signals: signal.Signals) -> None:
        self.step, self.signals = step, list(signals)

    def tell(self, text: str) -> None:
        """Nothing is said."""

    def __call__(self, event: Event) -> None:
        """Raise them once."""
        if isinstance(event, Progress) and event.part == "train" and event.step == self.step:
            while self.signals:
                signal.raise_signal(self.signals.pop(0))

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_at_the_exact_step_and_the_run_goes_on_exactly(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert run_cli("--no-tui", digits60, *SHORT, "--output-dir", whole).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(headless, "choose_progress", lambda: Raising(5, number))
        told = run_cli("--json", digits60, *SHORT, "--output-dir", run)
    assert told.code == code
    assert (told.json["outcome"], told.json["steps"]) == ("stopped", 5)
    assert (run / "checkpoints" / "step-5.json").exists()
    assert run_cli("--no-tui", "--resume", run).code == 0
    one, two = (folder / "checkpoints" / "final.safetensors" for folder in (run, whole))
    assert one.read_bytes() == two.read_bytes()


def test_a_second_interrupt_leaves_at_once(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headless, "choose_progress", lambda: Raising(5, signal.SIGINT, signal.SIGINT))
    told = run_cli("--json", digits60, *SHORT, "--output-dir", tmp_path / "run")
    assert (told.code, told.json["outcome"]) == (130, "aborted")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_signal_before_the_run_began_leaves_nothing(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Early(Raising):
        def tell(self, text: str) -> None:
            if text == "building the model":
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(headless, "choose_progress", lambda: Early(0))
    told = run_cli("--no-tui", digits60, *SHORT, "--output-dir", tmp_path / "run")
    assert told.code == 143
    assert told.sentence == "stopped before the run began; nothing was written."
    assert not (tmp_path / "run").exists()


def test_a_signal_that_is_ignored_stays_ignored(digits60: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        steering.Signals().steer(None)  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not others[signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
        for number, handler in others.items():
            signal.signal(number, handler)


def test_training_goes_on_when_nobody_hears_it_any_more(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(Raising):
        def __call__(self, event: Event) -> None:
            raise OSError(5, "Input/output error")

    err = os.dup(2)
    monkeypatch.setattr(headless, "choose_progress", lambda: Deaf(0))
    try:
        told = run_cli("--json", digits60, *SHORT, "--output-dir", tmp_path / "run")
    finally:
        os.dup2(err, 2)
        os.close(err)
    assert (told.code, told.json["outcome"]) == (0, "finished")


LEAVES = """
import os, subprocess, sys
words, both = sys.argv[2:], sys.argv[1] == "both"
read, write = os.pipe()
process = subprocess.Popen([sys.executable, "-m", "tui_trainer", *words], stdout=write, stderr=write if both else None)
os.close(write)
os.read(read, 1) if both else None
os.close(read)
sys.exit(process.wait())
"""


def left_early(gone: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", LEAVES, gone, *words]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(("gone", "json"), [("both", False), ("stdout", False), ("stdout", True)])
def test_a_run_whose_pipe_is_left_early_ends_with_its_own_code(
    digits60: Path, tmp_path: Path, gone: str, json: bool
) -> None:
    words = ["--no-tui", *["--json"] * json, str(digits60), *SHORT, "--output-dir", str(tmp_path / "run")]
    ended = left_early(gone, words)
    assert ended.returncode == 0, ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert len(RunFolder(tmp_path / "run").metrics.read_text().splitlines()) == 3


@pytest.mark.parametrize(("words", "code"), [(["none", "--json"], 3), (["--help"], 0), (["data", str(DIGITS)], 141)])
def test_whoever_leaves_early_is_no_bug(words: list[str], code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES, "stdout", *words], check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == code, ended.stderr
    assert "Exception ignored" not in ended.stderr


# send -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[RunFolder, Mailbox]]:
    folder = make_folder(tmp_path / "run")
    folder.config.touch()
    mailbox = Mailbox()
    lock = RunLock(folder).acquire()
    mailbox.follow(folder.commands)
    yield folder, mailbox
    lock.release()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["pause"], Pause()), (["resume"], Resume()), (["checkpoint"], Checkpoint()),
        (["set", "lr=0.001"], Set(name="lr", value=0.001)), (["set", "lr", "=", "1e-3"], Set(name="lr", value=0.001)),
        (["set", "epochs=30"], Set(name="epochs", value=30)),
    ],
)  # fmt: skip
def test_send_appends_a_command(
    run_cli: Cli, running: tuple[RunFolder, Mailbox], words: list[str], command: Any
) -> None:
    folder, mailbox = running
    told = run_cli("send", folder.path, *words)
    assert (told.code, told.out) == (0, "")
    assert told.err == f"{' '.join(words)} is sent to {folder.path.name}.\n"
    assert mailbox.take() == [command]
    mailbox.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Usage: tui-trainer send RUN COMMAND"),
        (["dance"], "Usage: tui-trainer send RUN COMMAND"),
        (["stop", "now"], "Usage: tui-trainer send RUN COMMAND"),
        (["set"], "Usage: tui-trainer send RUN COMMAND"),
        (["set", "lr"], "set takes NAME=VALUE, NAME one of lr, epochs, patience"),
        (["set", "seed=1"], "set takes NAME=VALUE, NAME one of lr, epochs, patience"),
        (["set", "lr=fast"], "lr = fast: lr must be a number, greater than 0 and at most 1,000."),
        (["set", "lr=0"], "lr = 0.0: lr must be a number, greater than 0"),
        (["set", "epochs=1.5"], "epochs = 1.5: epochs must be a whole number"),
        (["set", "patience=-1"], "patience = -1: patience must be a whole number"),
    ],
)
def test_send_refuses_what_no_run_would_obey(
    run_cli: Cli, running: tuple[RunFolder, Mailbox], words: list[str], sentence: str
) -> None:
    folder, mailbox = running
    told = run_cli("send", folder.path, *words)
    assert told.code == 2
    assert told.sentence.startswith(sentence)
    assert mailbox.take() == []
    mailbox.close()


def test_send_to_a_run_that_is_not_there(run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli("send", tmp_path / "none", "stop")
    assert told.code == 2
    assert "There is no run" in told.sentence
    assert not (tmp_path / "none").exists()


def test_python_m_is_the_command() -> None:
    import runpy

    words = sys.argv
    sys.argv = ["tui-trainer", "--version"]
    try:
        with pytest.raises(SystemExit) as leaving:
            runpy.run_module("tui_trainer", run_name="__main__")
    finally:
        sys.argv = words
    assert not leaving.value.code


def test_a_dry_run_says_time_and_memory_and_leaves_nothing(
    digits60: Path, tmp_path: Path, run_cli: Callable[..., Told]
) -> None:
    told = run_cli(digits60, "--dry-run", "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert told.out.startswith("A step takes ")
    assert "MB." in told.out
    assert not (tmp_path / "run").exists()
