"""The memory of this process: what a step of training frees is kept for the next one."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
SAID_BY = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_"
KEPT = 1 << 30  # free bytes at the end of the heap that are kept
ON_THE_HEAP = 32 << 20  # larger blocks are mapped: freed on the heap, each may leave a gap that none of its size fits


def keep_freed() -> None:
    """Have the C library keep what is freed, unless the environment says how it shall allocate.

    A step frees its activations, and the next one wants as much again: given back to the kernel in between, every page
    is a fault, which was up to a third of a step of LeNet and a fourteenth of one of resnet18. GNU's library only.
    """
    told = "malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in SAID_BY)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if told or mallopt is None:
        return
    if mallopt(M_MMAP_THRESHOLD, ON_THE_HEAP):  # the most that all versions take
        mallopt(M_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """Let the kernel have what is free, once no step is to come soon."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
