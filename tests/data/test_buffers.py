import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from tui_trainer.data.buffers import HUGE, LARGE, Pool


def test_memory_comes_back_when_nothing_refers_to_it() -> None:
    pool = Pool(10, np.dtype(np.uint8))
    one = pool.take()
    assert one.shape == (10,)
    where = one.data_ptr()
    view = one.view(5, 2)[1:]
    del one
    other = pool.take()
    assert other.data_ptr() != where  # the view still refers to it
    del view
    gc.collect()
    assert pool.take().data_ptr() == where


class Slow(list[Any]):
    def append(self, one: Any) -> None:
        super().append(one)
        time.sleep(1e-3)  # in which another thread may append


def test_threads_that_take_at_once_have_memory_of_their_own() -> None:
    pool = Pool(1, np.dtype(np.int64))
    pool._arrays = Slow()

    def taken(own: int) -> bool:
        one = pool.take().fill_(own)
        time.sleep(1e-3)
        return bool(one.item() == own)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(taken, range(100)))


def test_what_a_graph_keeps_is_not_handed_out() -> None:
    pool = Pool(4, np.dtype(np.float32))
    inputs = pool.take().fill_(2)
    weight = torch.ones(4, requires_grad=True)
    loss = (weight * inputs).sum()
    del inputs
    pool.take().fill_(9)
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [2] * 4


def test_large_memory_begins_with_a_huge_page_and_comes_back_too() -> None:
    pool = Pool(LARGE // 4 + 3, np.dtype(np.float32))
    one = pool.take()
    assert (one.shape, one.dtype) == ((LARGE // 4 + 3,), torch.float32)
    where = one.data_ptr()
    assert where % HUGE == 0
    other = pool.take()
    assert other.data_ptr() != where
    del one
    assert pool.take().data_ptr() == where
