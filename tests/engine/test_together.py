"""Several ranks against one process: the same run, whatever their number."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tui_trainer.engine.together import Together

from ..conftest import copy_digits
from . import rank_scenarios as scenarios
from .rank_work import alone, work

ALL = [
    scenarios.curve,
    scenarios.mean_of_means,
    scenarios.distributed_sampler,
    scenarios.accumulated,
    scenarios.not_finite_on_one_rank,
    scenarios.unreadable,
    scenarios.unused_and_frozen,
    scenarios.commands_of_any_rank,
    scenarios.long_pause,
    scenarios.saved_once,
    scenarios.warnings_of_others,
    scenarios.real_run,
]
CLOSE = 1e-6


def spawn(folder: Path, size: int, what: list[Callable[[Any], Any]]) -> list[dict[str, Any]]:
    """What each scenario gave on each of `size` ranks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.rank_scenarios"])
    processes = [context.Process(target=work, args=(rank, folder, size, what)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = [torch.load(folder / f"rank-{size}-{rank}.pt", weights_only=False) for rank in range(size)]
    for one in found:
        assert "error" not in one, one["error"]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the ranks meet; with images, of which one is none."""
    made = tmp_path_factory.mktemp("ranks")
    copy_digits(made / "data", classes=3, each=11)
    (made / "data" / "1" / "zz.png").write_bytes(b"nothing")
    return made


@pytest.fixture(scope="module")
def three(folder: Path) -> list[dict[str, Any]]:
    return spawn(folder, 3, ALL)


def farthest(one: Any, two: Any) -> float:
    return float((torch.as_tensor(one, dtype=torch.float64) - torch.as_tensor(two, dtype=torch.float64)).abs().max())


def require_same_curve(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert farthest(found["losses"], wanted["losses"]) < CLOSE
    assert farthest(found["weights"], wanted["weights"]) < CLOSE
    for here, there in zip(found["evaluated"], wanted["evaluated"], strict=True):
        assert {n: v for n, v in here.items() if "loss" not in n} == {n: v for n, v in there.items() if "loss" not in n}


def test_the_curve_does_not_depend_on_the_number_of_ranks(three: list[dict[str, Any]]) -> None:
    wanted = alone(scenarios.curve)
    for found in three:
        require_same_curve(found["curve"], wanted)
        assert found["curve"]["counts"] == wanted["counts"] == [22, 7]


@pytest.mark.soak
@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_the_curve_does_not_depend_on_any_number_of_ranks(size: int, tmp_path: Path) -> None:
    wanted = alone(scenarios.long_curve)
    assert len(wanted["losses"]) >= 256
    for found in spawn(tmp_path, size, [scenarios.long_curve]):
        require_same_curve(found["long_curve"], wanted)
        assert found["long_curve"]["counts"] == wanted["counts"]


def test_all_ranks_have_the_same_bits(three: list[dict[str, Any]]) -> None:
    for found in three[1:]:
        assert found["curve"]["losses"] == three[0]["curve"]["losses"]
        assert torch.equal(found["curve"]["weights"], three[0]["curve"]["weights"])


def test_a_mean_of_means_would_not_pass(three: list[dict[str, Any]]) -> None:
    wanted = alone(scenarios.mean_of_means)
    assert farthest(three[0]["mean_of_means"]["losses"], wanted["losses"]) > 100 * CLOSE


def test_a_distributed_sampler_would_not_pass(three: list[dict[str, Any]]) -> None:
    assert three[0]["distributed_sampler"] == 9 != alone(scenarios.distributed_sampler) == 7


def test_accumulated_gradients_are_those_of_one_process(three: list[dict[str, Any]]) -> None:
    assert farthest(three[0]["accumulated"], alone(scenarios.accumulated)) < CLOSE


def test_a_loss_that_is_not_finite_on_one_rank_is_left_out_on_all(three: list[dict[str, Any]]) -> None:
    for found in three:
        assert found["not_finite_on_one_rank"]["left_out"] == (1, 0)
        assert found["not_finite_on_one_rank"]["warned"] == 1
        assert found["not_finite_on_one_rank"]["weights"].isfinite().all()
    assert torch.equal(*(three[rank]["not_finite_on_one_rank"]["weights"] for rank in (0, 2)))


def test_batches_that_cannot_be_read_are_as_in_one_process(three: list[dict[str, Any]]) -> None:
    wanted = alone(scenarios.unreadable)
    assert wanted["steps"] == 10
    for found in three:
        here = found["unreadable"]
        assert (here["steps"], here["samples"]) == (wanted["steps"], wanted["samples"])
        assert farthest(here["weights"], wanted["weights"]) < CLOSE
        assert farthest(here["losses"], wanted["losses"]) < CLOSE


def test_unused_and_frozen_layers_train_as_in_one_process(three: list[dict[str, Any]]) -> None:
    assert farthest(three[0]["unused_and_frozen"], alone(scenarios.unused_and_frozen)) < CLOSE


def test_commands_of_any_rank_are_obeyed_by_all_at_one_step(three: list[dict[str, Any]]) -> None:
    first = three[0]["commands_of_any_rank"]
    assert first["outcome"] == "stopped"
    assert first["lr"] == 0.05
    for found in three:
        here = found["commands_of_any_rank"]
        assert (here["step"], here["changed"], here["lr"]) == (first["step"], first["changed"], first["lr"])
        assert torch.equal(here["weights"], first["weights"])


def test_a_pause_outlasts_the_timeout_of_a_collective(three: list[dict[str, Any]]) -> None:
    assert all(found["long_pause"]["seconds"] > 2.2 for found in three)
    assert {found["long_pause"]["outcome"] for found in three} == {"stopped"}
    assert len({found["long_pause"]["step"] for found in three}) == 1, "all ranks stop at the same step"


def test_a_checkpoint_is_due_once_where_the_clock_is_read_in_some_steps_only(three: list[dict[str, Any]]) -> None:
    tries, saved = three[0]["saved_once"]
    assert tries == [17, 33, 55], "the second when the back-off is over, the third at the epoch's end"
    assert saved == [33, 55]


def test_what_other_ranks_tell_comes_to_the_first(three: list[dict[str, Any]]) -> None:
    assert three[0]["warnings_of_others"] == ["of rank 1", "of rank 2"]


def test_a_run_over_images_is_the_same_and_is_recorded_once(
    three: list[dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKS_FOLDER", str(folder))
    wanted = alone(scenarios.real_run)
    assert sum(" is left out: " in told for told in wanted["warned"]) == 1
    for found in three:
        here = found["real_run"]
        assert farthest(here["weights"], wanted["weights"]) < CLOSE
        for one, other in zip(here["evaluated"], wanted["evaluated"], strict=True):
            assert one == pytest.approx(other, abs=CLOSE)
    assert three[0]["real_run"]["warned"] == wanted["warned"]
    assert sorted(three[0]["real_run"]["recorded"]) == sorted(wanted["recorded"])


def test_a_whole_step_is_not_scaled_for_the_rounding_of_a_mean() -> None:
    together = object.__new__(Together)
    counted = torch.tensor([1.0, 13.0 * (1 + 2**-22), 0.0])  # what a sum over some numbers of ranks comes to
    together._gradients, together._usual, together._exchange = Mock(here=True), 13, Mock()
    together._gradients.counted.return_value = counted
    assert together.finite([]) is not None
    together._gradients.scale.assert_not_called()
