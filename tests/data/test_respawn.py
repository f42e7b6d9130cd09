"""Workers that are killed or hang, as processes and as threads."""

import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tui_trainer.commands import Stop
from tui_trainer.config import Config
from tui_trainer.data import loader, respawn
from tui_trainer.data.batches import Data, build_batches, scan, spec_of
from tui_trainer.data.datasets import ImageDataset, RawBatch
from tui_trainer.data.loader import worker_context
from tui_trainer.errors import TrainingError
from tui_trainer.events import Event, Progress, Warned
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox

CODE = Path(__file__).parent / "own_code.py"
FORKED = {"worker_type": "process", "multiprocessing_context": "fork"}  # others take seconds to start
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "LOOK", 0.2)


def built(data: object, **values: Any) -> Data:
    config = Config().replace(data=str(data), batch_size=8, trust_code=True, **values)
    index = scan(config)
    if config.data.image_size is None:
        config = config.replace(image_size=8, channels=1)
    spec = spec_of(config.data, index)
    return build_batches(config, index, spec, needs_two=False, context=worker_context(config))


def read(batches: Iterator[Any]) -> tuple[list[Tensor], list[str]]:
    kept = [(batch.inputs.clone(), batch.warnings) for batch in batches]
    return [inputs for inputs, _ in kept], [text for _, warnings in kept for text in warnings]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_whose_worker_is_killed_goes_on_exactly(digits60: Path, tmp_path: Path) -> None:
    """For real, where DataLoader would raise from a signal handler, wherever the program is."""
    finals, told = [], list[Event]()
    for name, more in (("whole", {}), ("killed", {**FORKED, "num_workers": 2})):
        folder, alive = tmp_path / name, set(multiprocessing.active_children())
        given = {"data": str(digits60), "output_dir": str(folder), "epochs": 2, "batch_size": 8, "augment": "light"}
        for event in prepare(Config().replace(**given, **more)).events(Mailbox()):
            if name == "killed" and isinstance(event, Progress) and event.step == 1:
                worker = sorted(set(multiprocessing.active_children()) - alive, key=lambda child: child.pid or 0)[0]
                worker.kill()
            told += [event] if isinstance(event, Warned) else []
        finals.append((folder / "checkpoints" / "final.safetensors").read_bytes())
    assert finals[0] == finals[1]
    assert len(told) == 1
    assert "A loader worker ended before batch" in str(vars(told[0])["message"])
    assert "the workers were started anew at this batch, and nothing is left out." in str(vars(told[0])["message"])


def test_a_process_that_is_killed_is_replaced_at_the_same_batch() -> None:
    values: dict[str, Any] = {"data": f"{CODE}:Stream", "val_data": f"{CODE}:Stream", "steps_per_epoch": 6}
    values |= {"num_workers": 1, "multiprocessing_context": "fork"}
    alone, _ = read(built(**values).train.epoch(1))
    before = set(multiprocessing.active_children())
    batches = iter(built(**values).train.epoch(1))
    first = next(batches).inputs.clone()
    (worker,) = set(multiprocessing.active_children()) - before
    worker.kill()
    rest, told = read(batches)
    assert same([first, *rest], alone)
    assert len(told) == 1
    assert not worker.is_alive()


