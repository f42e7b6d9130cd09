"""Real `kill -9` at random instants of real training processes, and what becomes of their runs.

python -m tests.kills [KILLS] [--seed N] [--processes]

Each run trains a network with dropout and batch normalisation under augmentation, mixup, AdamW, EMA, a schedule with
warmup and AMP (bf16), and commits a checkpoint every second step. It is killed again and again, goes on with another
number of workers (0 or 2) each time, and in the end must be what the run is that nobody touched. Half of the kills
wait until a save has begun; a kill counts as inside a save by what it left behind.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

import torch

from tests.conftest import copy_digits, metrics_but_seconds
from tests.forked import Server, server
from tui_trainer.engine import checkpoint
from tui_trainer.events import CheckpointSaved, Evaluated, Event, RunStarted
from tui_trainer.run_folder import RunFolder

RECIPE = (
    *("--model", "tests/small_net.py:Net", "--image-size", 16, "-b", 8, "--epochs", 3, "--threads", 1),
    *("--augment", "light", "--mixup", 0.2, "--optimizer", "adamw", "--lr-scheduler", "cosine"),
    *("--warmup-epochs", 0.5, "--model-ema", "--amp", "--amp-dtype", "bf16", "--checkpoint-every", "2steps"),
)
PROCESSES = ("--worker-type", "process", "--multiprocessing-context", "fork")
KILLS_OF_A_RUN = 5  # then it may end
LONGEST_INTO_A_SAVE = 0.004  # seconds
TIMES = ("seconds",)


@dataclass
class Tally:
    """What was counted."""

    kills: int = 0
    inside_saves: int = 0
    lost: list[str] = field(default_factory=list)  # commits that were announced and are not there
    wrong: list[str] = field(default_factory=list)  # checkpoints that were accepted and are not what they should be
    finals: int = 0
    different: list[str] = field(default_factory=list)  # of them those that are not as if nobody had touched the run

    def in_words(self) -> str:
        """One line."""
        return (
            f"{self.kills} kills, {self.inside_saves} of them inside a save; {len(self.lost)} commits lost, "
            f"{len(self.wrong)} invalid checkpoints accepted; "
            f"{self.finals - len(self.different)} of {self.finals} final weights bit-identical"
        )


class Kills:
    """Runs that are killed in `folder`; `each`: after every kill a copy of what is left trains to its end too."""

    def __init__(self, forks: Server, folder: Path, seed: int, *, each: bool = False, processes: bool = False) -> None:
        self._forks, self._folder, self._random = forks, folder, random.Random(seed)
        self._each, self._processes = each, processes
        self.tally = Tally()
        self._data = copy_digits(folder / "data", classes=3, each=20)
        self._reference = RunFolder(folder / "reference")
        began = time.monotonic()
        code = self._new(self._reference, "--keep-checkpoints", 1000).wait()
        assert code == 0, (folder / "forked.log").read_text()
        self._seconds = time.monotonic() - began

    def _new(self, run: RunFolder, *more: object) -> Any:
        return self._forks.start("--no-tui", self._data, *RECIPE, "--output-dir", run.path, *self._workers(), *more)

    def _resumed(self, run: RunFolder) -> Any:
        return self._forks.start("--no-tui", "--resume", run.path, *self._workers())

    def _workers(self) -> tuple[object, ...]:
        workers = self._random.choice((0, 2))
        own = PROCESSES if workers and self._processes else ("--multiprocessing-context", "auto")
        return ("-j", workers, *own)

    def go(self, kills: int) -> Tally:
        """Kill so often, and until a quarter of the kills was inside a save."""
        number = 0
        while self.tally.kills < kills or 4 * self.tally.inside_saves < self.tally.kills:
            assert self.tally.kills < 3 * kills + 20, self.tally
            number += 1
            self._run(RunFolder(self._folder / f"run-{number}"), kills)
        return self.tally

    def _run(self, run: RunFolder, kills: int) -> None:
        at = 0  # the step of the newest checkpoint
        for _ in range(KILLS_OF_A_RUN):
            process = self._resumed(run) if at else self._new(run)
            while not at and not process.ended and not any(run.checkpoints.glob("step-*.json")):
                time.sleep(0.001)  # before the first commit there is nothing to lose
            if not self._kill(process, run):
                break
            at = self._look(run, at)
            if self._each:
                self._finish_a_copy(run)
            if self.tally.kills >= kills and 4 * self.tally.inside_saves >= self.tally.kills:
                break
        self._finish(run)
        shutil.rmtree(run.path)

    def _kill(self, process: Any, run: RunFolder) -> bool:
        """Kill at a random instant; False if the run had ended before."""
        pause = self._random.random() * self._seconds
        if self._random.random() < 0.5:
            while not process.ended and not any(run.checkpoints.glob(".step-*.tmp")):
                pass
            pause = self._random.random() * LONGEST_INTO_A_SAVE
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline and not process.ended:
            time.sleep(0.0002)
        process.send_signal(SIGKILL)
        code = process.wait()
        assert code in (0, -SIGKILL), process.log.read_text()
        self.tally.kills += code != 0
        return bool(code != 0)

    def _look(self, run: RunFolder, before: int) -> int:
        """The step of the newest checkpoint, which must be whole, right, and as new as what was announced."""
        self.tally.inside_saves += left_by_a_save(run.checkpoints)
        announced = [event.step for event in run.read_events() if isinstance(event, CheckpointSaved)]
        least = max([*announced, before])
        state = checkpoint.load_newest(run.checkpoints, lambda text: None)
        step: int = state["state"]["step"]
        if step < least:
            self.tally.lost.append(f"step {least} of {run.path.name}: step {step} is the newest")
        wanted = checkpoint.load_newest(self._reference.checkpoints, lambda text: None, step)
        if not same(without_times(state), without_times(wanted)):
            self.tally.wrong.append(f"step {step} of {run.path.name}")
        return step

    def _finish_a_copy(self, run: RunFolder) -> None:
        copy = RunFolder(self._folder / "copy")
        shutil.copytree(run.path, copy.path)
        self._finish(copy)
        shutil.rmtree(copy.path)

    def _finish(self, run: RunFolder) -> None:
        """Train to the end, from where the run that is there is taken up."""
        at = checkpoint.load_newest(run.checkpoints, lambda text: None)["state"]["step"]
        process = self._resumed(run)
        code = process.wait()
        assert code == 0, process.log.read_text()
        begun = [event.step for event in run.read_events() if isinstance(event, RunStarted)]
        if begun[-1] != at:
            self.tally.lost.append(f"step {at} of {run.path.name}: it went on from {begun[-1]}")
        self.tally.finals += 1
        if learned(run) != learned(self._reference):
            self.tally.different.append(run.path.name)


def left_by_a_save(folder: Path) -> bool:
    """Whether a save was cut off here: a temporary file, data without its manifest, or one of two generations."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    orphans = any(name.endswith(".pt") and f"{name[:-3]}.json" not in names for name in names)
    replaced = any("or" in json.loads((folder / name).read_bytes()) for name in names if name.endswith(".json"))
    return orphans or replaced or any(name.endswith(".tmp") for name in names)


def learned(run: RunFolder) -> Any:
    """All that a run has come to: weights, the best ones, the table, and the last word on each epoch."""
    weights = [(run.checkpoints / f"{name}.safetensors").read_bytes() for name in ("final", "best")]
    last: dict[int, Event] = {e.epoch: e for e in run.read_events() if isinstance(e, Evaluated)}
    said = {epoch: {k: v for k, v in vars(e).items() if k not in ("time", "seconds")} for epoch, e in last.items()}
    return weights, metrics_but_seconds(run.metrics), said


def without_times(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without what differs between two equal runs."""
    place = {name: value for name, value in state["state"].items() if name not in TIMES}
    return {**state, "state": place, "config": None}


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def main() -> int:
    """The long form: kills in number, and after each the end of the run compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", action="store_true", help="workers are processes, not threads")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as forks:
        kills = Kills(forks, Path(folder), given.seed, each=True, processes=given.processes)
        tally = kills.go(given.kills)
    print(tally.in_words())
    for text in (*tally.lost, *tally.wrong, *tally.different):
        print(text)
    return int(bool(tally.lost or tally.wrong or tally.different))


if __name__ == "__main__":
    sys.exit(main())
