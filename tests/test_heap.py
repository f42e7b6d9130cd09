from __future__ import annotations

import ctypes
import os
import platform
import resource
from pathlib import Path

import pytest

from tui_trainer import heap
from tui_trainer.auto import set_up_torch
from tui_trainer.config import Config

SIZE, BLOCKS = 16 << 20, 8  # freed together they are more than the C library keeps by itself
PAGES = SIZE * BLOCKS // os.sysconf("SC_PAGE_SIZE")


def faults_of_use() -> int:
    """Pages that the kernel has to find when as much memory is used as was freed before."""
    c = ctypes.CDLL(None)
    c.malloc.argtypes, c.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    c.free.argtypes, c.free.restype = [ctypes.c_void_p], None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [c.malloc(SIZE) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, SIZE)
    for block in blocks:
        c.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Pages of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries allocate in other ways")
def test_what_a_step_frees_is_there_for_the_next_until_it_is_given_back() -> None:
    set_up_torch(Config())
    faults_of_use()
    assert faults_of_use() < PAGES / 10
    before = resident()
    heap.give_back()
    assert resident() < before - PAGES / 2
