import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import Sampler

from tui_trainer.data.threads import Ahead, Team, ThreadLoader


class Numbers(Sampler[int]):
    def __init__(self, count: int) -> None:
        self.count, self.drawn = count, 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            self.drawn += 1
            yield number


def read(addresses: list[int], memory: Tensor) -> Tensor:
    """Four bytes for each number; later batches are ready first."""
    time.sleep(0.002 * (5 - addresses[0] % 5))
    rows = memory.view(len(addresses), 4)
    rows.copy_(torch.tensor(addresses)[:, None].expand(-1, 4))
    return rows


def loader(count: int, **options: object) -> ThreadLoader[int, Tensor]:
    return ThreadLoader(read, Numbers(count), 4, batch_size=3, **{"num_workers": 3, **options})  # type: ignore[arg-type]


def test_batches_come_in_order_whatever_is_ready_first() -> None:
    made = loader(20)
    for _ in range(2):
        assert [batch[:, 0].tolist() for batch in made] == [
            [0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14], [15, 16, 17], [18, 19],
        ]  # fmt: skip
    assert [len(batch) for batch in loader(20, drop_last=True)] == [3] * 6


def test_batches_that_are_kept_stay_as_they_are() -> None:
    kept = list(loader(60))
    assert [int(batch[0, 3]) for batch in kept] == list(range(0, 60, 3))


def test_memory_is_used_again() -> None:
    assert len({batch.data_ptr() for batch in loader(300, num_workers=1)}) <= 5


def test_no_more_is_read_ahead_than_asked_for() -> None:
    numbers = Numbers(300)
    made = ThreadLoader(read, numbers, 4, batch_size=3, num_workers=2, prefetch_factor=3)
    batches = iter(made)
    next(batches)
    assert numbers.drawn <= 3 * (1 + 2 * 3)
    batches.close()  # type: ignore[attr-defined]


def test_an_error_comes_out_where_its_batch_would() -> None:
    def broken(addresses: list[int], memory: Tensor) -> Tensor:
        if addresses[0] == 6:
            raise OSError("disk gone")
        return read(addresses, memory)

    batches = iter(ThreadLoader(broken, Numbers(30), 4, batch_size=3, num_workers=2))
    assert [next(batches)[0, 0].item() for _ in range(2)] == [0, 3]
    with pytest.raises(OSError, match="disk gone"):
        next(batches)


def test_a_batch_that_takes_too_long_is_an_error() -> None:
    release = threading.Event()

    def hung(addresses: list[int], memory: Tensor) -> Tensor:
        release.wait(60)
        return memory

    with pytest.raises(RuntimeError, match=r"timed out after 0\.05 seconds"):
        next(iter(ThreadLoader(hung, Numbers(3), 4, batch_size=3, num_workers=1, timeout=0.05)))
    release.set()


def test_threads_are_kept_where_asked_and_end() -> None:
    others = set(threading.enumerate())  # of loaders that other tests have dropped, which may end meanwhile

    def workers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("loader-")} - others

    kept = loader(9, persistent_workers=True)
    list(kept)
    first = workers()
    assert len(first) == 3
    list(kept)
    assert workers() == first
    kept.close()
    list(loader(9))
    assert not workers()


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    here, made = threading.current_thread(), threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(4):
            assert threading.current_thread() is not here
            made.release()
            yield number
        raise OSError("disk gone")

    ahead = Ahead()
    given = ahead.of(items())
    for number in range(4):
        assert next(given) == number
        assert all(made.acquire(timeout=30) for _ in range(2 if number == 0 else number < 3))
        assert not made.acquire(blocking=False), "one ahead, not more"
    with pytest.raises(OSError, match="disk gone"):
        next(given)
    assert list(ahead.of(iter("abc"))) == ["a", "b", "c"]
    ahead.close()
    assert list(ahead.of(iter("d"))) == ["d"]


def test_each_worker_computes_with_one_thread_and_the_program_with_as_many_as_before() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        team = Team(2)
        ones = [team.submit(lambda: (torch.ones(10) + 1).sum() and torch.get_num_threads()) for _ in range(4)]
        assert [one.result(30) for one in ones] == [1] * 4
        assert torch.get_num_threads() == 3
        team.close()
    finally:
        torch.set_num_threads(threads)


AT_EXIT = """
import atexit
atexit.register(lambda: print(sum(thread.is_alive() for thread in team._threads)))  # called last
from tui_trainer.data.threads import Team
team = Team(2)
"""


def test_threads_have_ended_before_the_interpreter_does() -> None:
    told = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0"]
