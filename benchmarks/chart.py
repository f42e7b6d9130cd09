"""What a live chart costs: CPU time and bytes to the terminal per frame, and memory.

Each row starts an app with one chart that fills a terminal of its own (a pty of 120 x 40 cells),
gives it a history, and then appends some points and draws, again and again.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import tracemalloc
from collections.abc import Iterator

from textual.app import App, ComposeResult

from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.picture import Line
from tui_trainer.tui.widgets.series import Series

COLUMNS, ROWS = 120, 40
EPOCHS = 50  # which the history fills; the frames go on from there


def noisy(count: int) -> Iterator[float]:
    """A falling loss with repeatable noise."""
    for i in range(count):
        yield 2.3 / (1 + 6 * i / count) + 0.2 * math.sin(i * 12.9898) ** 3


class Live(App[None]):
    """Draws `frames` times, then writes what that cost to `report` and leaves."""

    def __init__(self, *, points: int, frames: int, fresh: int, report: int, glyphs: str) -> None:
        super().__init__()
        self.points, self.frames, self.fresh, self.report = points, frames, fresh, report
        self.chart = Chart("loss", [Line(name="train"), Line(name="val")], smoothing=0.9, glyphs=glyphs)
        self.step = 0
        self.began = 0.0

    def compose(self) -> ComposeResult:
        """One chart."""
        yield self.chart

    def on_mount(self) -> None:
        """Give the chart its history."""
        for i, loss in enumerate(noisy(self.points)):
            self.chart.append("train", i * EPOCHS / self.points, loss)
        for epoch, loss in enumerate(noisy(EPOCHS)):
            self.chart.append("val", epoch, loss + 0.1)
        self.set_timer(1.0, self.measure)

    def measure(self) -> None:
        """Start the frames."""
        os.write(self.report, b"start\n")
        self.began = time.process_time()
        self.ticks = self.set_interval(0.05, self.frame)

    def frame(self) -> None:
        """Append and draw. A busy machine skips ticks, so that frames are counted here."""
        for _ in range(self.fresh):
            self.step += 1
            epoch = EPOCHS * (1 + 0.2 * self.step / (self.frames * self.fresh))
            self.chart.append("train", epoch, 0.35 + 0.1 * math.sin(self.step))
        self.chart.flush()
        if self.step == self.frames * self.fresh:
            self.ticks.stop()
            self.set_timer(0.2, self.finish)

    def finish(self) -> None:
        """Report, and measure drawing everything on the way out."""
        cost = time.process_time() - self.began
        os.write(self.report, b"end\n")
        full = time.process_time()
        for _ in range(10):
            self.chart._build()
        full = time.process_time() - full
        os.write(self.report, json.dumps({"cpu": cost, "full": full / 10}).encode() + b"\n")
        self.exit()


def observe(arguments: argparse.Namespace, points: int) -> tuple[float, float, float]:
    """CPU-ms and bytes per frame, and CPU-ms to rebuild the picture, with `points` before."""
    terminal, child_terminal = pty.openpty()
    fcntl.ioctl(child_terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    read, write = os.pipe()
    options = ["--child", str(points), "--report", str(write)]
    options += ["--frames", str(arguments.frames), "--fresh", str(arguments.fresh), "--glyphs", arguments.glyphs]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    child = subprocess.Popen(
        [sys.executable, __file__, *options],
        stdin=child_terminal, stdout=child_terminal, stderr=child_terminal,
        pass_fds=[write], env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(child_terminal)
    os.close(write)
    said, screen, written = b"", b"", 0
    while not said.endswith(b"}\n"):
        ready, _, _ = select.select([terminal, read], [], [], 60)
        if not ready or (read in ready and not (news := os.read(read, 4096))):
            child.kill()
            raise SystemExit(f"the app did not finish; it wrote at last: {screen!r}")
        if read in ready:
            said += news
        if terminal in ready:
            screen = os.read(terminal, 65536)
            written += len(screen) if b"start" in said and b"end" not in said else 0
    drain(terminal, child)
    costs = json.loads(said.splitlines()[-1])
    return costs["cpu"] * 1e3 / arguments.frames, written / arguments.frames, costs["full"] * 1e3


def drain(terminal: int, child: subprocess.Popen[bytes]) -> None:
    """Read what the app says goodbye with, so that it can end."""
    while child.poll() is None:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
    child.wait()
    os.close(terminal)


def memory(points: int) -> tuple[float, float]:
    """The most megabytes that a series held while it took `points` samples; and seconds, untraced."""
    began = time.process_time()
    fill(points)
    seconds = time.process_time() - began
    tracemalloc.start()
    fill(points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6, seconds


def fill(points: int) -> Series:
    """A series that has taken `points` samples."""
    series = Series()
    for i, loss in enumerate(noisy(points)):
        series.append(i * 1e-4, loss)
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="history sizes")
    parser.add_argument("--frames", type=int, default=60, help="frames per size, 20 a second")
    parser.add_argument("--fresh", type=int, default=5, help="points that each frame appends")
    parser.add_argument("--glyphs", choices=("braille", "half", "ascii"), default="braille")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        Live(
            points=arguments.child, frames=arguments.frames, fresh=arguments.fresh,
            report=arguments.report, glyphs=arguments.glyphs,
        ).run()  # fmt: skip
        return
    print(f"{'points':>9}  {'CPU-ms/frame':>12}  {'bytes/frame':>11}  {'CPU-ms/rebuild':>14}")
    for points in arguments.points:
        cost, written, full = observe(arguments, points)
        print(f"{points:>9}  {cost:>12.2f}  {written:>11.0f}  {full:>14.2f}", flush=True)
    megabytes, seconds = memory(1_000_000)
    print(f"1,000,000 points in one series: {megabytes:.1f} MB, {seconds:.1f} s of CPU")


if __name__ == "__main__":
    main()
