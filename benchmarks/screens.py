"""The screens on a real pseudo terminal: first paint, key to drawn answer, training speed beside headless.

Run from the repository: `python -m benchmarks.screens`. Wall-clock times on a shared machine are noisy: medians of
interleaved rounds, and the ratio is of pairs run one after the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tui.pty_app import PtyApp

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


def training_seconds_headless(home: str, epochs: int) -> float:
    """Seconds trained without the screens."""
    words = [str(DIGITS), "--no-tui", "--json", "--epochs", str(epochs), "--output-dir", f"{home}/headless"]
    done = subprocess.run([sys.executable, "-m", "tui_trainer", *words], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["seconds"])


def training_seconds_screens(home: str, epochs: int) -> float:
    """Seconds trained with the training screen shown."""
    words = [str(DIGITS), "--epochs", str(epochs), "--output-dir", f"{home}/screens"]
    app, _ = start(home, *words, size=(120, 40))
    app.read_until("Quit")
    app.idle(4)  # PyTorch is loaded by then
    app.send(b"\x12")
    app.read_until("trains again", 300)
    app.send(b"q")
    app.wait()
    app.close()
    return float(json.loads(Path(home, "screens", "events.jsonl").read_text("ascii").splitlines()[-1])["seconds"])


def training_speed(rounds: int, epochs: int) -> None:
    """Steps per second in the screens as a share of headless."""
    ratios = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            both = [training_seconds_headless, training_seconds_screens]
            order = both if number % 2 else both[::-1]
            seconds = {run.__name__: run(home, epochs) for run in order}
        ratios.append(seconds["training_seconds_headless"] / seconds["training_seconds_screens"])
    print(f"speed beside headless {statistics.median(ratios):.3f} (pairs: {', '.join(f'{r:.3f}' for r in ratios)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    first_paint(given.rounds)
    key_latency(given.keys)
    training_speed(given.rounds, given.epochs)


if __name__ == "__main__":
    main()
