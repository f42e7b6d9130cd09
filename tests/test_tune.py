from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer import loader_facts, tune, tune_facts
from tui_trainer.bench import Bench
from tui_trainer.config import Config, build
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.loader_facts import Facts, Measurement


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "STEP_SECONDS", 0.02)
    monkeypatch.setattr(tune, "LOOK", 0.02)


def config_of(folder: Path, **values: Any) -> Config:
    return build({"data": str(folder), "batch_size": 8, **values})


def measured(folder: Path, **options: Any) -> list[Measurement]:
    return list(tune.measure(config_of(folder), seconds_each=0.2, **options))


def test_each_worker_count_is_measured_and_grows_until_it_is_final(digits60: Path) -> None:
    told: list[str] = []
    found = measured(digits60, workers=(0, 1), tell=told.append)
    assert [m.num_workers for m in found if m.final] == [0, 1]
    assert [m.num_workers for m in found] == sorted(m.num_workers for m in found)
    first, last = found[0], next(m for m in found if m.final)
    assert first.images_per_second == 0.0
    assert first.first_batch_seconds is None
    assert last.images_per_second > 0.0
    assert last.trained_per_second > 0.0
    assert last.first_batch_seconds is not None
    assert 0.0 < last.wait_share < 1.0
    assert len({m.step_seconds for m in found}) == 1
    assert told[-2:] == ["measuring 0 workers, 1 of 2", "measuring 1 worker, 2 of 2"]
    assert not multiprocessing.active_children()


def test_each_batch_size_is_measured_then_reading_ahead_and_time_is_kept(digits60: Path) -> None:
    found = [m for m in measured(digits60, workers=(0, 1), batch_sizes=(8, 16), prefetch=(4,)) if m.final]
    tried = [(m.num_workers, m.batch_size, m.prefetch_factor) for m in found]
    assert tried[:4] == [(0, 8, None), (1, 8, None), (0, 16, None), (1, 16, None)]
    assert tried[4:] in ([], [(1, 8, 4)])  # it is tried with the best workers, of which there may be none
    assert all(m.trained_per_second > 0 for m in found)
    late = [m for m in measured(digits60, workers=(0, 1), batch_sizes=(8, 16), seconds=-1.0) if m.final]
    assert [(m.batch_size, m.skipped) for m in late] == [(size, tune_facts.OUT_OF_TIME) for size in (8, 8, 16, 16)]


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader-")]


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_closing_ends_the_workers(digits60: Path, kind: str) -> None:
    workers = multiprocessing.active_children if kind == "process" else _threads
    others = set(workers())  # of loaders that other tests have dropped
    config = config_of(digits60).replace(worker_type=kind)
    measuring = tune.measure(config, workers=(1,), seconds_each=60.0)
    while not next(measuring).images_per_second:
        pass
    made = set(workers()) - others
    assert made
    measuring.close()
    for worker in made:
        worker.join(10.0)
    assert not made & set(workers())


