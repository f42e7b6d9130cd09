"""Real signals at random instants of real training processes: each saves at the exact step and ends as it should.

python -m tests.stops [SIGNALS] [--seed N]

INT, TERM and HUP in turn, to the run of `tests.kills`, while it trains, validates or saves. What was saved trains to
its end and must be what the run is that nobody stopped.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import copy_digits
from tests.forked import Server, server
from tests.kills import RECIPE, learned
from tui_trainer.engine import checkpoint
from tui_trainer.events import CheckpointSaved, Progress, RunEnded
from tui_trainer.run_folder import RunFolder

LONGEST = 0.01  # seconds from an event to the signal
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Tally:
    """What was counted."""

    signals: int = 0
    while_validating: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0  # seconds from the signal to the end of the process

    def in_words(self) -> str:
        """One line."""
        return (
            f"{self.signals} signals, {self.while_validating} of them during validation: {len(self.wrong)} went wrong; "
            f"the slowest process was gone {self.slowest:.2f} s after its signal"
        )


class Stops:
    """Runs in `folder` that are stopped by signals and go on."""

    def __init__(self, forks: Server, folder: Path, seed: int) -> None:
        self._forks, self._folder, self._random = forks, folder, random.Random(seed)
        self.tally = Tally()
        self._data = copy_digits(folder / "data", classes=3, each=20)
        self._reference = RunFolder(folder / "reference")
        assert self._new(self._reference).wait() == 0, (folder / "forked.log").read_text()
        self._record = self._reference.events.stat().st_size

    def _new(self, run: RunFolder) -> Any:
        workers = ("-j", self._random.choice((0, 2)))
        return self._forks.start("--no-tui", self._data, *RECIPE, "--output-dir", run.path, *workers)

    def go(self, signals: int) -> Tally:
        """Send so many."""
        for _ in range(3 * signals):
            if self.tally.signals == signals:
                break
            run = RunFolder(self._folder / "run")
            self._stop(run, SIGNALS[self.tally.signals % len(SIGNALS)])
            shutil.rmtree(run.path)
        assert self.tally.signals == signals, self.tally
        return self.tally

    def _stop(self, run: RunFolder, number: int) -> None:
        process = self._new(run)
        while not process.ended and not run.events.exists():
            time.sleep(0.001)
        wanted = self._random.random() * self._record  # somewhere in its record of events, however fast it is
        while not process.ended and run.events.stat().st_size < wanted:
            time.sleep(0.001)
        time.sleep(self._random.random() * LONGEST)
        if process.ended:
            assert process.wait() == 0
            return
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait()
        if code == 0:
            return  # it had ended by itself
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
        self.tally.signals += 1
        if wrong := self._wrong(run, code, 128 + number):
            self.tally.wrong.append(f"signal {number}: {wrong}")

    def _wrong(self, run: RunFolder, code: int, wanted: int) -> str:
        """What is not as it should be."""
        events = list(run.read_events())
        ended = events[-1]
        if code != wanted or not isinstance(ended, RunEnded) or ended.outcome != "stopped":
            return f"exit code {code}, {ended}"
        saved = [event.step for event in events if isinstance(event, CheckpointSaved)][-1:]
        moved = [event for event in events if isinstance(event, Progress)]
        self.tally.while_validating += bool(moved) and moved[-1].part == "val"
        trained = [event.step for event in moved][-1:]
        state = checkpoint.load_newest(run.checkpoints, lambda text: None)["state"]
        steps = {ended.step, *saved, *trained, state["step"]}
        if len(steps) != 1:
            return f"the last steps of its records are {sorted(steps)}"
        if code := self._forks.start("--no-tui", "--resume", run.path).wait():
            return f"going on ended with exit code {code}"
        return "" if learned(run) == learned(self._reference) else "it went on otherwise"


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("signals", nargs="?", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as forks:
        tally = Stops(forks, Path(folder), given.seed).go(given.signals)
    print(tally.in_words())
    for text in tally.wrong:
        print(text)
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(main())
