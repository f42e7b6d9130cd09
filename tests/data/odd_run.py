"""Reads every image below a folder as training, validation and the data report do, in a process of its own.

One JSON object a line: the name before it is read, then what became of it; at the end the report's bad files.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tui_trainer.data.datasets import ImageDataset, Spec
from tui_trainer.data.decode import BadImageError, read_image
from tui_trainer.data.examine import EVERYTHING, examine
from tui_trainer.data.folders import scan

GREY = 128
SPEC = Spec(image_size=32, channels=3, resize="squash")


def memory(name: str) -> int:
    """Bytes of this process, from /proc: VmRSS now, VmHWM at most since `forget`."""
    line = next(line for line in Path("/proc/self/status").read_text("ascii").splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10


def forget() -> None:
    """Begin a new peak."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main(folder: Path) -> None:
    """Look at everything."""
    index = scan(folder, None, 0.2, 0)
    ways = [ImageDataset(index, SPEC, "light", training=True), ImageDataset(index, SPEC)]
    ways[0].read([(0, int(i)) for i in np.flatnonzero(index.targets == 1)])  # what is loaded once is not of a file
    read_image(index.path(len(index) - 1), 3)
    for i in range(len(index)):
        name = Path(os.fsdecode(index.name(i))).name
        print(json.dumps({"name": name}), flush=True)
        forget()
        before, began = memory("VmRSS"), time.perf_counter()
        batches = [way.read([(0, i)]) for way in ways]
        told: dict[str, Any] = {
            "bad": [batch.bad[0][1] if batch.bad else "" for batch in batches],
            **whole(index.path(i)),
        }
        told |= {"seconds": time.perf_counter() - began, "memory": memory("VmHWM") - before}
        print(json.dumps(told), flush=True)
    *_, report = examine(index, EVERYTHING, pace=9e9)
    print(json.dumps({"report": [Path(os.fsdecode(name)).name for name, _ in report.bad]}), flush=True)


def whole(path: bytes) -> dict[str, Any]:
    """The picture as it is decoded: its shape, its mean colour, and the part that libjpeg would have filled in."""
    try:
        pixels = read_image(path, 3)
    except BadImageError:
        return {"shape": None}
    filled = float((pixels == GREY).all(-1).mean())
    return {"shape": pixels.shape, "mean": pixels.mean((0, 1)).tolist(), "filled": filled}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
