"""Exported models compute what the trained one does; each is loaded as another program would load it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import interpolate

from tests.conftest import DIGITS
from tui_trainer.config import build
from tui_trainer.errors import WeightsError
from tui_trainer.results import export as exporting
from tui_trainer.results.export import export
from tui_trainer.results.graph import Inside
from tui_trainer.results.predict import predict
from tui_trainer.results.trained import Trained, load_trained
from tui_trainer.results.verify import inputs
from tui_trainer.session import LocalSession

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def reference(trained: Trained, batch: torch.Tensor) -> np.ndarray[Any, Any]:
    """The trained model's outputs for (N, S, S, C) uint8."""
    return trained.outputs(batch).numpy()


def test_onnx_takes_plain_images_in_any_number(digits_run: Path, run_cli: Callable[..., Any]) -> None:
    told = run_cli("export", digits_run, "--format", "onnx", "--preprocessing", "--softmax", "--json")
    assert told.code == 0, told.err
    trained, record = load_trained(str(digits_run)), json.loads(told.out)
    session = onnxruntime.InferenceSession(record["file"], providers=["CPUExecutionProvider"])
    square = torch.stack(inputs(trained).square)
    for batch in (square, square[:1]):
        (shares,) = session.run(None, {"images": batch.numpy()})
        assert np.abs(shares - torch.from_numpy(reference(trained, batch)).softmax(1).numpy()).max() <= 1e-4
        assert np.abs(shares.sum(1) - 1).max() < 1e-5
    card = tomllib.loads(Path(record["card"]).read_text())
    assert card["output"]["classes"] == ["0", "1", "2"]
    assert card["output"]["kind"] == "probabilities"
    assert card["model"]["opset"] == record["opset"]
    assert card["input"]["shape"] == ["batch", 32, 32, 1]
    assert card["verified"]["same_answer"] == card["verified"]["samples"] == len(square)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["0", "1", "2"]


def test_pt2_resizes_too_and_needs_no_tui_trainer(
    digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    told = run_cli("export", digits_run, "--format", "pt2", "--preprocessing", "--output", folder)
    assert told.code == 0, told.err
    assert "resize -> normalise -> model" in told.out
    trained, program = load_trained(str(digits_run)), torch.export.load(folder / "model.pt2").module()
    images = torch.randint(0, 256, (3, 50, 71, 1), dtype=torch.uint8)
    small = interpolate(images.permute(0, 3, 1, 2), (32, 32), mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    assert np.abs(program(images).numpy() - reference(trained, small)).max() <= 1e-4
    assert tomllib.loads((folder / "model.toml").read_text())["preprocessing"]["still_to_do"] == [
        "decode to grey, EXIF orientation applied"
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt2", "model.toml"]


def test_safetensors_carry_names_and_preprocessing(digits_run: Path, run_cli: Callable[..., Any]) -> None:
    told = run_cli("export", digits_run)
    file = digits_run / "export" / "safetensors" / "model.safetensors"
    assert told.code == 0, told.err
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["classes"]) == ["0", "1", "2"]
    assert json.loads(metadata["preprocessing"])["image_size"] == 32
    images = [str(DIGITS / "0" / "0_000.png")]
    assert list(predict(load_trained(str(file)), images)) == list(predict(load_trained(str(digits_run)), images))


def test_what_does_not_agree_is_not_kept(digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, read = load_trained(str(digits_run)), exporting._reader

    def wrong(*asked: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        reader = read(*asked)
        return lambda images: reader(images) + 1e-3

    monkeypatch.setattr(exporting, "_reader", wrong)
    with pytest.raises(WeightsError, match="differs"):
        export(trained, "safetensors", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_its_dataset_random_images_serve(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    file = shutil.copy(digits_run / "checkpoints" / "best.safetensors", tmp_path / "mine.safetensors")
    told = run_cli("export", file, "--output", tmp_path / "out")
    assert told.code == 0
    assert "random images" in told.out


def test_a_format_without_its_packages_is_one_sentence(
    digits_run: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    told = run_cli("export", digits_run, "--format", "onnx")
    assert told.code == 2
    assert "ONNX needs onnxruntime: pip install 'tui-trainer[onnx]'." in told.err
    assert told.err.count("\n") == 1


def test_combinations_that_make_no_sense(digits_run: Path, run_cli: Callable[..., Any], tmp_path: Path) -> None:
    assert run_cli("export", digits_run, "--preprocessing").code == 2
    (tmp_path / "file").touch()
    told = run_cli("export", digits_run, "--output", tmp_path / "file")
    assert told.code == 2
    assert "choose another --output" in told.err


@pytest.mark.soak
@pytest.mark.parametrize("model", ["lenet", "resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("form", ["safetensors", "onnx", "pt2"])
@pytest.mark.parametrize("preprocessing", [False, True])
def test_parity_on_100_validation_images(model: str, form: str, preprocessing: bool, tmp_path: Path) -> None:
    if form == "safetensors" and preprocessing:
        pytest.skip("weights have no graph")
    settings = {"data": str(DIGITS), "model": model, "image_size": 32 if model == "lenet" else 64}
    epochs = 10 if model == "mobilenet_v3_small" else 2  # its running statistics are slow
    recipe = {
        "epochs": epochs,
        "lr": 0.05,
        "lr_scheduler": "onecycle",
        "output_dir": str(tmp_path / "run"),
        "device": "cpu",
    }
    list(LocalSession(build({**settings, **recipe})).events())
    trained = load_trained(str(tmp_path / "run"), "final")
    done = export(trained, form, tmp_path / "out", preprocessing=preprocessing)
    assert done.inside == Inside(preprocessing=preprocessing, resize=preprocessing and form == "pt2")
    assert done.verified.real
    assert done.verified.samples >= 100
    assert done.verified.same == done.verified.samples
    assert done.verified.difference <= 1e-4
    square = torch.stack(inputs(trained).square)
    own = trained.outputs(square)
    assert len(own.argmax(1).unique()) >= 5  # a model that says one thing only would agree with anything
    if form == "pt2" and not preprocessing:  # verified by what was written, read here from the file
        read = torch.export.load(done.path).module()(trained.preprocessing.normalize(torch.device("cpu"))(square))
        assert (read - own).abs().max() <= 1e-4
    print(model, form, preprocessing, done.verified.in_words(), float(own.abs().max()))
