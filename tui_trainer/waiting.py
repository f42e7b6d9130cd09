"""How torch's threads wait for each other, which is settled when torch is loaded."""

from __future__ import annotations

import os

POLICY, SPINS = "PASSIVE", "20000"  # 0.2 ms, four times as long as it takes to wake a thread up


def set_waiting() -> None:
    """Let threads sleep after a moment of spinning, unless the user has said how they wait.

    The usual 3 ms of spinning make a shared machine crawl; none at all, and two threads are no faster than one on an
    idle machine, for waking one up takes as long as an operation. `Patience` cuts it short beside other programs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = POLICY
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def is_ours() -> bool:
    """Whether threads wait as they were told here."""
    return os.environ.get("OMP_WAIT_POLICY") == POLICY and os.environ.get("GOMP_SPINCOUNT") == SPINS