def test_a_process_that_hangs_is_replaced_at_the_same_batch(tmp_path: Path) -> None:
    marker = tmp_path / "tried"
    values: dict[str, Any] = {"data": f"{CODE}:Hanging", "data_args": (f"marker={marker}",), "timeout": 3.0}
    values |= {"num_workers": 1, "multiprocessing_context": "fork"}
    marker.touch()
    alone, _ = read(built(**values).train.epoch(1))
    marker.unlink()
    before = set(multiprocessing.active_children())
    batches = iter(built(**values).train.epoch(1))
    first = next(batches).inputs.clone()
    (worker,) = set(multiprocessing.active_children()) - before
    rest, told = read(batches)
    assert marker.exists()
    assert same([first, *rest], alone)
    assert len(told) == 1
    assert not worker.is_alive()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes reading the batches of these numbers, from 0, never end before the test does."""
    release, original, counted = threading.Event(), ImageDataset.read, iter(range(1000))

    def hang(*batches: int) -> None:
        def read_or_hang(self: Any, addresses: Any, memory: Tensor | None = None) -> RawBatch:
            if len(addresses) == 8 and next(counted) in batches:
                release.wait(60)
            return original(self, addresses, memory)

        monkeypatch.setattr(ImageDataset, "read", read_or_hang)

    yield hang
    release.set()


def test_a_hung_thread_is_replaced_at_the_same_batch(hanging: Callable[..., None], digits60: Path) -> None:
    alone, _ = read(built(digits60, augment="light").train.epoch(1))
    hanging(2)
    kept, told = read(built(digits60, augment="light", num_workers=2, timeout=1.0).train.epoch(1))
    assert same(kept, alone)
    assert len(told) == 1
    assert "Batch 3 did not come within 1 s: the workers were" in told[0]


def test_a_worker_that_is_lost_twice_in_an_epoch_ends_the_run_in_words(
    hanging: Callable[..., None], digits60: Path
) -> None:
    hanging(0, 1)
    batches = built(digits60, num_workers=1, timeout=0.1).train.epoch(0)
    with pytest.raises(TrainingError, match=r"Batch 1 did not come .*, for the second time in this epoch: try"):
        next(iter(batches))


def test_what_the_work_of_a_worker_raises_is_not_a_lost_worker() -> None:
    lost = (
        "DataLoader worker (pid 7) is killed by signal: Killed.",
        "DataLoader worker (pid(s) 7) exited unexpectedly",
    )
    assert all(respawn.is_lost(RuntimeError(text)) for text in (*lost, "DataLoader timed out after 5 seconds"))
    assert respawn.is_lost(ConnectionResetError(104, "Connection reset by peer"))
    caught = "Caught {} in DataLoader worker process 0.\nOriginal Traceback"
    assert not respawn.is_lost(RuntimeError(caught.format("RuntimeError")))
    assert not respawn.is_lost(ConnectionError(caught.format("ConnectionError")))


def test_workers_that_have_ended_are_let_go(tmp_path: Path) -> None:
    """Each holds two pipes, and workers that are not persistent are others in each epoch."""
    workers, started, context = respawn.Workers(), [], multiprocessing.get_context("fork")
    for _ in range(3):
        with workers.starting():
            process = context.Process(target=int)
            process.start()
        process.join()
        started.append(weakref.ref(process))
        del process
    assert [one() is None for one in started] == [True, True, False]


def test_a_slow_batch_is_waited_for_and_one_that_never_comes_is_not() -> None:
    now, asked, answers = [0.0], list[int](), list[bool]()

    class Batches:
        """Take 5 s for each answer."""

        def __init__(self, after: int) -> None:
            self.after = after

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            asked.append(self.after)
            now[0] += 5
            if answers and not answers.pop(0):
                raise RuntimeError("DataLoader timed out after 5 seconds")
            return 7

    def first(patience: float) -> tuple[int, int, tuple[str, ...]]:
        return next(respawn.lasting(Batches, 3, lambda: asked.append(-1), patience, lambda: now[0]))

    answers += [False] * 3
    assert (first(60), asked) == ((4, 7, ()), [3] * 4)
    asked.clear()
    answers += [False] * 3
    number, _, told = first(15)
    assert (number, asked) == (4, [3, 3, 3, -1, 3])
    assert told[0].startswith("Batch 4 did not come within 15 s: the workers were started anew")


def test_workers_that_are_killed_while_a_run_stops_do_not_keep_it(digits60: Path, tmp_path: Path) -> None:
    """The handler that DataLoader sets is gone: what ends a worker does not end the program."""
    before, mailbox = signal.getsignal(signal.SIGCHLD), Mailbox()
    given = {"data": str(digits60), "output_dir": str(tmp_path / "run"), "epochs": 2, "batch_size": 8}
    for event in prepare(Config().replace(**given, **FORKED, num_workers=1)).events(mailbox):
        if isinstance(event, Progress) and event.step == 2:
            assert signal.getsignal(signal.SIGCHLD) == before
            mailbox.put(Stop())
    assert vars(event)["outcome"] == "stopped"
