from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer import search, trials, tune, tune_facts
from tui_trainer.bench import Bench, first
from tui_trainer.config import Config, build
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.loader_facts import Measurement
from tui_trainer.tune_facts import Found, Trial


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BLOCK": 0.005, "ROUNDS": 1, "WHOLE_BLOCK": 0.01, "WHOLE_ROUNDS": 1, "FIRST_STEPS": 2}.items():
        monkeypatch.setattr(trials, name, value)
    monkeypatch.setattr(tune, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(search, "EACH", 0.04)


def found_on(config: Config, **asked: Any) -> Found:
    found = Found()
    for item in search.search(config, workers=(0, 1), **asked):
        found.add(item)
    return found


def small(data: Path | str, **values: Any) -> Config:
    return build({"data": str(data), "batch_size": 8, "threads": 2, **values})


def test_batches_that_steps_are_measured_on_are_prepared_in_each(digits60: Path) -> None:
    data = Bench(small(digits60).replace(batch_size=32)).data(0)
    assert first(data.train).block is None
    found = trials._some(data.train, 60.0)
    assert len(found) == trials.BATCHES > data.train.batches  # the last are of an epoch whose images are kept
    assert [batch.block for batch in found] == [None] * trials.BATCHES  # type: ignore[attr-defined]
    assert any(batch.block for batch in data.train.epoch(9))  # type: ignore[attr-defined]


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.last = nn.Linear(1024, num_classes)

    def forward(self, images):
        if torch.is_autocast_enabled("cpu"):
            raise NotImplementedError("not\\x1b in 16 bits\\nmore")
        return self.last(images.flatten(1))
"""


def test_a_model_that_does_not_train_in_16_bits_is_told_in_a_sentence(digits60: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    found = found_on(small(digits60, model=f"{tmp_path}/net.py:Net", trust_code=True, image_size=32))
    advice = found.advice(8)
    assert advice is not None
    assert advice.settings["amp"] is False
    (remark,) = advice.remarks
    assert remark == "bf16 was left out, the model does not train in it (NotImplementedError: not\\x1b in 16 bits)."
    assert {trial.precision for trial in found.steps if trial.rates} == {"float32"}


def test_fewer_images_than_a_batch(digits60: Path) -> None:
    found = found_on(small(digits60, batch_size=64))
    assert all(trial.rates for trial in found.steps if not trial.skipped)
    assert found.advice(64) is not None
    with pytest.raises(DataError, match="drop_last"):
        found_on(small(digits60, batch_size=64, drop_last=True))


def test_a_table_with_numbers_to_predict(tmp_path: Path) -> None:
    lines = ["a,b,y", *(f"{n},{n * n % 7},{n % 5 + 0.5}" for n in range(60))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    found = found_on(small(tmp_path / "table.csv", target=("y",)))
    advice = found.advice(8)
    assert advice is not None
    assert {"num_workers", "threads", "amp"} <= advice.settings.keys()


def test_threads_are_the_most_that_is_tried_and_torch_keeps_its_own(digits60: Path) -> None:
    before, seen = torch.get_num_threads(), set[int]()
    for item in search.search(small(digits60, threads=3), workers=(0,)):
        if isinstance(item, Trial) and item.rates:
            seen.add(item.threads)
    assert seen == {1, 2, 3}
    assert torch.get_num_threads() == before


def test_one_processor_has_one_thread(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "usable_cpus", lambda: 1)
    monkeypatch.setattr(search, "usable_cpus", lambda: 1)
    found = found_on(small(digits60, threads=None))
    assert {trial.threads for trial in found.steps} == {1}


def test_the_loader_is_measured_with_the_step_that_was_chosen(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(bench: Bench, seconds: float, tell: Callable[[str], None]) -> Iterator[Trial]:
        yield Trial(threads=1, rates=(100.0,), losses=(1.0,))
        yield Trial(threads=2, precision="bf16", rates=(300.0,), losses=(1.0,))

    seen: list[tuple[int | None, bool, str | None]] = []

    def of_size(bench: Bench, *more: Any) -> Iterator[Measurement]:
        recipe = bench.config.recipe
        seen.append((recipe.threads, recipe.amp, recipe.amp_dtype))
        yield Measurement(num_workers=0, step_seconds=0.01, trained_per_second=5.0, batch_size=8, final=True)

    monkeypatch.setattr(trials, "steps", steps)
    monkeypatch.setattr(search, "of_size", of_size)
    found_on(small(digits60))
    assert seen == [(2, True, "bf16")]


def test_no_time_is_told_and_nothing_hangs(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TOO_SLOW", float("inf"))  # of a single step, whose first is slow
    found = found_on(small(digits60), seconds=1e-6)
    assert {trial.skipped for trial in found.steps} == {tune_facts.OUT_OF_TIME}
    assert {m.skipped for m in found.loading} == {tune_facts.OUT_OF_TIME}
    assert found.advice(8) is None


def test_compiled_code_is_not_made_anew_for_each_way(digits60: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "steps", lambda *given: pytest.fail("would compile each of them"))
    monkeypatch.setattr(search, "of_size", lambda *given: iter(()))
    assert found_on(small(digits60, compile=True)).steps == []


def test_turns_go_forth_and_back_and_the_slow_leave() -> None:
    order: list[int] = []
    speeds = {1: 100.0, 2: 90.0, 3: 10.0}

    def rate(trial: Trial) -> float:
        order.append(trial.threads)
        return speeds[trial.threads]

    last = {t.threads: t for t in trials.in_turns([Trial(threads=n) for n in speeds], rate, float("inf"), 3)}
    assert order == [1, 2, 3, 3, 2, 1, 1, 2]
    assert [len(last[n].rates) for n in speeds] == [3, 3, 2]


def test_one_slow_turn_is_no_reason_to_leave() -> None:
    turns = iter([100.0, 20.0, 100.0, 100.0, 100.0, 100.0])
    trials_of_two = [Trial(threads=1), Trial(threads=2)]
    last = {t.threads: t for t in trials.in_turns(trials_of_two, lambda trial: next(turns), float("inf"), 3)}
    assert [len(last[n].rates) for n in (1, 2)] == [3, 3]


@pytest.mark.parametrize(
    ("device", "asked", "has", "half", "why"),
    [
        ("cpu", None, False, "bf16", ""),
        ("cpu", "fp16", False, "fp16", ""),
        ("cuda", None, True, "bf16", ""),
        ("cuda", None, False, "", "This GPU has no bf16"),
        ("cuda", "fp16", False, "fp16", ""),
        ("mps", None, False, "", "not tried on mps"),
    ],
)
def test_fp16_is_never_tried_unasked(
    device: str, asked: str | None, has: bool, half: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **given: has)
    config = build({"amp_dtype": asked} if asked else {})
    found = trials.half_of(config, torch.device(device))
    assert found[0] == half
    assert why in found[1]


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ConfigError, match="no such device"):
        next(search.search(build({"data": "x", "device": "cuda"})))
