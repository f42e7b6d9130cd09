"""Torch's own launcher, torchrun: what it says to the processes that it starts, and how this program starts it.

On one machine the processes meet through files in a folder that only their owner can read, and talk over the
loopback interface: nothing listens to the network. (Torch's default, a store on a port of every interface, also
hands the addresses of dead processes to those that replace them.)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.background import Background, start_in
from tui_trainer.errors import BY_EXIT_CODE, ConfigError, UserError
from tui_trainer.run_folder import RunFolder
from tui_trainer.text import display

MEETING = "TUI_TRAINER_MEETING"  # names the folder through which the processes of one machine meet
END_WITHIN = 300  # seconds in which a rank saves what it has before it is killed
BY_TORCHRUN = "Start several processes by --nproc or torchrun; unset RANK and WORLD_SIZE for a single one."
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


@dataclass(frozen=True, kw_only=True)
class Place:
    """This process among those that torchrun started. `launch`: the same word after a restart, empty if unknown."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    attempt: int
    attempts: int
    launch: str
    meeting: Path | None

    @property
    def store(self) -> Path | None:
        """A file that is new in each attempt."""
        return self.meeting / f"store-{self.attempt}" if self.meeting else None


def place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Where this process stands; None if no launcher started it.

    Raises:
        ConfigError: what the launcher left in the environment does not go together.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return None
    launch = environment.get("TORCHELASTIC_RUN_ID", "none")
    rank, size = _number(environment, "RANK", 0), _number(environment, "WORLD_SIZE", 1)
    if not 0 <= rank < size:
        raise ConfigError(f"RANK = {rank} and WORLD_SIZE = {size}: ranks count from 0 to {size - 1}. {BY_TORCHRUN}")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
    if missing and size > 1 and MEETING not in environment:
        raise ConfigError(f"RANK and WORLD_SIZE are set, but not {' and '.join(missing)}. {BY_TORCHRUN}")
    return Place(
        rank=rank,
        size=size,
        local_rank=_number(environment, "LOCAL_RANK", 0),
        local_size=_number(environment, "LOCAL_WORLD_SIZE", 1),
        attempt=_number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
        attempts=_number(environment, "TORCHELASTIC_MAX_RESTARTS", 0),
        launch="" if launch == "none" else launch,
        meeting=Path(environment[MEETING]) if MEETING in environment else None,
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{name} = {display(value, 60)} in the environment is no number. {BY_TORCHRUN}") from None


@dataclass(frozen=True)
class Launched:
    """Processes that were started together."""

    process: Background
    meeting: Path

    def refusal(self) -> UserError | None:
        """Why one of them refused to go on."""
        return refusal(self.meeting)


@contextlib.contextmanager
def launched(words: Sequence[str], folder: RunFolder, *, nproc: int, max_restarts: int) -> Iterator[Launched]:
    """`nproc` processes that train into `folder` by the flags `words`; those that are left at the end are ended."""
    meeting = Path(tempfile.mkdtemp(prefix="tui-trainer-"))  # for the owner only
    command = [sys.executable, "-m", "tui_trainer.launched", *_options(meeting, nproc, max_restarts)]
    started = start_in(folder, [*command, "--", "--no-tui", *words], _environment(meeting, nproc))
    try:
        yield Launched(started, meeting)
    finally:
        if started.process.poll() is None:
            started.process.terminate()
            started.process.wait()
        shutil.rmtree(meeting, ignore_errors=True)


def _options(meeting: Path, nproc: int, max_restarts: int) -> list[str]:
    return [
        "--nnodes=1",
        f"--nproc-per-node={nproc}",
        f"--max-restarts={max_restarts}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={meeting / 'meeting'}",
        "--rdzv-conf=store_type=file",
        f"--rdzv-id={uuid.uuid4().hex}",
        "--local-addr=127.0.0.1",
    ]


def _environment(meeting: Path, nproc: int) -> dict[str, str]:
    """Settings of the user stay; a core has one thread."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ours = {
        "GLOO_SOCKET_IFNAME": LOOPBACK,
        "NCCL_SOCKET_IFNAME": LOOPBACK,
        "OMP_NUM_THREADS": str(max(1, cores // nproc)),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(END_WITHIN),
    }
    return {**ours, **os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", MEETING: str(meeting)}


def leave_refusal(meeting: Path | None, error: UserError) -> None:
    """For the launcher, which learns of its processes only that they failed; the first one is the reason."""
    if meeting is not None:
        with contextlib.suppress(OSError), (meeting / "refusal").open("x", encoding="utf-8") as file:
            file.write(f"{error.exit_code} {error}")


def refusal(meeting: Path) -> UserError | None:
    """What `leave_refusal` left."""
    with contextlib.suppress(OSError, ValueError):
        code, _, words = (meeting / "refusal").read_text("utf-8").partition(" ")
        return BY_EXIT_CODE.get(int(code), UserError)(words)
    return None