def test_it_ends_early_where_two_counts_in_a_row_brought_nothing(
    digits60: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter((100.0, 180.0, 181.0, 182.0, 999.0))

    def pretend(*given: Any) -> Iterator[Measurement]:
        yield Measurement(num_workers=given[2], step_seconds=0.1, trained_per_second=next(rates), final=True)

    monkeypatch.setattr(tune, "_measure_one", pretend)
    monkeypatch.setattr(tune, "candidates", lambda: (0, 1, 2, 3, 4))
    assert [m.num_workers for m in measured(digits60)] == [0, 1, 2, 3]


def test_given_counts_are_all_measured(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(*given: Any) -> Iterator[Measurement]:
        yield Measurement(num_workers=given[2], step_seconds=0.1, trained_per_second=100.0, final=True)

    monkeypatch.setattr(tune, "_measure_one", pretend)
    assert len(measured(digits60, workers=range(6))) == 6


def test_what_does_not_fit_into_shared_memory_is_skipped_with_the_reason(
    digits60: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "check_shared_memory", lambda loader, facts: "too small" if loader.num_workers else "")
    found = measured(digits60, workers=(0, 1))
    assert [(m.num_workers, m.skipped) for m in found if m.final] == [(0, ""), (1, "too small")]
    assert loader_facts.recommend(found) is None


def test_options_of_workers_are_left_out_without_workers(digits60: Path) -> None:
    bench = Bench(config_of(digits60, num_workers=2, prefetch_factor=5, timeout=30.0))
    assert bench.with_workers(0).loader.prefetch_factor is None
    assert bench.with_workers(0).loader.timeout is None
    assert bench.with_workers(3).loader.prefetch_factor == 5


def test_torch_keeps_its_threads(digits60: Path) -> None:
    before = torch.get_num_threads()
    other = before + 1
    measuring = tune.measure(config_of(digits60, threads=other), workers=(0,), seconds_each=0.05)
    seen = [torch.get_num_threads() for _ in measuring]
    assert set(seen) == {other}
    assert torch.get_num_threads() == before


def test_worker_counts_begin_in_different_places(digits60: Path) -> None:
    bench = Bench(config_of(digits60, shuffle=False))
    loader = bench.data(0).train
    assert loader.batches == 6
    first = [next(tune.endless(loader, part)).number for part in (0.0, 0.5)]
    assert first == [1, 4]


def test_epochs_follow_each_other(digits60: Path) -> None:
    stream = tune.endless(Bench(config_of(digits60)).data(0).train)
    numbers = [next(stream).number for _ in range(13)]
    stream.close()
    assert numbers == [1, 2, 3, 4, 5, 6] * 2 + [1]


def test_a_dataset_of_which_nothing_can_be_read_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    config = config_of(tmp_path, channels=1, normalize="none", max_bad=1.0)
    with pytest.raises(DataError, match="None of the training images can be read"):
        list(tune.measure(config, workers=(0,), seconds_each=0.05))
    with pytest.raises(DataError, match="None of the training images can be read"):
        tune.first_batch(config)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_batch_is_that_of_training(digits60: Path, workers: int) -> None:
    config = config_of(digits60, num_workers=workers)
    batch = tune.first_batch(config)
    assert batch.images == (8, 32, 32, 1)
    assert batch.images_dtype == "uint8"
    assert 0.0 <= batch.images_range[0] < batch.images_range[1] <= 255.0
    assert batch.inputs == (8, 1, 32, 32)
    assert batch.inputs_dtype == "float32"
    assert batch.inputs_range[0] < 0.0 < batch.inputs_range[1]
    assert batch.targets == (8,)
    assert batch.targets_dtype == "int64"
    assert sum(count for _, count in batch.classes) == 8
    assert {name for name, _ in batch.classes} <= {"0", "1", "2"}
    assert batch.bytes == 8 * 32 * 32 + 8 * 8
    assert batch.seconds > 0.0
    assert not multiprocessing.active_children()
    bench = Bench(config)
    trained = next(iter(bench.data(0).train.epoch(0)))
    assert batch.classes == tuple(
        (bench.index.classes[i], count) for i, count in enumerate(trained.targets.bincount().tolist()) if count
    )


def test_facts_hold_what_was_chosen_for_the_model(digits60: Path, colour24: Path) -> None:
    assert tune.facts(config_of(digits60)) == Facts(images=48, image_size=32, channels=1, needs_two=False)
    resnet = config_of(colour24, model="resnet18", image_size=32)
    assert tune.facts(resnet) == Facts(images=20, image_size=32, channels=3, needs_two=True)


def test_a_model_that_cannot_take_the_images_is_refused_in_words(digits60: Path) -> None:
    with pytest.raises(ConfigError, match="cannot take images of 4x4"):
        next(tune.measure(config_of(digits60, image_size=4)))
