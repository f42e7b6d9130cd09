"""`tui-trainer` processes that start in milliseconds: forked from a server which has PyTorch loaded already.

They are processes like others (own session, signals, exit code); only the seconds of importing are shared. The server
imports and builds, and never trains: a process that has run autograd must not be forked.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LATE = ("rich.console", "safetensors.torch", "tui_trainer.headless", "tui_trainer.session")  # imported when needed


@dataclass
class Forked:
    """One process; the server starts the next one when this one is gone."""

    server: Server
    pid: int
    log: Path

    def send_signal(self, number: int) -> None:
        """Send a signal, to a process that has surely not been waited for yet, or to nobody."""
        if not self.server.has_told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        """Whether it is gone, without waiting."""
        return self.server.has_told

    def wait(self) -> int:
        """The exit code, or minus the signal that ended it."""
        return int(self.server.hear())


class Server:
    """The server, from the side of whoever wants processes."""

    def __init__(self, log: Path) -> None:
        self._log = log
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment,
        )  # fmt: skip
        self.hear()

    def start(self, *words: object) -> Forked:
        """Start `tui-trainer` with these words; what it prints is in the log."""
        assert self._popen.stdin is not None
        self._log.write_bytes(b"")
        request = {"words": [str(word) for word in words], "log": str(self._log)}
        self._popen.stdin.write(json.dumps(request).encode() + b"\n")
        self._popen.stdin.flush()
        return Forked(self, int(self.hear()), self._log)

    @property
    def has_told(self) -> bool:
        """Whether there is something to hear."""
        import select

        return bool(select.select([self._popen.stdout], [], [], 0)[0])

    def hear(self) -> str:
        """The next thing that the server tells."""
        assert self._popen.stdout is not None
        line = b""
        while not line.endswith(b"\n"):  # unbuffered, so that `has_told` sees what there is
            byte = os.read(self._popen.stdout.fileno(), 1)
            assert byte, "the server is gone"
            line += byte
        return line.decode()

    def close(self) -> None:
        """End it."""
        self._popen.kill()
        self._popen.communicate()


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server whose processes log into `folder`."""
    made = Server(folder / "forked.log")
    try:
        yield made
    finally:
        made.close()


def serve() -> None:
    """The server itself: fork for each line, tell the process number, then how it ended."""
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="forked-")
    _load()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _load() -> None:
    """Import all that a run needs, by building one."""
    import torch

    from tui_trainer.config import Config
    from tui_trainer.run import prepare

    for module in LATE:
        importlib.import_module(module)
    torch.set_num_threads(1)
    data, folder = ROOT / "sample_data" / "digits", Path(os.environ["XDG_DATA_HOME"])
    values = {"data": str(data), "output_dir": str(folder / "run"), "optimizer": "adamw", "mixup": 0.2, "threads": 1}
    made = prepare(Config().replace(**values))
    made.lock.release()


def _child(request: dict[str, Any]) -> None:
    os.setsid()
    descriptor = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        code = _call(request["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _call(words: Sequence[str]) -> int:
    from tui_trainer import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the server may have been started by nohup
    return cli.main(words)


if __name__ == "__main__":
    serve()
