from __future__ import annotations

import os
import platform
import resource

import pytest
import torch

from tui_trainer import heap
from tui_trainer.auto import set_up_torch
from tui_trainer.config import Config

SIZE = 64 << 20  # by itself the C library maps and unmaps so large a block each time


def faults_of_use() -> int:
    """Pages that the kernel has to find when as much memory is used as was freed before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(SIZE // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries allocate in other ways")
def test_what_a_step_frees_is_there_for_the_next_until_it_is_given_back() -> None:
    set_up_torch(Config())
    assert min(faults_of_use() for _ in range(4)) < 100  # the heap may grow once more for a block that lies askew
    mapped = pages()
    torch.ones(SIZE // 4)
    heap.give_back()
    assert pages() < mapped - SIZE // os.sysconf("SC_PAGE_SIZE") / 2


def pages() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
