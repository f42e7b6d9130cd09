"""The weights screen on a real pseudo terminal of 80x24, with a file of 1,000 layers: key to drawn answer.

Run from the repository: `python -m benchmarks.weights_screen`. Model and file have 1,000 layers, many of them under
names made to harm a terminal; the worst choice for the patterns (every second layer left out) is made first. The
issue's bar: filter and toggle answer within 0.1 s.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.screens import DIGITS, answer, start

LAYERS = 1000
BAR = 0.1  # seconds
NET = '''
from torch import nn

ODD = ["[@click=quit]w[/]", "[/red]", "x" * 300, "\\x1b[31mred", "\\x1b]0;t\\x07", "line\\nbreak", "\\u202egnp", "a,b"]


class Net(nn.Module):
    """1,000 layers in 100 blocks; in each block half of the names are hostile."""

    def __init__(self, num_classes=10, **_):
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict(block(number)) for number in range(100))

    def forward(self, x):
        x = x.mean((2, 3))[:, :1].expand(-1, 10)
        for block in self.blocks:
            for layer in block.values():
                x = layer(x)
        return x


def block(number):
    return {f"{ODD[(number + k) % len(ODD)] if k % 2 else 'conv'}{k}": nn.Linear(10, 10) for k in range(10)}
'''


def write(folder: Path) -> list[str]:
    """The model's code and its weight file; the words for the command line."""
    import torch

    code = folder / "net.py"
    code.write_text(NET, "utf-8")
    space: dict[str, type[torch.nn.Module]] = {}
    exec(compile(NET, "net.py", "exec"), space)
    torch.save(space["Net"]().state_dict(), folder / "thousand.pth")
    return ["--model", f"{code}:Net", "--trust-code", "--pretrained", str(folder / "thousand.pth")]


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each answer, by what was pressed."""
    app, _ = start(str(folder), str(DIGITS), *write(folder), size=(80, 24))
    times: dict[str, list[float]] = {}

    def timed(what: str, key: bytes, shown: str) -> None:
        times.setdefault(what, []).append(answer(app, key, shown))
        app.idle(0.3)  # the statistics of the layer under the cursor are read meanwhile

    app.read_until("Quit")
    app.send(b"3")
    app.read_until("2,000 of 2,000 tensors", 60)
    app.send(b"\t")
    app.idle(2)
    for _ in range(rounds):
        timed("filter, first letter", b"/v", "500 of 1,000 layers")
        timed("filter, next letter", b"4", "100 of 1,000 layers")
        timed("filter to regex", b"\t", "regular expression")
        timed("regex, one more letter", b"$", "100 of 1,000 layers")
        app.send(b"\x1b")
        app.idle(0.7)
        app.send(b"/v")
        app.read_until("500 of 1,000 layers")
        app.send(b"\r")
        app.idle(0.5)
        timed("none of 500 shown", b"n", "1,000 of 2,000 tensors")
        timed("toggle one of 1,000, 500 patterns", b" ", "1,002 of 2,000 tensors")
        timed("toggle it back", b" ", "1,000 of 2,000 tensors")
        timed("freeze one", b"f", "frozen")
        timed("let it train", b"f", "left out")
        timed("invert 500", b"i", "2,000 of 2,000 tensors")
        app.send(b"/\x1b")
        app.idle(0.7)
    app.close()
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), rounds=5)
    for what, seconds in times.items():
        middle, worst = 1000 * statistics.median(seconds), 1000 * max(seconds)
        print(
            f"{what:34} median {middle:5.0f} ms   worst {worst:5.0f} ms   {'' if worst <= 1000 * BAR else 'over 100'}"
        )
    every = [value for seconds in times.values() for value in seconds]
    print(f"{len(every)} answers, {sum(value <= BAR for value in every)} within {1000 * BAR:.0f} ms")


if __name__ == "__main__":
    main()
