from __future__ import annotations

import math
from typing import Any

import pytest

from tui_trainer.loader_facts import Measurement
from tui_trainer.tune_facts import Found, Trial, advise, choose_step, finalists, loss_problem, rows, simplest

LOSSES = (2.3, 2.2, 2.1)


def step(threads: int, *rates: float, precision: str = "float32", losses: tuple[float, ...] = LOSSES) -> Trial:
    return Trial(threads=threads, precision=precision, rates=rates, losses=losses)


def half(threads: int, *rates: float, losses: tuple[float, ...] = LOSSES) -> Trial:
    return step(threads, *rates, precision="bf16", losses=losses)


def loaded(workers: int, trained: float, **more: Any) -> Measurement:
    return Measurement(num_workers=workers, step_seconds=0.01, trained_per_second=trained, final=True, **more)


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({1: (100, 100), 2: (102, 102)}, 1),
        ({1: (100, 100), 2: (104, 104)}, 2),
        ({1: (100, 100), 2: (90, 90), 4: (150, 150)}, 4),
        ({1: (100, 50), 2: (110, 55)}, 2),  # in both rounds a tenth more, whatever else the machine did
        ({1: (100,), 2: ()}, 1),
    ],
)
def test_the_fewest_threads_that_nothing_clearly_beats(rates: dict[int, tuple[float, ...]], chosen: int) -> None:
    found = simplest([step(threads, *values) for threads, values in rates.items()])
    assert found is not None
    assert found.threads == chosen


def test_nothing_measured_means_nothing_chosen() -> None:
    assert simplest([]) is None
    assert choose_step([Trial(threads=1, skipped="no time")]) is None
    assert advise(None, [], []) is None
    assert Found().advice(32) is None


@pytest.mark.parametrize(
    ("rate", "losses", "precision", "remark"),
    [
        (109.0, LOSSES, "float32", "1.09 times as fast as float32: too little"),
        (60.0, LOSSES, "float32", "0.60 times as fast as float32: slower"),
        (111.0, LOSSES, "bf16", ""),
        (175.0, (2.31, 2.19, 2.11), "bf16", ""),
        (175.0, (2.3, 2.2, 2.5), "float32", "its loss differs from float32's by 0.4 within 3 steps"),
        (175.0, (2.3, math.nan, 2.1), "float32", "its loss is not finite"),
        (175.0, (2.3, math.inf, 2.1), "float32", "its loss is not finite"),
    ],
)
def test_16_bits_only_where_they_are_clearly_faster_and_as_good(
    rate: float, losses: tuple[float, ...], precision: str, remark: str
) -> None:
    steps = [step(1, 100.0), half(1, rate, losses=losses)]
    chosen, advice = choose_step(steps), advise(None, steps, [])
    assert chosen is not None
    assert chosen.precision == precision
    assert advice is not None
    assert advice.settings == ({"amp": True, "amp_dtype": "bf16"} if precision == "bf16" else {"amp": False})
    assert remark in " ".join(advice.remarks)
    assert bool(advice.remarks) == bool(remark)


def test_a_loss_that_is_not_finite_in_float32_either_is_no_ground_for_16_bits() -> None:
    assert loss_problem(step(1, 1.0, losses=(math.nan,)), half(1, 2.0, losses=(1.0,))) == "float32's loss is not finite"


def test_why_16_bits_were_left_out_is_said() -> None:
    left_out = Trial(threads=1, precision="bf16", skipped="bf16 was left out, the model does not train in it.")
    advice = advise(None, [step(1, 100.0), step(2, 140.0), left_out], [])
    assert advice is not None
    assert advice.settings == {"threads": 2, "amp": False}
    assert advice.remarks == (left_out.skipped,)


def test_one_processor_leaves_nothing_to_say_of_threads() -> None:
    advice = advise(None, [step(1, 100.0)], [])
    assert advice is not None
    assert "threads" not in advice.settings


def found_with(*items: Measurement | Trial) -> Found:
    found = Found()
    for item in items:
        found.add(item)
    return found


def test_workers_and_threads_are_tried_together() -> None:
    found = found_with(loaded(0, 100.0), loaded(1, 180.0), loaded(2, 190.0))
    tried = finalists(found, step(2, 1.0), batch_size=32, cores=2, processes=True)
    assert [(t.num_workers, t.threads, t.worker_type) for t in tried] == [
        (1, 1, "auto"), (1, 2, "auto"), (2, 1, "auto"), (2, 2, "auto"), (2, 2, "process"),
    ]  # fmt: skip
    many = finalists(found, step(8, 1.0), batch_size=32, cores=8, processes=False)
    assert {(t.num_workers, t.threads) for t in many} >= {(1, 1), (1, 7), (1, 8)}
    assert finalists(found_with(loaded(0, 1.0)), step(1, 1.0), batch_size=32, cores=1, processes=True) == []


def test_what_was_fastest_together_is_advised() -> None:
    steps = [step(1, 100.0), step(2, 130.0)]
    together = [
        Trial(num_workers=1, threads=1, rates=(100.0, 100.0)),
        Trial(num_workers=1, threads=2, rates=(90.0, 91.0)),
        Trial(num_workers=2, threads=1, rates=(120.0, 120.0)),
    ]
    found = found_with(loaded(0, 10.0), loaded(1, 90.0), loaded(2, 91.0), *steps, *together)
    advice = found.advice(32)
    assert advice is not None
    assert advice.settings == {"num_workers": 2, "threads": 1, "amp": False}
    assert "1.20 times as fast" in advice.reasons["num_workers"]
    assert advice.reasons["threads"] == "A step alone is fastest with 2, but the workers need the processors too."
    assert [advice.is_of(trial) for trial in together] == [False, False, True]


def test_processes_are_advised_only_where_they_are_faster() -> None:
    threads = Trial(num_workers=1, threads=1, rates=(100.0, 100.0))
    for rate, advised in ((102.0, None), (130.0, "process")):
        processes = Trial(num_workers=1, threads=1, worker_type="process", rates=(rate, rate))
        advice = found_with(loaded(0, 10.0), loaded(1, 90.0), step(1, 9.0), threads, processes).advice(32)
        assert advice is not None
        assert advice.settings.get("worker_type") == advised


def test_rows_of_a_table() -> None:
    assert rows([step(1, 1000.0, 1100.0), Trial(threads=2)]) == [
        ("threads", "precision", "samples/s", ""),
        ("1", "float32", "1,050", "±2%"),
        ("2", "float32", "...", ""),
    ]
    process = Trial(num_workers=1, worker_type="process", threads=1, rates=(5.0,))
    assert rows([process])[1] == ("1 process", "1", "float32", "5", "")
