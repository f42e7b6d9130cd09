"""Memory that is used again once nobody refers to it."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LARGE, HUGE = 4 << 20, 2 << 20  # from where on numpy asks for huge pages, and how large these are


class Scratch(threading.local):
    """Memory of one thread for what it needs no longer than until it asks again."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def of(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """An array with any content."""
        size = math.prod(shape)
        if self._bytes.size < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size].reshape(shape)


class Pool:
    """Flat tensors of one size. One that is still referred to, by any view of it, is never handed out again.

    A tensor made with `from_numpy` holds a reference to its array as long as its storage lives, so that
    the array's own reference count tells whether any tensor still uses the memory. Several threads may take.
    """

    def __init__(self, size: int, dtype: np.dtype[Any], *, pin: bool = False) -> None:
        self.size, self._dtype, self._pin = size, dtype, pin
        self._lock = threading.Lock()
        self._arrays: list[npt.NDArray[Any]] = [np.empty(0, dtype)]
        self._idle = next(self._counts())[1]
        self._arrays.clear()

    def take(self) -> Tensor:
        """A tensor (size,) with any content."""
        with self._lock:
            for number, count in self._counts():
                if count == self._idle:
                    return torch.from_numpy(self._arrays[number])
            self._arrays.append(self._made())
            return torch.from_numpy(self._arrays[-1])

    def _counts(self) -> Any:
        for number, array in enumerate(self._arrays):
            yield number, sys.getrefcount(array)

    def _made(self) -> npt.NDArray[Any]:
        count = self.size * self._dtype.itemsize
        if not self._pin and count < LARGE:
            return np.empty(self.size, self._dtype)
        if not self._pin:  # numpy asks for huge pages, of which the first and the last must be whole to be one
            raw = np.empty(count + HUGE, np.uint8)
            start = -raw.ctypes.data % HUGE
            return raw[start : start + count].view(self._dtype)
        whole: npt.NDArray[Any] = torch.empty(count, dtype=torch.uint8, pin_memory=True).numpy()
        return whole.view(self._dtype)
