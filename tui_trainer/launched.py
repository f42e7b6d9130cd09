"""Torchrun as a child that ends with its parent: `python -m tui_trainer.launched OPTIONS -- WORDS`.

OPTIONS are torchrun's, WORDS those of this program, which torchrun's parser must not see: it takes `--nproc` for one
of its own.
"""

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
    from torch.distributed.elastic.multiprocessing.errors import record

    parser, border = run.get_args_parser(), sys.argv.index("--")
    known = {option for action in parser._actions for option in action.option_strings}
    options = ["--signals-to-handle=SIGTERM,SIGINT"] if "--signals-to-handle" in known else []
    arguments = parser.parse_args([*options, *sys.argv[1:border], "-m", "tui_trainer"])
    arguments.training_script_args = sys.argv[border + 1 :]
    record(run.run)(arguments)


if __name__ == "__main__":
    main()
