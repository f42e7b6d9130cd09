"""Private memory that is taken where it is first written, in huge pages while these are quick to get.

A small page takes a fault of its own: as much as a quarter of the decoding of the image that is written there. A huge
one of recycled memory costs next to nothing. Where a virtual machine must ask its host for it first, it costs more than
512 faults; how long the last one took says which.
"""

from __future__ import annotations

import mmap
import threading
import time

import numpy as np
import torch
from torch import Tensor

HUGE = 2 << 20
SLOW = 0.7e-3  # seconds of processor time; small pages take about as long
FEWEST, MOST = 8, 1024  # huge pages that are passed over after a slow one


class Pages:
    """`memory` of `count` bytes (uint8); `take` is called before a part of it is written for the first time."""

    def __init__(self, count: int) -> None:
        self._map = mmap.mmap(-1, count + 2 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = np.frombuffer(self._map, np.uint8)
        self._start = -whole.ctypes.data % HUGE
        self._whole = whole
        self.memory: Tensor = torch.from_numpy(whole[self._start : self._start + count])
        self._taken = bytearray(count // HUGE + 1)
        self._lock = threading.Lock()
        self._skip, self._next = (0, FEWEST) if hasattr(mmap, "MADV_HUGEPAGE") else (len(self._taken), MOST)

    def take(self, begin: int, end: int) -> None:
        """Have the pages of these bytes ready."""
        for number in range(begin // HUGE, (end - 1) // HUGE + 1):
            if not self._taken[number]:
                with self._lock:  # nobody may write there before
                    if not self._taken[number]:
                        self._take(number)
                        self._taken[number] = 1

    def _take(self, number: int) -> None:
        if self._skip:
            self._skip -= 1
            return
        at = self._start + number * HUGE
        began = time.thread_time()
        try:
            self._map.madvise(mmap.MADV_HUGEPAGE, at, HUGE)
        except OSError:  # a kernel without them
            self._skip = len(self._taken)
            return
        self._whole[at] = 0
        if time.thread_time() - began > SLOW:
            self._skip, self._next = self._next, min(MOST, 2 * self._next)
        else:
            self._next = FEWEST
