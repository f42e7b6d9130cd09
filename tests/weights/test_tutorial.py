"""The tutorial's two cases of partial loading, from the README's commands: bit for bit what its own code gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from tests.conftest import ROOT, Told

from .good_files import LeNet

Cli = Callable[..., Told]
STILL = ["--no-tui", "--epochs", "1", "--lr", "1e-30"]  # so small a step changes no bit of a float32


class Other(nn.Module):
    """Another structure than resnet18's, with some layers of the same name and shape."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.middle = nn.Linear(64, 8)
        self.fc = nn.Linear(512, classes)


def after(run_cli: Cli, photos: Path, folder: Path, *flags: str) -> dict[str, torch.Tensor]:
    """The weights of a run with these flags."""
    told = run_cli(str(photos), *flags, *STILL, "--output-dir", str(folder))
    assert told.code == 0, told.err
    return load_file(folder / "checkpoints" / "final.safetensors")


def classes_of(photos: Path) -> int:
    """How many classes the folder has."""
    return len({path.parent.name for path in photos.rglob("*.png")})


def differing(got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of what is not bit for bit as expected."""
    return [name for name, tensor in expected.items() if not torch.equal(got[name], tensor)]


def words_of_readme(command: str, pretrained: Path) -> list[str]:
    """What follows the dataset in a command that the README shows, with a file of this test."""
    assert f"    tui-trainer photos {command} " in (ROOT / "README.md").read_text("utf-8")
    return [str(pretrained) if word.endswith(".pth") else word for word in command.split()]


def test_same_structure_some_layers_not_loaded(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    model = LeNet()
    model.fc3 = nn.Linear(84, classes_of(digits60))
    torch.save(model, tmp_path / "model.pth")
    model_dict = after(run_cli, digits60, tmp_path / "random")

    pre_train = torch.load(tmp_path / "model.pth", weights_only=False)
    pretrain_dict = pre_train.state_dict()
    load_pretrained_dict = {
        key: value for key, value in pretrain_dict.items() if (key in model_dict and "fc1" not in key)
    }
    expected = {**model_dict, **load_pretrained_dict}

    words = words_of_readme("--pretrained model.pth --exclude-layers fc1", tmp_path / "model.pth")
    got = after(run_cli, digits60, tmp_path / "loaded", *words)
    assert got.keys() == expected.keys()
    assert differing(got, expected) == []
    assert not torch.equal(got["fc1.weight"], pretrain_dict["fc1.weight"])
    assert torch.equal(got["fc2.weight"], pretrain_dict["fc2.weight"])


def test_another_structure_matching_layers_only(run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    other = Other(classes_of(digits60))
    other.bn1.running_mean += 3
    torch.save(other, tmp_path / "other.pth")
    small = ("--image-size", "32", "--batch-size", "16")
    model_dict = after(run_cli, digits60, tmp_path / "random", "--model", "resnet18", *small)

    pretrain_dict = torch.load(tmp_path / "other.pth", weights_only=False).state_dict()
    load_pretrained_dict = {key: value for key, value in pretrain_dict.items() if (key in model_dict)}
    assert set(load_pretrained_dict) == {name for name in pretrain_dict if not name.startswith("middle")}

    words = words_of_readme("--model resnet18 --pretrained other.pth", tmp_path / "other.pth")
    still = ("--freeze", "conv1,bn1")  # whose statistics would move on
    got = after(run_cli, digits60, tmp_path / "loaded", *words, *still, *small)
    assert differing(got, load_pretrained_dict) == []
    moved = ("running_mean", "running_var", "num_batches_tracked")
    others = [name for name in model_dict if name not in load_pretrained_dict and not name.endswith(moved)]
    random = [name for name in others if model_dict[name].abs().max() > 1e-20]  # a step does change a zero
    assert len(random) > 30
    assert differing(got, {name: model_dict[name] for name in random}) == []
