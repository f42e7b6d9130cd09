"""What happens to a run of several processes: kills, signals, other numbers of processes, keys.

python -m benchmarks.ranks kill [TIMES]     kill -9 of each rank: seconds to the next step, is the replay identical
python -m benchmarks.ranks end              SIGTERM to launcher, torchrun, each rank; kill -9 of the launcher
python -m benchmarks.ranks reshape          2 ranks, stopped, 1, stopped, 3: each sample once, the curve of one
python -m benchmarks.ranks keys [TIMES]     a command in the file until the event that all ranks obeyed
python -m benchmarks.ranks sockets          where the processes listen

With the word fsdp at the end the network is shared out among the processes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui_trainer.commands import Pause, Resume, Stop
from tui_trainer.run_folder import RunFolder

DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
COMMON = ("--threads", "1", "-b", "64", "--log-every", "1", "--checkpoint-every", "20steps")
PATIENCE = 120.0
FSDP = sys.argv[-1] == "fsdp"


def processes(nproc: int) -> list[str]:
    return ["--nproc", str(nproc), "--strategy", "fsdp" if FSDP and nproc > 1 else "ddp"]


def start(folder: Path, *more: str, nproc: int = 2) -> subprocess.Popen[bytes]:
    words = ["--no-tui", *processes(nproc), str(DIGITS), *COMMON, "--output-dir", str(folder), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tui_trainer", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def records(folder: Path) -> list[dict[str, Any]]:
    with contextlib.suppress(OSError):
        lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]
    return []


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise SystemExit("waited too long")
        time.sleep(0.01)
    return found


def below(pid: int) -> list[tuple[int, str]]:
    """The processes below one, with their command lines."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, to_do = list[tuple[int, str]](), [pid]
    while to_do:
        for child in parents.get(to_do.pop(), []):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((child, words))
                to_do.append(child)
    return found


