"""Torchrun as a child that ends with its parent: `python -m tui_trainer.launched` takes torchrun's arguments."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends, however it does: nothing trains that nobody can see.

    Linux only; elsewhere a parent that is killed leaves its children behind.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before it was asked
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run torchrun; a hang-up of the terminal is not for it."""
    end_with_parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from torch.distributed import run

    known = {option for action in run.get_args_parser()._actions for option in action.option_strings}
    words = ["--signals-to-handle=SIGTERM,SIGINT"] if "--signals-to-handle" in known else []
    run.main([*words, *sys.argv[1:]])


if __name__ == "__main__":
    main()
