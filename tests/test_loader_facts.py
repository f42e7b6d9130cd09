from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tui_trainer import loader_facts
from tui_trainer.config import LoaderConfig
from tui_trainer.loader_facts import (
    Facts,
    FirstBatch,
    Measurement,
    batch_in_words,
    candidates,
    check_memory,
    check_shared_memory,
    faster_batches,
    faster_prefetch,
    free_memory,
    meaning,
    recommend,
    size_in_words,
)

FACTS = Facts(images=1438, image_size=32, channels=1, needs_two=False)


def measured(workers: int, trained: float, wait_share: float = 0.5, **more: Any) -> Measurement:
    return Measurement(
        num_workers=workers,
        step_seconds=0.01,
        images_per_second=trained,
        trained_per_second=trained,
        wait_share=wait_share,
        **{"final": True, **more},
    )


def test_the_fewest_workers_within_five_percent_of_the_best_are_recommended() -> None:
    best = recommend([measured(0, 100), measured(1, 189), measured(2, 199), measured(3, 200)])
    assert best is not None
    assert best.num_workers == 2
    assert best.reason == (
        "With 2 workers training is 2.0 times as fast as with 0; the model waits for data 50% of the time."
    )


def test_more_than_the_model_takes_is_not_recommended() -> None:
    best = recommend([measured(0, 50), measured(1, 100, 0.02), measured(2, 103, 0.0)])
    assert best is not None
    assert best.num_workers == 1
    assert best.reason == "With 1 worker the model waits for data 2% of the time: more would bring nothing."


def test_no_workers_are_recommended_when_workers_bring_nothing() -> None:
    best = recommend([measured(1, 101, 0.2), measured(0, 100, 0.3)])
    assert best is not None
    assert best.num_workers == 0
    assert best.reason == (
        "With 0 workers training is within 5 % of the fastest; the model waits for data 30% of the time."
    )


@pytest.mark.parametrize(
    "others",
    [[], [measured(1, 900, final=False)], [measured(1, 900, skipped="no shared memory")]],
    ids=["alone", "unfinished", "skipped"],
)
def test_one_measurement_is_no_ground_for_a_recommendation(others: list[Measurement]) -> None:
    assert recommend([measured(0, 100), *others]) is None


def test_worker_counts_are_dense_at_first_and_end_with_the_processors() -> None:
    assert candidates(0) == (0,)
    assert candidates(2) == (0, 1, 2)
    assert candidates(10) == (0, 1, 2, 3, 4, 6, 8, 10)
    assert candidates()[-1] == loader_facts.usable_cpus()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "1,438 training images make 45 batches of 32; the last one has 30."),
        ({"drop_last": True}, "1,438 training images make 44 batches of 32; 30 left over are not used in that epoch."),
        ({"batch_size": 719}, "1,438 training images make 2 batches of 719."),
        ({"batch_size": 1437}, "1,438 training images make 2 batches of 1,437; the last one has 1."),
        ({"batch_size": 2000}, "1,438 training images make 1 batch of 2,000."),
        (
            {"batch_size": 2000, "drop_last": True},
            "1,438 training images make no batch of 2,000: with drop_last there is nothing to train on.",
        ),
    ],
)
def test_what_the_batches_are(options: dict[str, Any], sentence: str) -> None:
    assert meaning(LoaderConfig(**options), FACTS)[0] == sentence


def test_a_single_image_is_left_out_where_the_model_needs_two() -> None:
    facts = Facts(images=65, image_size=32, channels=3, needs_two=True)
    assert meaning(LoaderConfig(), facts)[0] == (
        "65 training images make 2 batches of 32; 1 left over is not used in that epoch."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "Each of 33 kB is read between two steps, while the model waits."),
        ({"num_workers": 1}, "1 worker keeps 2 batches ready: 66 kB of memory."),
        (
            {"num_workers": 2, "worker_type": "process"},
            "2 workers each keep 2 batches ready: 4 batches, 132 kB of shared memory.",
        ),
        (
            {"num_workers": 3, "prefetch_factor": 1, "persistent_workers": False},
            "3 workers each keep 1 batch ready: 3 batches, 99 kB of memory. They are started anew each epoch.",
        ),
    ],
)
def test_what_the_workers_do(options: dict[str, Any], sentence: str) -> None:
    assert meaning(LoaderConfig(**options), FACTS)[1] == sentence