def ranks_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Process numbers of the ranks, by rank."""
    found: dict[int, int] = {}
    for pid, words in below(process.pid):
        if "-m tui_trainer --no-tui" in words.replace("-u ", ""):
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                rank = next((v.partition(b"=")[2] for v in environment if v.startswith(b"RANK=")), b"")
                if rank:
                    found[int(rank)] = pid
    return [found[rank] for rank in sorted(found)]


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def steps(folder: Path) -> list[tuple[int, float, float]]:
    """Step, loss and time of each progress of training."""
    return [(r["step"], r["metrics"]["batch_loss"], r["time"]) for r in records(folder) if r.get("part") == "train"]


@contextlib.contextmanager
def folder_for_runs() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ranks-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    RunFolder(folder).send(Stop())
    process.wait(PATIENCE)


def kill(times: int) -> None:
    """Each rank is killed so often; the run must go on by itself from the last commit."""
    for rank in (0, 1):
        took, replayed = [], 0
        for number in range(times):
            with folder_for_runs() as root:
                folder = root / "run"
                process = start(folder, "--epochs", "100000")
                wait_for(lambda: len(steps(folder)) > 25 + random.randrange(30))  # noqa: B023
                killed_at = time.time()
                os.kill(ranks_of(process)[rank], signal.SIGKILL)
                wait_for(lambda: steps(folder)[-1][2] > killed_at + 0.5 and len(starts(folder)) > 1)  # noqa: B023
                again = wait_for(lambda: after_start(folder))  # noqa: B023
                took.append(again[0][2] - killed_at)
                time.sleep(1.5)
                first: dict[int, float] = {}
                for step, loss, at in steps(folder):
                    if at < again[0][2]:
                        first[step] = loss
                    elif step in first:
                        replayed += 1
                        assert first[step] == loss, f"step {step} came out otherwise"
                attempts = len(starts(folder))
                assert attempts == 2, f"{attempts - 1} restarts"
                end(process, folder)
                print(f"rank {rank}, kill {number + 1}: next step after {took[-1]:.1f} s", flush=True)
        print(f"rank {rank}: {times} of {times} at the first restart, replayed {replayed} steps, bit for bit")
        print(f"rank {rank}: longest {max(took):.1f} s")


def starts(folder: Path) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == "run_started"]


def after_start(folder: Path) -> list[tuple[int, float, float]]:
    """The steps after the last start."""
    began = starts(folder)[-1]["time"]
    return [one for one in steps(folder) if one[2] >= began]


def end_in_every_way() -> None:
    """Who gets a signal; when the run has ended, when the last process is gone, and what is left."""
    ways = ("launcher", "torchrun", "rank 0", "rank 1", "kill -9 of the launcher")
    for way in ways:
        with folder_for_runs() as root:
            folder = root / "run"
            process = start(folder, "--epochs", "100000")
            wait_for(lambda: len(steps(folder)) > 40)  # noqa: B023
            ranks = ranks_of(process)
            everything = [process.pid, *(pid for pid, _ in below(process.pid))]
            torchrun = next(pid for pid, words in below(process.pid) if "tui_trainer.launched" in words)
            target = {"torchrun": torchrun, "rank 0": ranks[0], "rank 1": ranks[1]}.get(way, process.pid)
            began = time.time()
            os.kill(target, signal.SIGKILL if "-9" in way else signal.SIGTERM)
            last = wait_for(lambda: next((r for r in records(folder) if r["kind"] == "run_ended"), None))  # noqa: B023
            process.poll()
            wait_for(lambda: process.poll() is not None and not any(map(lives, everything)))  # noqa: B023
            gone = time.time() - began
            saved = (folder / "checkpoints" / f"step-{last['step']}.json").exists()
            print(
                f"{way:<24} {last['outcome']} at step {last['step']}, checkpoint {saved}, event after "
                f"{last['time'] - began:.2f} s, no process after {gone:.2f} s, exit code {process.returncode}",
                flush=True,
            )


def reshape() -> None:
    """2 ranks to some batch, 1 to another, 3 to the end, against one process."""
    with folder_for_runs() as root:
        wanted_at, folder = root / "one", root / "run"
        start(wanted_at, "--epochs", "3", nproc=1).wait()
        for number, (nproc, stop_after) in enumerate(((2, 30), (1, 50), (3, 0))):
            more = ("--epochs", "3") if not number else ()
            words = ["--no-tui", *processes(nproc), "--resume", str(folder)]
            process = (
                start(folder, *more, nproc=nproc)
                if not number
                else subprocess.Popen([sys.executable, "-m", "tui_trainer", *words], stdout=subprocess.DEVNULL)
            )
            if stop_after:
                wait_for(lambda: steps(folder) and steps(folder)[-1][0] >= stop_after)  # noqa: B023
                RunFolder(folder).send(Stop())
            process.wait(PATIENCE)
            print(f"{nproc} ranks until step {steps(folder)[-1][0]}")
        one, other = ({step: loss for step, loss, _ in steps(path)} for path in (wanted_at, folder))
        assert one.keys() == other.keys(), "steps are missing"
        samples = [[r["samples"] for r in records(path) if r.get("part") == "train"] for path in (wanted_at, folder)]
        print(f"largest difference of {len(one)} losses: {max(abs(one[s] - other[s]) for s in one):.2e}")
        print(f"samples an epoch: {max(samples[0])} and {max(samples[1])}")
        print("validation:", *[r["metrics"]["val_top1"] for r in records(wanted_at) if r["kind"] == "evaluated"])
        print("validation:", *[r["metrics"]["val_top1"] for r in records(folder) if r["kind"] == "evaluated"])


def keys(times: int) -> None:
    """From a command in the file to the event, which comes when all ranks have obeyed."""
    with folder_for_runs() as root:
        folder, took = root / "run", list[float]()
        process = start(folder, "--epochs", "100000")
        wait_for(lambda: len(steps(folder)) > 40)
        file = (folder / "events.jsonl").open("rb")
        for number in range(2 * times):
            time.sleep(0.05 + 0.1 * random.random())
            file.seek(0, os.SEEK_END)
            began = time.time()
            RunFolder(folder).send(Resume() if number % 2 else Pause())
            kind, rest = b'"resumed"' if number % 2 else b'"paused"', b""
            while kind not in rest:
                rest += file.read()
                time.sleep(0.001)
            took.append(time.time() - began)
        end(process, folder)
        pauses = sorted(took[::2])
        p50, p95 = pauses[len(pauses) // 2], pauses[int(0.95 * len(pauses))]
        print(f"pause obeyed by both ranks: p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, {len(pauses)} times")
        losses = steps(folder)
        gaps = sorted(two[2] - one[2] for one, two in itertools.pairwise(losses[5:]))
        print(f"a step takes {1000 * gaps[len(gaps) // 2]:.1f} ms (median)")


def sockets() -> None:
    """Addresses on which a process of the run listens."""
    with folder_for_runs() as root:
        folder = root / "run"
        process = start(folder, "--epochs", "100000")
        wait_for(lambda: len(steps(folder)) > 10)
        pids = [process.pid, *(pid for pid, _ in below(process.pid))]
        inodes = set()
        for pid in pids:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(descriptor.readlink()))
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                    found.add(columns[1].partition(":")[0])
        print("listening on", {address(one) for one in found} or "nothing")
        end(process, folder)


def address(hexadecimal: str) -> str:
    """What /proc/net/tcp has of an IPv4 address, as people write it; IPv6 as it is."""
    if len(hexadecimal) != 8:
        return hexadecimal
    return ".".join(str(int(hexadecimal[i : i + 2], 16)) for i in (6, 4, 2, 0))


def main() -> None:
    what, *more = [word for word in sys.argv[1:] if word != "fsdp"] or [""]
    match what:
        case "kill":
            kill(int(more[0]) if more else 10)
        case "end":
            end_in_every_way()
        case "reshape":
            reshape()
        case "keys":
            keys(int(more[0]) if more else 40)
        case "sockets":
            sockets()
        case _:
            print(__doc__)
    print("load", os.getloadavg())


if __name__ == "__main__":
    main()
