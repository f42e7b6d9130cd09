"""A network that is shared out among ranks against one that is whole: the same run, and less memory on each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tui_trainer import vision
from tui_trainer.config import build, resolve
from tui_trainer.engine import checkpoint
from tui_trainer.engine.sharding import units_of
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.run import prepare
from tui_trainer.strategy import require_apt
from tui_trainer.weights.reader import list_weights

from ..conftest import copy_digits
from . import shard_scenarios as scenarios
from .rank_work import alone
from .test_together import farthest, spawn

ALL = [
    scenarios.curve,
    scenarios.parted,
    scenarios.accumulated_and_clipped,
    scenarios.frozen_and_unused,
    scenarios.not_finite,
    scenarios.normalised,
    scenarios.straight,
    scenarios.stopped,
    scenarios.by_two,
    scenarios.from_whole,
    scenarios.full_disk,
]
CLOSE = 1e-6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shards")
    copy_digits(made / "data", classes=3, each=11)
    return made


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return spawn(folder, 2, ALL)


def test_the_curve_is_that_of_one_process(two: list[dict[str, Any]]) -> None:
    wanted = alone(scenarios.curve)
    assert len(wanted["losses"]) == 48
    for found in two:
        assert farthest(found["curve"]["losses"], wanted["losses"]) < CLOSE
        assert farthest(found["curve"]["weights"], wanted["weights"]) < CLOSE
        for here, there in zip(found["curve"]["evaluated"], wanted["evaluated"], strict=True):
            assert here == pytest.approx(there, abs=CLOSE)


def test_each_rank_holds_its_part_of_weights_gradients_and_states(two: list[dict[str, Any]]) -> None:
    held, total = zip(*(found["parted"] for found in two), strict=True)
    assert sum(held) == total[0] == total[1]
    assert all(part < 0.55 * total[0] for part in held)


@pytest.mark.soak
def test_optimizers_update_parts_as_the_whole(tmp_path: Path) -> None:
    found = spawn(tmp_path, 2, [scenarios.every_rule])
    for rule, wanted in alone(scenarios.every_rule).items():
        assert farthest(found[0]["every_rule"][rule], wanted) < CLOSE, rule


def test_accumulated_and_clipped_gradients_are_those_of_one_process(two: list[dict[str, Any]]) -> None:
    wanted = alone(scenarios.accumulated_and_clipped)
    assert farthest(two[1]["accumulated_and_clipped"]["weights"], wanted["weights"]) < CLOSE


def test_layers_stand_still_and_thaw_as_in_one_process(two: list[dict[str, Any]]) -> None:
    assert farthest(two[0]["frozen_and_unused"], alone(scenarios.frozen_and_unused)) < CLOSE


def test_a_loss_that_is_not_finite_on_one_rank_is_left_out_on_all(two: list[dict[str, Any]]) -> None:
    for found in two:
        assert found["not_finite"]["left_out"] == (1, 0)
        assert found["not_finite"]["weights"].isfinite().all()


def test_normalisation_and_16_bits_are_those_of_ddp(two: list[dict[str, Any]]) -> None:
    for found in two:
        for amp, close in ((False, CLOSE), (True, 2e-2)):
            (ours, mean), (wanted, wanted_mean) = (found["normalised"][ddp, amp] for ddp in (False, True))
            assert farthest(ours, wanted) < close
            assert farthest(mean, wanted_mean) < close


def test_a_run_goes_on_bit_for_bit_on_as_many_ranks(two: list[dict[str, Any]]) -> None:
    for found in two:
        before, after, wanted = (found[name]["steps"] for name in ("stopped", "by_two", "straight"))
        assert max(before) + 1 == min(after), "each batch once"
        assert 6 < max(before) < 12, "in the midst of the second epoch"
        assert before | after == wanted
        assert torch.equal(found["by_two"]["weights"], found["straight"]["weights"])


def require_close(after: dict[str, Any], wanted: dict[str, Any]) -> None:
    steps = {step: wanted["steps"][step] for step in after["steps"]}
    assert max(steps) == max(wanted["steps"])
    assert [samples for _, samples in after["steps"].values()] == [samples for _, samples in steps.values()]
    assert farthest([loss for loss, _ in after["steps"].values()], [loss for loss, _ in steps.values()]) < CLOSE
    assert farthest(after["weights"], wanted["weights"]) < 10 * CLOSE  # adamw divides by small numbers
    for here, there in zip(after["evaluated"], wanted["evaluated"][-len(after["evaluated"]) :], strict=True):
        assert here == pytest.approx(there, abs=CLOSE)


def test_a_run_goes_on_in_one_process_without_sharding(
    two: list[dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKS_FOLDER", str(folder))
    require_close(alone(scenarios.by_one), two[0]["straight"])


@pytest.mark.soak
def test_a_run_goes_on_on_more_ranks(two: list[dict[str, Any]], folder: Path) -> None:
    for found in spawn(folder, 3, [scenarios.by_three]):
        require_close(found["by_three"], two[0]["straight"])


def test_a_whole_checkpoint_goes_on_shared_out(two: list[dict[str, Any]]) -> None:
    for found in two:
        require_close(found["from_whole"], two[0]["straight"])


def test_a_run_branches_from_shared_out_weights(two: list[dict[str, Any]], folder: Path, tmp_path: Path) -> None:
    parent = folder / "straight"
    values = {"branch": str(parent), "strategy": "ddp", "epochs": 4, "output_dir": str(tmp_path / "new")}
    made = prepare(resolve(values, parent / "config.toml").config)
    assert made.lock
    made.lock.release()
    assert torch.equal(scenarios.whole(made.job.model), two[0]["straight"]["weights"])
    assert len(made.job.optimizer.state) == len(list(made.job.model.parameters()))


def test_a_checkpoint_in_parts_is_no_weight_file(two: list[dict[str, Any]], folder: Path, tmp_path: Path) -> None:
    parts = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(folder / "straight" / "checkpoints", tmp_path / "checkpoints", ignore=parts)
    with pytest.raises(WeightsError, match="shared out among processes: go on with the run by --resume"):
        list_weights(tmp_path)


def test_best_and_final_weights_are_files_like_any(two: list[dict[str, Any]], folder: Path) -> None:
    from tui_trainer.models.lenet import LeNet

    run = folder / "straight" / "checkpoints"
    final, model = load_file(run / "final.safetensors"), LeNet(num_classes=3, channels=1)
    model.load_state_dict(final)
    weights = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert torch.equal(weights, two[0]["straight"]["weights"])
    assert load_file(run / "best.safetensors").keys() == final.keys()


def test_the_newest_are_kept_and_a_damaged_one_is_passed_over(two: list[dict[str, Any]], folder: Path) -> None:
    place = folder / "damaged" / "checkpoints"
    known = sorted(path.name for path in place.glob("step-*"))
    last = max(two[0]["stopped"]["steps"])
    before = (last - 1) // 3 * 3
    assert known == sorted(f"step-{step}.{end}" for step in (before, last) for end in ("json", "pt", "shards"))
    file = next((place / f"step-{last}.shards").glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    told: list[str] = []
    assert checkpoint.load_newest(place, told.append)["state"]["step"] == before
    assert f"step-{last}.shards" in told[0]


def test_a_rank_that_cannot_write_is_told_and_tried_again(two: list[dict[str, Any]], folder: Path) -> None:
    for found in two:
        assert "No space left" in found["full_disk"]["warned"][0]
        assert found["full_disk"]["left"] == [[]], "what was written of it is removed"
    place = folder / "full" / "checkpoints"
    assert checkpoint.load_newest(place, pytest.fail)["state"]["epoch"] == 1
    assert len(list(place.glob("*.shards*"))) == len(list(place.glob("step-*.json")))


# Which modules are brought together each for itself -------------------------------------------------------------------


def names_of(model: nn.Module) -> list[str]:
    units = set(units_of(model))
    return [name for name, module in model.named_modules() if module in units]


def test_the_units_of_a_network_are_its_blocks() -> None:
    with torch.device("meta"):
        transformer = vision.models().vit_b_16()
        resnet = vision.models().resnet50()
    assert names_of(transformer) == ["conv_proj", *(f"encoder.layers.encoder_layer_{i}" for i in range(12)), "heads"]
    whole = sum(parameter.numel() for parameter in resnet.parameters())
    assert all(sum(p.numel() for p in unit.parameters()) <= whole / 8 for unit in units_of(resnet))
    left = set(resnet.parameters()) - {p for unit in units_of(resnet) for p in unit.parameters()}
    assert sum(parameter.numel() for parameter in left) < whole / 8


def test_layers_that_share_weights_stay_together() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
            self.second.weight = self.first.weight

    assert names_of(Tied()) == ["inner"]


def test_attention_uses_its_inner_layer_without_a_call_and_is_not_parted() -> None:
    names = names_of(nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 8)))
    assert names == ["0", "1"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nproc": 1}, "give --nproc 2 or more"),
        ({"compile": True}, "compile does not go with strategy = fsdp"),
        ({"channels_last": True}, "channels_last does not go"),
        ({"model_ema": True}, "model_ema does not go"),
        ({"amp": True, "amp_dtype": "fp16"}, "take bf16"),
        ({"optimizer": "adafactor"}, "optimizer = adafactor"),
    ],
)
def test_what_does_not_go_with_it_is_refused(values: dict[str, Any], words: str) -> None:
    config = build({"strategy": "fsdp", "nproc": 2, **values})
    with pytest.raises(ConfigError, match=words):
        require_apt(config, config.run.nproc)
    require_apt(build({**values, "strategy": "ddp"}), 1)
