"""The screens on a real pseudo terminal: first paint, key to drawn answer, training speed beside headless.

Run from the repository: `python -m benchmarks.screens`. Wall-clock times on a shared machine are noisy: medians of
interleaved rounds, and the ratio is of pairs that follow one another in the same process.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import time
from pathlib import Path

from tests.tui.pty_app import PtyApp

SLICE = 2.0  # seconds with the screens, and without
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


def last_step(events: Path) -> int:
    """The newest step that a run has told of."""
    lines = events.read_bytes()[-20_000:].split(b"\n")[1:-1]
    return max(int(json.loads(line).get("step", 0)) for line in lines)


def training_speed(rounds: int) -> None:
    """Steps per second with the screens at work, as a share of those in the same process while they sleep.

    Two processes would not do: from one to the next the same training differs by up to a third.
    """
    asleep = f"import signal, time; signal.signal(signal.SIGUSR1, lambda *_: time.sleep({SLICE})); "
    with tempfile.TemporaryDirectory() as home:
        folders = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), home)
        words = [str(DIGITS), "--epochs", "100000", "--output-dir", f"{home}/run"]
        app = PtyApp(asleep + MAIN, folders, size=(120, 40), args=words)
        app.read_until("Quit")
        app.idle(4)  # PyTorch is loaded by then
        app.send(b"\x12")
        app.read_until("checkpoint", 60)
        app.idle(2)
        events, rates = Path(home, "run", "events.jsonl"), ([], [])  # type: tuple[Path, tuple[list[float], list[float]]]
        for number in range(2 * rounds):
            before, began = last_step(events), time.perf_counter()
            if number % 2:
                app.kill(signal.SIGUSR1)
            app.idle(SLICE)
            rates[number % 2].append((last_step(events) - before) / (time.perf_counter() - began))
        app.close()
    ratios = [drawn / without for drawn, without in zip(*rates, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    overall = sum(rates[0]) / sum(rates[1])
    print(
        f"speed beside headless median {middle:.3f} of {rounds} pairs (quartiles {low:.3f} to {high:.3f}), "
        f"{overall:.3f} over all; {statistics.median(rates[0]):.0f} steps/s with screens"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=30, help="of two seconds each with the screens and without")
    parser.add_argument("--keys", type=int, default=200)
    given = parser.parse_args()
    first_paint(given.rounds)
    key_latency(given.keys)
    training_speed(given.pairs)


if __name__ == "__main__":
    main()
