"""Memory and processor time of this process and its workers, for the status line."""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_last = [0.0, 0.0, 0.0]  # wall clock, processor time, share


def memory_megabytes() -> float:
    """Resident memory of this process; 0 where /proc is not there."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0


def cpu_share() -> float:
    """Processor time per second of wall clock, over about the last second; 1 is one core."""
    now, used = time.monotonic(), sum(os.times()[:4])
    if now - _last[0] >= 1.0:
        _last[2] = (used - _last[1]) / (now - _last[0]) if _last[0] else 0.0
        _last[0], _last[1] = now, used
    return _last[2]
