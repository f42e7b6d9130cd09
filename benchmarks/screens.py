"""The screens on a real pseudo terminal: first paint, key to drawn answer, training speed beside headless.

Run from the repository: `python -m benchmarks.screens`. Wall-clock times on a shared machine are noisy: medians of
interleaved rounds. For the speed two processes train in turn, in short slices, and each slice without screens is set
beside the mean of the two around it. One process trains up to a third faster than the next of the same program, as its
memory happens to lie: so that both are started anew for every few slices, and the ratio is of the medians over them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tui.pty_app import PtyApp

SLICE, SETTLE = 1.5, 0.3  # seconds that are measured of each process in turn, and before each of them
DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
MAIN = "import sys; from tui_trainer.cli import main; sys.exit(main(sys.argv[1:]))"


def start(home: str, *args: str, size: tuple[int, int] = (100, 30)) -> tuple[PtyApp, float]:
    """The program on a terminal, and when it was started."""
    began = time.perf_counter()
    folders = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), home)
    return PtyApp(MAIN, folders, size=size, args=args), began


def answer(app: PtyApp, key: bytes, text: str) -> float:
    """Seconds from a key to `text` on the terminal."""
    began = time.perf_counter()
    app.send(key)
    app.read_bytes_until(text.encode())
    return time.perf_counter() - began


def first_paint(rounds: int) -> None:
    """Process start to the first drawn frame, and keys while PyTorch is loading."""
    paints, freezes = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            app, began = start(home)
            app.read_until("Quit")
            paints.append(time.perf_counter() - began)
            slowest = 0.0
            while time.perf_counter() - began < 5:
                slowest = max(slowest, answer(app, b"4", "epochs"), answer(app, b"3", "model"))
            freezes.append(slowest)
            app.send(b"q")
            app.wait()
            app.close()
    print(f"first paint           {statistics.median(paints):.2f} s ({min(paints):.2f} to {max(paints):.2f})")
    print(f"slowest key in 5 s    {statistics.median(freezes):.2f} s while PyTorch loads, {max(freezes):.2f} at worst")


def key_latency(keys: int) -> None:
    """Key to drawn answer while LeNet trains at full speed."""
    with tempfile.TemporaryDirectory() as home:
        app, _ = start(home, str(DIGITS), "--epochs", "100000", size=(120, 40))
        app.read_until("Quit")
        app.send(b"\x12")
        app.read_until("checkpoint", 60)
        app.idle(2)
        times = []
        for number in range(keys):
            up = number % 2 == 0
            times.append(answer(app, b"+" if up else b"-", "smooth 0.9" if up else "smooth 0.6"))
            app.idle(0.05 + 0.013 * (number % 7))
        app.close()
    p50, p95, p99 = (statistics.quantiles(times, n=100)[i] * 1000 for i in (49, 94, 98))
    print(f"key to drawn answer   p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms while training ({keys} keys)")


class Alternating:
    """One process with screens and one without, both training all along; only one of them runs at a time."""

    def __init__(self, home: str) -> None:
        words = [str(DIGITS), "--epochs", "100000", "--threads", "1", "--checkpoint-every", "20", "--output-dir"]
        folders = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), home)
        self.runs = Path(home, "screens"), Path(home, "headless")
        self.app = PtyApp(MAIN, folders, size=(120, 40), args=[*words, str(self.runs[0])])
        self.app.read_until("Quit")
        self.app.idle(4)  # PyTorch is loaded by then
        self.app.send(b"\x12")
        self.app.read_until("checkpoint", 60)
        self.app.kill(signal.SIGSTOP)
        command = [sys.executable, "-c", MAIN, "--no-tui", *words, str(self.runs[1])]
        self.headless = subprocess.Popen(command, env={**os.environ, **folders}, stderr=subprocess.DEVNULL)
        while not list(self.runs[1].glob("checkpoints/*.json")):
            time.sleep(0.1)
        self.headless.send_signal(signal.SIGSTOP)

    def rate(self, number: int) -> float:
        """Steps per second over a slice in which only this one runs."""
        process, events = (self.app.process, self.headless)[number], self.runs[number] / "events.jsonl"
        process.send_signal(signal.SIGCONT)
        self.app.idle(SETTLE)
        before, began = newest(events)
        self.app.idle(SLICE)
        after, ended = newest(events)
        process.send_signal(signal.SIGSTOP)
        return (after - before) / (ended - began)

    def close(self) -> None:
        """End both."""
        self.headless.kill()
        self.headless.wait()
        self.app.close()


def newest(events: Path) -> tuple[int, float]:
    """The newest step that a run has told of, and when."""
    lines = [json.loads(line) for line in events.read_bytes()[-20_000:].split(b"\n")[1:-1]]
    last = max(lines, key=lambda line: int(line.get("step", 0)))
    return int(last["step"]), float(last["time"])


def training_speed(pairs: int, slices: int = 1) -> None:
    """Steps per second with screens, as a share of separate headless processes."""
    ratios, rates = [], ([], [])  # type: ignore[var-annotated]
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as home:
            both = Alternating(home)
            try:
                found = [both.rate(number % 2) for number in range(2 * slices + 1)]  # begins and ends with the screens
            finally:
                both.close()
        ratios.append(statistics.fmean(found[::2]) / statistics.fmean(found[1::2]))
        rates[0].append(statistics.fmean(found[::2]))
        rates[1].append(statistics.fmean(found[1::2]))
    low, middle, high = statistics.quantiles(ratios, n=4)
    shown, hidden = (statistics.median(one) for one in rates)
    print(
        f"speed beside headless {shown / hidden:.3f}: {shown:.0f} steps/s with screens, {hidden:.0f} without, medians "
        f"of {pairs} processes each; of pairs {middle:.3f} (quartiles {low:.3f} to {high:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=11, help="of a process with the screens and one without")
    parser.add_argument("--keys", type=int, default=200)
    given = parser.parse_args()
    if given.rounds:
        first_paint(given.rounds)
    if given.keys:
        key_latency(given.keys)
    training_speed(given.pairs)


if __name__ == "__main__":
    main()
