"""What several test files need: a tiny job in memory, a small dataset on disk, the command line in this process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how fast an example is says how busy the machine is
os.environ["OMP_NUM_THREADS"] = "1"  # also of other processes; many threads on small tensors are slow, and slow others

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "sample_data" / "digits"
PATIENCE = 60.0  # seconds after which something that should have happened has not


@pytest.fixture(autouse=True)
def _own_user_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are given no folder lie in the test's own one, never in that of the person who tests."""
    folder = tmp_path_factory.mktemp("user-data", numbered=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


@dataclass(frozen=True)
class Told:
    """What a command line said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of a refusal; fails if there are more, or a traceback."""
        assert "Traceback" not in self.err, self.err
        sentences = [line for line in self.err.splitlines() if line.startswith("tui-trainer: ")]
        assert len(sentences) == 1, self.err
        before = self.err.splitlines()[:-1]
        assert self.err.splitlines()[-1] == sentences[0], self.err
        assert all(line.endswith("...") or line.startswith("warning: ") for line in before if _is_early(line)), self.err
        return sentences[0].removeprefix("tui-trainer: ")

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        assert self.out.count("\n") == 1, self.out
        record = json.loads(self.out)
        assert isinstance(record, dict)
        return record

    @property
    def json_list(self) -> list[dict[str, Any]]:
        """The one list on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, list)
        return found


def _is_early(line: str) -> bool:
    return " = " not in line and not line.startswith(("epoch ", "lenet with"))


@pytest.fixture
def run_cli(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Told]]:
    """`tui-trainer` in this process, called with its words; handlers of signals are put back.

    Descriptors are captured, so that what native code writes is seen too.
    """
    from tui_trainer import cli, steering

    handlers = {number: signal.getsignal(number) for number in steering.SIGNALS}

    def call(*words: object) -> Told:
        capfd.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capfd.readouterr()
        return Told(code, out, err)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def digits60(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty real images: the first twenty of three digits; do not write into it."""
    return copy_digits(tmp_path_factory.mktemp("data") / "digits60", classes=3, each=20)


def copy_digits(folder: Path, *, classes: int, each: int) -> Path:
    """A class-folder dataset of the first images of the first digits."""
    for digit in range(classes):
        (folder / str(digit)).mkdir(parents=True)
        for image in sorted((DIGITS / str(digit)).glob("*.png"))[:each]:
            shutil.copy(image, folder / str(digit))
    return folder


@pytest.fixture(scope="session")
def colour24(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four colour images of different sizes in two classes, some in a folder below; do not write into it."""
    import cv2
    import numpy as np

    folder, rng = tmp_path_factory.mktemp("data") / "colour24", np.random.default_rng(7)
    for number, name in enumerate(("blue", "red")):
        (folder / name / "more").mkdir(parents=True)
        for i in range(12):
            height, width = rng.integers(20, 60, 2)
            pixels = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
            pixels[:, :, 2 * number] += 120  # OpenCV writes BGR
            where = folder / name / ("more" if i % 3 == 0 else "")
            cv2.imwrite(str(where / f"{i:02}.{'jpg' if i % 2 else 'PNG'}"), pixels)
    return folder


# A tiny job -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemoryBatch:
    """A batch that lies in memory."""

    inputs: Any
    targets: Any
    number: int
    warnings: tuple[str, ...] = ()


class MemoryLoader:
    """Batches of tensors, in an order that depends on the epoch; `seen` keeps the targets handed out."""

    def __init__(self, images: Any, targets: Any, batch_size: int, shuffle: bool) -> None:
        self.images, self.targets, self.batch_size, self.shuffle = images, targets, batch_size, shuffle
        self.samples = len(targets)
        self.batches = -(-self.samples // batch_size)
        self.warn: dict[int, tuple[str, ...]] = {}  # batch number -> warnings
        self.opened: list[tuple[int, int]] = []

    def epoch(self, number: int, start: int = 0) -> Iterator[MemoryBatch]:
        """The batches of an epoch after the first `start`."""
        import torch

        self.opened.append((number, start))
        order = torch.arange(self.samples)
        if self.shuffle:
            order = torch.randperm(self.samples, generator=torch.Generator().manual_seed(number))
        for count in range(start + 1, self.batches + 1):
            at = order[(count - 1) * self.batch_size : count * self.batch_size]
            yield MemoryBatch(self.images[at], self.targets[at], count, self.warn.get(count, ()))


def make_job(**changes: Any) -> Any:
    """A job of 22 training and 7 validation samples of 4 numbers in 3 classes: 6 batches of 4, the last of 2.

    The model has dropout, so that a run comes out the same only if the state of the generator does.
    """
    import torch
    from torch import nn

    from tui_trainer.engine.job import Job

    draw = torch.Generator().manual_seed(1)
    train_x, val_x = torch.randn(22, 4, generator=draw), torch.randn(7, 4, generator=draw)
    train_y, val_y = train_x[:, :3].argmax(1), val_x[:, :3].argmax(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))
    parts: dict[str, Any] = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "loss_func": nn.CrossEntropyLoss(),
        "train_loader": MemoryLoader(train_x, train_y, 4, shuffle=True),
        "val_loader": MemoryLoader(val_x, val_y, 4, shuffle=False),
        "prepare": lambda batch: (batch.inputs, batch.targets),
        "classes": ("a", "b", "c"),
        "device": torch.device("cpu"),
        "epochs": 3,
        "lr": 0.1,
        "model_name": "tiny",
    }
    return Job(**{**parts, **changes})


@pytest.fixture(name="make_job")
def _make_job() -> Callable[..., Any]:
    """Makes a tiny job; see `make_job`."""
    import torch

    torch.manual_seed(3)
    return make_job


class Script:
    """Commands that come at the n-th look (from 1); a look while paused is a look too."""

    def __init__(self, **looks: Sequence[Any]) -> None:
        self._looks = {int(name.removeprefix("at")): list(given) for name, given in looks.items()}
        self.looks, self.waits = 0, 0

    def take(self) -> list[Any]:
        """What comes at this look."""
        self.looks += 1
        return self._looks.get(self.looks, [])

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.waits += 1
        assert self.waits < 100, "nobody resumes this run"


# What a run left behind -----------------------------------------------------------------------------------------------


def lines_but_times(events: Path) -> list[dict[str, Any]]:
    """The records of events.jsonl without what differs between two equal runs."""
    from tui_trainer.events import TIMES

    records = [json.loads(line) for line in events.read_text("ascii").splitlines()]
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


def metrics_but_seconds(metrics: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the column of seconds."""
    with metrics.open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def kinds(records: Sequence[Any]) -> list[str]:
    """The kinds of events, or of their records."""
    return [record["kind"] if isinstance(record, dict) else record.kind for record in records]


# Other processes ------------------------------------------------------------------------------------------------------


class Process:
    """A `tui-trainer` of its own, ended with the test."""

    def __init__(self, words: Sequence[object], **options: Any) -> None:
        command = [sys.executable, "-m", "tui_trainer", *map(str, words)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.popen = subprocess.Popen(command, text=True, cwd=ROOT, **(pipes | options))

    def until(self, what: Callable[[], Any]) -> Any:
        """The first true value of `what`; fails if the process ends before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if value := what():
                return value
            assert self.popen.poll() is None, self.popen.communicate()
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def end(self) -> Told:
        """Wait for it."""
        out, err = self.popen.communicate(timeout=PATIENCE)
        return Told(self.popen.returncode, out, err)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Process]]:
    """Starts processes; what still runs when the test ends is killed."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", os.environ.get("PYTHONDONTWRITEBYTECODE", ""))
    started: list[Process] = []

    def begin(*words: object, **options: Any) -> Process:
        started.append(Process(words, **options))
        return started[-1]

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()
