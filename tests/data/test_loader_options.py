"""Every option of the loader has a test of what it does; a new one without such a test fails here."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tui_trainer.config import SETTINGS, Config
from tui_trainer.data.loader import EpochLoader, loader_options, not_pinned
from tui_trainer.engine.job import NoCommands
from tui_trainer.events import Warned
from tui_trainer.run import prepare

from .test_own import CODE, built, read

# Where the effect of each is tested: in batches that are read, in the processes and threads that were there.
TESTED = {
    "batch_size": "test_batches.py::test_an_epoch_has_every_sample_of_its_part_once",
    "shuffle": "test_batches.py::test_a_given_order_is_kept_and_the_last_batch_left_out_where_asked",
    "num_workers": "test_batches.py::test_worker_processes_give_the_same_batches",
    "worker_type": "test_batches.py::test_worker_processes_give_the_same_batches",
    "sampler": "test_own.py::test_an_own_sampler_gives_the_order",
    "batch_sampler": "test_own.py::test_own_batches_are_taken_as_they_are",
    "collate_fn": "test_own.py::test_an_own_collate_function_makes_the_batch",
    "worker_init_fn": "test_own.py::test_an_own_function_is_called_in_each_worker",
    "multiprocessing_context": "test_loader_options.py::test_workers_come_from_where_they_are_asked_to",
    "steps_per_epoch": "test_own.py::test_a_stream_gives_so_many_batches_and_is_entered_at_any",
    "shuffle_buffer": "test_streams.py::test_the_buffer_and_shuffle_decide_how_far_rows_move",
    "pin_memory": "test_loader_options.py::test_pin_memory_is_on_where_it_helps",
    "drop_last": "test_batches.py::test_a_given_order_is_kept_and_the_last_batch_left_out_where_asked",
    "timeout": "test_own.py::test_a_worker_that_takes_too_long_ends_the_run",
    "prefetch_factor": "test_own.py::test_workers_read_so_many_batches_ahead",
    "persistent_workers": "test_own.py::test_an_own_function_is_called_in_each_worker",
}


def test_every_option_is_tested_by_its_effect() -> None:
    assert set(TESTED) == {name for name, item in SETTINGS.items() if item.table == "loader"}


@pytest.mark.parametrize("name", TESTED)
def test_the_test_of_an_option_sets_it(name: str) -> None:
    file, _, test = TESTED[name].partition("::")
    source = (Path(__file__).parent / file).read_text("utf-8")
    (function,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == test)
    words = {node.arg for node in ast.walk(function) if isinstance(node, ast.keyword)}
    words |= {
        node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    of_a_function = ("batch_size", "multiprocessing_context")  # that the test calls
    assert name in words or (name in source and name in of_a_function)
    assert any(isinstance(node, ast.Assert | ast.With) for node in ast.walk(function))


@pytest.mark.parametrize("method", ["auto", pytest.param("spawn", marks=pytest.mark.soak)])  # which imports all anew
def test_workers_come_from_where_they_are_asked_to(method: str) -> None:
    values: dict[str, Any] = {"num_workers": 1, "worker_init_fn": f"{CODE}:note_worker"}
    data = built("Noted", multiprocessing_context=method, **values)
    parents = {int(parent) for _, inputs, _ in read(data) for parent in inputs[:, 3].tolist()}
    assert (os.getpid() in parents) == (method == "spawn")  # auto: a server that was started before
    assert len(parents) == 1


def test_pin_memory_is_on_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def pinned(**values: Any) -> bool:
        return bool(loader_options(Config().replace(**values).loader, None)["pin_memory"])

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pinned()
    assert pinned(pin_memory=True)
    assert not pinned(pin_memory=False)
    assert not_pinned(Config().replace(pin_memory=True).loader) == ()
    for asked in (True, False):
        loader = built("Numbers", pin_memory=asked).train
        assert isinstance(loader, EpochLoader)
        assert isinstance(loader._loader, DataLoader)
        assert loader._loader.pin_memory is asked
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not pinned(pin_memory=True)  # there is nothing to copy to
    assert not_pinned(Config().loader) == ()


def test_pinning_in_vain_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    values = {"data": f"{CODE}:Numbers", "trust_code": True, "device": "cpu", "output_dir": str(tmp_path / "run")}
    told = next(
        event
        for event in prepare(Config().replace(**values, pin_memory=True)).events(NoCommands())
        if isinstance(event, Warned)
    )
    assert told.message == "pin_memory does nothing here: there is no GPU that batches would be copied to."
