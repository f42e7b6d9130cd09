"""Memory and processor time of this process and its workers, for the status line."""

from __future__ import annotations

import os
import sys
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_last = [0.0, 0.0, 0.0]  # wall clock, processor time, share


def in_words() -> tuple[str, ...]:
    """What of the machine this program uses: processor, memory, memory of the GPU it trains on."""
    used = gpu_gigabytes()
    gpu = (f"GPU {used[0]:.1f}/{used[1]:.0f} GB",) if used else ()
    return (*gpu, f"cpu {cpu_share():.0%}", f"{memory_megabytes():,.0f} MB")


def gpu_gigabytes() -> tuple[float, float] | None:
    """Memory in use and in all of the current CUDA device; None without one, or while torch is not loaded."""
    torch = sys.modules.get("torch")  # looking must not load it
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
        return None
    try:
        free, total = cuda.mem_get_info()
    except RuntimeError:  # the device is gone
        return None
    return (total - free) / 1e9, total / 1e9


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
