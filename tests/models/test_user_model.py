from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from tui_trainer.errors import ConfigError
from tui_trainer.models import catalog
from tui_trainer.models.user_model import parse_args

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes, in_channels=3, img_size=20, width=4):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3)
        self.fc = nn.Linear(width * (img_size - 2) ** 2, n_classes)
    def forward(self, x):
        return self.fc(self.stem(x).flatten(1))

class Lazy(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.fc = nn.LazyLinear(classes)
    def forward(self, x):
        return self.fc(x.flatten(1))

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.numbers = [float(n) for n in torch.linspace(0, 1, 3)]  # needs numbers, which meta tensors have not
        self.fc = nn.Linear(64, 10)
    def forward(self, x):
        return self.fc(x.flatten(1))

class Two(Fixed):
    def forward(self, x):
        return super().forward(x), 1

class Broken(nn.Module):
    def __init__(self, num_classes):
        raise RuntimeError("no weights today")

class Demanding(nn.Module):
    def __init__(self, num_classes, depth):
        super().__init__()

def factory(num_classes, **rest):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

def no_model():
    return 3
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_models.py").write_text(SOURCE, "utf-8")
    yield
    sys.modules.pop("own_models", None)


def built(name: str, side: int = 20, args: tuple[str, ...] = ()) -> nn.Module:
    return catalog.build(f"own_models.py:{name}", num_classes=7, channels=1, image_size=side, args=args)


def takes(name: str, side: int, classes: int = 7, args: tuple[str, ...] = ()) -> bool:
    return catalog.check_takes(f"own_models.py:{name}", num_classes=classes, channels=1, image_size=side, args=args)


def refused(name: str, side: int, classes: int = 7) -> str:
    with pytest.raises(ConfigError) as caught:
        takes(name, side, classes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_channels_and_size_are_given_by_the_names_that_the_class_has():
    net = built("Net", 10, ("width=6",))
    assert net(torch.zeros(2, 1, 10, 10)).shape == (2, 7)
    assert net.stem.out_channels == 6
    assert catalog.default_size("own_models.py:Net") == 20
    assert catalog.default_size("own_models.py:Lazy") == 224
    assert takes("Net", 30) is False


def test_lazy_layers_and_code_that_needs_numbers():
    assert built("Lazy")(torch.zeros(2, 1, 20, 20)).shape == (2, 7)
    assert takes("Lazy", 20) is False
    assert takes("Fixed", 8, classes=10) is False
    assert built("factory")(torch.zeros(2, 1, 20, 20)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Two", "it gives a tuple, not one tensor"),
        ("Broken", "cannot be built: RuntimeError: no weights today"),
        ("Demanding", "missing a required argument: 'depth' (--model-args"),
        ("no_model", "makes a int: a torch.nn.Module is needed"),
        ("Absent", "has no Absent"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(name, said):
    assert said in refused(name, 8, 10)


def test_wrong_sizes_and_classes_are_named():
    assert "use --image-size" not in refused("Fixed", 8, classes=7)
    assert "it gives (2, 10) for 2 images and 7 classes" in refused("Fixed", 8, classes=7)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'depth'"):
        built("Net", args=("depth=3",))


def test_arguments_are_numbers_words_or_what_python_writes():
    texts = ("a=1", "b=0.5", "c=True", "d=None", "e=relu", "f=(1, 2)", "g=a=b")
    expected = {"a": 1, "b": 0.5, "c": True, "d": None, "e": "relu", "f": (1, 2), "g": "a=b"}
    assert parse_args(texts) == expected
    for text in ("", "x", "=3", "1a=2"):
        with pytest.raises(ConfigError, match="write NAME=VALUE"):
            parse_args([text])


def test_arguments_of_the_models_that_are_built_in():
    model = catalog.build("alexnet", num_classes=3, channels=3, image_size=64, args=("dropout=0.25",))
    assert model.classifier[0].p == 0.25
    for name in ("alexnet", "lenet"):
        with pytest.raises(ConfigError, match="model_args"):
            catalog.build(name, num_classes=3, channels=3, image_size=64, args=("nothing=1",))


def test_timm_models_by_name():
    name = "timm:test_resnet.r160_in1k"
    assert catalog.default_size(name) == 160
    assert catalog.check_takes(name, num_classes=5, channels=1, image_size=64) in (True, False)
    with pytest.raises(ConfigError, match="did you mean"):
        catalog.default_size("timm:resnet81")


def test_lenet_takes_other_sides_than_the_tutorial_s():
    for side, cells in ((28, 5), (32, 6), (64, 14)):
        model = catalog.build("lenet", num_classes=10, channels=1, image_size=side)
        assert model.fc1.in_features == 16 * cells * cells
        assert model(torch.zeros(2, 1, side, side)).shape == (2, 10)
