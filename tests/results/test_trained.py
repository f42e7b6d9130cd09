"""A model from its file alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.results.trained import load_trained


def metadata_of(file: Path) -> dict[str, str]:
    """What stands beside the tensors."""
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata())


def test_it_knows_classes_and_preprocessing(digits_run: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trained = load_trained(str(digits_run))
    assert torch.equal(torch.get_rng_state(), before)  # a run in this process goes on with its own numbers
    assert trained.classes == ("0", "1", "2")
    assert trained.preprocessing.spec.image_size == 32
    assert not trained.model.training
    assert trained.path.name == "best.safetensors"
    assert load_trained(str(digits_run), "final").path.name == "final.safetensors"


def test_a_run_without_weights_says_when_there_will_be_some(digits_run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(digits_run, tmp_path / "moved")
    (moved / "checkpoints" / "best.safetensors").unlink()
    assert load_trained(str(moved)).path.name == "final.safetensors"
    (moved / "checkpoints" / "final.safetensors").unlink()
    with pytest.raises(WeightsError, match="no weights yet"):
        load_trained(str(moved))


def preprocessed(size: int, channels: int, std: int) -> dict[str, str]:
    """Metadata with a preprocessing of its own."""
    said = {"image_size": size, "channels": channels, "resize": "squash", "mean": [0], "std": [std]}
    return {"preprocessing": json.dumps(said)}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "pt"},
        {"preprocessing": "{}"},
        {"preprocessing": "nonsense"},
        {
            "preprocessing": json.dumps(
                {"image_size": 10**9, "channels": 1, "resize": "squash", "mean": [0], "std": [1]}
            )
        },
        preprocessed(32, 1, 0),
        preprocessed(32, 3, 1),
        {"classes": "[]"},
        {"classes": '["0", "1"]'},
        {"classes": "[1, 2, 3]"},
        {"model": "resnet18"},
    ],
)
def test_what_does_not_describe_its_model_is_refused(digits_run: Path, tmp_path: Path, change: dict[str, str]) -> None:
    file = digits_run / "checkpoints" / "best.safetensors"
    other = tmp_path / "other.safetensors"
    save_file(load_file(file), other, metadata={**metadata_of(file), **change})
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        load_trained(str(other))


def test_damage_and_absence(digits_run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((digits_run / "checkpoints" / "best.safetensors").read_bytes()[:5000])
    with pytest.raises(WeightsError, match="no whole safetensors"):
        load_trained(str(cut))
    with pytest.raises(ConfigError, match="no run"):
        load_trained(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="leave out --weights"):
        load_trained(str(cut), "best")
    with pytest.raises(ConfigError, match="device"):
        load_trained(str(digits_run), device="abacus")


def test_outputs_that_are_no_numbers_are_refused(digits_run: Path) -> None:
    trained = load_trained(str(digits_run))
    next(trained.model.parameters()).fill_(torch.nan)
    with pytest.raises(WeightsError, match="NaN"):
        trained.outputs(torch.zeros(1, 32, 32, trained.preprocessing.spec.channels, dtype=torch.uint8))
