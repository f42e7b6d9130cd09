"""What each hostile or broken weight file costs at full size: seconds and memory, each in a process of its own.

Run from the repository: `python -m benchmarks.weights_hostile`. The issue's bar: no crash, no raw exception, no
payload, at most 5 s and 500 MB for each file. Memory is what the process takes more than one that opens nothing.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.weights.hostile_files import write_all
from tests.weights.hostile_run import outcome

PATIENCE = 60  # seconds
SHOWN = 12


def one(path: Path, answer: Connection) -> None:
    """Opens a file and reads its tensors; answers with (seconds, peak in MB, traceback)."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    bug = outcome(path)["bug"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.send((time.perf_counter() - began, (peak - before) / 1024, bug))


def main() -> None:
    import torch

    import tui_trainer.weights.tensors  # noqa: F401 - its memory is not the files'

    torch.zeros(1)
    forked = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        files, canary = Path(folder) / "files", Path(folder) / "canary"
        files.mkdir()
        results, wrong = [], 0
        for path in write_all(files, canary):
            mine, theirs = forked.Pipe(duplex=False)
            process = forked.Process(target=one, args=(path, theirs))
            process.start()
            theirs.close()
            found = mine.recv() if mine.poll(PATIENCE) else (float(PATIENCE), 0.0, "it hangs")
            process.kill()
            process.join()
            wrong += bool(found[2])
            results.append((path.name, *found))
        print(f"{len(results)} files, payloads run: {int(canary.exists())}, crashes, hangs and raw exceptions: {wrong}")
    for what, at, unit in (("slowest", 1, "s"), ("largest", 2, "MB")):
        print(what)
        for result in sorted(results, key=lambda row: -row[at])[:SHOWN]:
            print(f"  {result[at]:8.2f} {unit}  {result[0]}  {result[3][-200:]}")


if __name__ == "__main__":
    main()
