"""How torch's threads wait for each other, which is settled when torch is loaded."""

from __future__ import annotations

import os

SPINS = "1000"  # 10 microseconds: as long as threads mostly wait within a step


def set_waiting() -> None:
    """Let threads sleep after a moment of spinning, unless the user has said how they wait.

    The usual 3 ms of spinning make a shared machine crawl; none at all, and two threads are no faster than one on an
    idle machine, for waking one up takes as long as an operation.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
