"""What a run starts from: chosen layers of a file bit for bit, frozen layers that stand still, sentences otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.conftest import Told
from tui_trainer.config import build
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.models.lenet import LeNet
from tui_trainer.start_weights import BACKBONE, LOADED, frozen_names, start_from

Cli = Callable[..., Told]
CLASSES = tuple("0123456789")


@pytest.fixture
def lenet_file(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A file of random LeNet weights, and what is in it."""
    torch.manual_seed(5)
    state = {name: tensor.clone() for name, tensor in LeNet().state_dict().items()}
    save_file(state, tmp_path / "lenet.safetensors")
    return tmp_path / "lenet.safetensors", state


def start(model: nn.Module, file: Path, **settings: object) -> object:
    return start_from(model, build({"pretrained": str(file), **settings}), CLASSES, lambda text: None)  # type: ignore[dict-item]


def test_a_left_out_layer_stays_random_and_all_others_are_bit_equal(lenet_file: tuple[Path, dict[str, Tensor]]) -> None:
    """The tutorial's first case: the same structure, fc1 not loaded."""
    file, state = lenet_file
    model = LeNet()
    before = model.fc1.weight.clone()
    start(model, file, exclude_layers=("fc1",))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]) is not name.startswith("fc1"), name
    assert torch.equal(model.fc1.weight, before)


def test_renamed_and_included_layers(tmp_path: Path, lenet_file: tuple[Path, dict[str, Tensor]]) -> None:
    _, state = lenet_file
    file = tmp_path / "other.safetensors"
    save_file({name.replace("conv1", "stem"): tensor for name, tensor in state.items()}, file)
    model = LeNet()
    start(model, file, rename_layers=("stem=conv1",), include_layers=("conv1",))
    assert torch.equal(model.conv1.weight, state["conv1.weight"])
    assert not torch.equal(model.conv2.weight, state["conv2.weight"])


def test_a_file_of_which_nothing_fits_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a.weight": torch.ones(3, 3)}, file)
    model = LeNet()
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(WeightsError):
        start(model, file)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_freeze_takes_names_what_was_loaded_and_the_backbone() -> None:
    model = LeNet()
    assert frozen_names(model, ("conv1", "fc2"), ()) == ("conv1", "fc2")
    assert frozen_names(model, (LOADED,), ("conv2",)) == ("conv2",)
    assert frozen_names(model, (BACKBONE,), ()) == ("conv1", "conv2", "fc1", "fc2")
    with pytest.raises(ConfigError, match="cov1"):
        frozen_names(model, ("cov1",), ())
    with pytest.raises(ConfigError, match="nothing would be trained"):
        frozen_names(model, ("conv*", "fc*"), ())


def test_frozen_layers_are_bit_identical_after_training_batch_norm_included(
    run_cli: Cli, digits60: Path, tmp_path: Path
) -> None:
    flags = ["--model", "resnet18", "--image-size", "32", "--epochs", "1", "--freeze", "conv1,bn1,layer1"]
    run_cli(str(digits60), "--no-tui", *flags, "--output-dir", str(tmp_path / "a"))
    run_cli(str(digits60), "--no-tui", *flags, "--epochs", "2", "--output-dir", str(tmp_path / "b"))
    after_one, after_two = (load_file(tmp_path / run / "checkpoints" / "final.safetensors") for run in "ab")
    frozen = [name for name in after_one if name.split(".")[0] in ("conv1", "bn1", "layer1")]
    assert len(frozen) > 20
    assert all(torch.equal(after_one[name], after_two[name]) for name in frozen)
    assert not after_one["bn1.running_mean"].any()  # as it was made
    assert after_one["layer2.0.bn1.running_mean"].any()
    assert not torch.equal(after_one["layer2.0.conv1.weight"], after_two["layer2.0.conv1.weight"])


def test_a_run_from_a_run_keeps_its_plan_and_resumes_without_the_file(
    run_cli: Cli, digits60: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run_cli(str(digits60), "--no-tui", "--epochs", "1", "--output-dir", str(first)).code == 0
    flags = ["--pretrained", str(first), "--exclude-layers", "fc1", "--freeze", "loaded", "--epochs", "1"]
    told = run_cli(str(digits60), "--no-tui", *flags, "--output-dir", str(second))
    assert told.code == 0
    assert "stays random: fc1" in told.err
    plan = json.loads((second / "weights.json").read_text("utf-8"))
    assert [layer["layer"] for layer in plan["layers"] if not layer["loaded"]] == ["fc1"]
    (first / "checkpoints" / "best.safetensors").rename(tmp_path / "gone")
    assert run_cli("--no-tui", "--resume", str(second), "--epochs", "2").code == 0
    a, b = (load_file(path) for path in (tmp_path / "gone", second / "checkpoints" / "final.safetensors"))
    assert torch.equal(a["conv1.weight"], b["conv1.weight"])
    assert not torch.equal(a["fc1.weight"], b["fc1.weight"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pretrained", "README.md"], "text file"),
        (["--pretrained", "nowhere.pth"], "nowhere.pth"),
        (["--pretrained", "imagenet"], "no ImageNet weights for lenet"),
    ],
)
def test_what_is_no_weight_file_is_refused_before_anything_is_written(
    run_cli: Cli, digits60: Path, tmp_path: Path, flags: list[str], words: str
) -> None:
    told = run_cli(str(digits60), "--no-tui", *flags, "--output-dir", str(tmp_path / "out"))
    assert told.code == 4
    assert words in told.sentence
    assert not (tmp_path / "out").exists()


def test_layers_frozen_for_the_first_epochs_then_train_and_resume_across_the_thaw(
    run_cli: Cli, digits60: Path, tmp_path: Path
) -> None:
    frozen = ["--model", "resnet18", "--image-size", "32", "--freeze", "conv1,bn1,layer1", "--freeze-epochs", "1"]
    ends = ["--epochs", "3", "--keep-checkpoints", "9"]
    run_cli(str(digits60), "--no-tui", *frozen, *ends, "--epochs", "1", "--output-dir", str(tmp_path / "cut"))
    run_cli("--no-tui", "--resume", str(tmp_path / "cut"), "--epochs", "3")
    told = run_cli(str(digits60), "--no-tui", *frozen, *ends, "--output-dir", str(tmp_path / "whole"))
    assert "freeze = none (frozen for 1 epoch(s), now all layers train)" in told.err
    cut, whole = (load_file(tmp_path / run / "checkpoints" / "final.safetensors") for run in ("cut", "whole"))
    assert whole["bn1.running_mean"].any()
    assert whole["bn1.num_batches_tracked"] < whole["layer2.0.bn1.num_batches_tracked"]
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    events = (tmp_path / "cut" / "events.jsonl").read_text("ascii")
    assert events.count("now all layers train") == 1