@pytest.mark.parametrize(
    ("count", "words"),
    [(12, "12 bytes"), (33024, "33 kB"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (2e12, "2,000.0 GB")],
)
def test_sizes(count: float, words: str) -> None:
    assert size_in_words(count) == words


def test_small_shared_memory_is_told_of_before_a_worker_dies_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    small = SimpleNamespace(f_bavail=10, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda folder: small)
    two = LoaderConfig(num_workers=2, worker_type="process")
    assert check_shared_memory(LoaderConfig(num_workers=2), FACTS) == ""  # threads need none
    warning = check_shared_memory(two, FACTS)
    assert warning.startswith("2 workers need 165 kB of shared memory, /dev/shm has 41 kB free")
    assert "--shm-size" in warning
    assert check_shared_memory(LoaderConfig(), FACTS) == ""
    small.f_bavail = 100
    assert check_shared_memory(two, FACTS) == ""


def test_too_little_memory_is_told_of() -> None:
    two = LoaderConfig(num_workers=2, worker_type="process")
    assert check_memory(two, FACTS, free=10 << 30) == ""
    assert check_memory(LoaderConfig(num_workers=2), FACTS, free=1 << 20) == ""  # threads share what there is
    told = check_memory(two, FACTS, free=300_000_000)
    assert told.startswith("2 workers with batches of 32 need 210 MB of memory, 300 MB are free: lower num_workers")
    assert check_memory(two, FACTS, free=0) == ""  # the system does not say
    assert free_memory() > 1 << 20


def test_what_batches_and_reading_ahead_bring() -> None:
    found = [measured(1, 100, batch_size=32), measured(1, 150, batch_size=64), measured(0, 90, batch_size=64)]
    assert faster_batches(found, 32).startswith("Batches of 64 train 1.5 times as fast as batches of 32")
    assert faster_batches(found, 64) == ""
    assert faster_batches(found[:1], 32) == ""
    assert faster_prefetch(found) == ""
    ahead = [measured(1, 101, batch_size=32, prefetch_factor=4)]
    assert faster_prefetch(found + ahead).endswith("brings nothing.")
    ahead = [measured(1, 120, batch_size=32, prefetch_factor=4), *ahead]
    assert faster_prefetch(found + ahead) == "--prefetch-factor 4  With it training is 1.20 times as fast."


def test_a_system_without_shared_memory_folder_is_not_warned_of() -> None:
    assert (
        check_shared_memory(LoaderConfig(num_workers=64, worker_type="process"), FACTS, folder="/nowhere/at/all") == ""
    )


def test_a_batch_is_told_with_names_made_safe() -> None:
    classes = tuple((f"\x1b[31m{i}", 1) for i in range(12))
    batch = FirstBatch(
        images=(12, 8, 8, 3),
        images_dtype="uint8",
        images_range=(0.0, 255.0),
        inputs=(12, 3, 8, 8),
        inputs_dtype="float32",
        inputs_range=(-2.1179, 2.64),
        targets=(12,),
        targets_dtype="int64",
        classes=classes,
        bytes=2400,
        seconds=0.126,
        warnings=("a.png is left out: damaged.",),
    )
    lines = dict(batch_in_words(batch))
    assert lines[""] == "First batch: 2.4 kB in 0.13 s"
    assert lines["read"] == "12x8x8x3 uint8, 0 to 255"
    assert lines["model"] == "12x3x8x8 float32, -2.12 to 2.64"
    assert lines["target"] == "12 int64"
    assert lines["in it"].startswith("\\x1b[31m0: 1, ")
    assert lines["in it"].endswith(" and 2 more classes")
    assert lines["warning"] == "a.png is left out: damaged."
