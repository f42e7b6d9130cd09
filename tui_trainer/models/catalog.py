"""A name to a model: lenet, and every classification model of torchvision."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tui_trainer import vision
from tui_trainer.config import did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.models.lenet import LeNet
from tui_trainer.text import display

LENET = "lenet"
SIZES = (32, 48, 64, 75, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512)  # sides to propose


def names() -> list[str]:
    """Every model by its name; imports torchvision."""
    models = vision.models()
    return [LENET, *models.list_models(module=models)]


def default_size(name: str) -> int:
    """The side of the images that a model is made for."""
    if name == LENET:
        return 32
    if name == "inception_v3":
        return 299
    return 224


def build(name: str, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
    """The model with random weights, an output for each class and an input for each channel.

    Raises:
        ConfigError: there is no model of this name.
    """
    if name == LENET:
        return LeNet(num_classes, channels)
    models = vision.models()
    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"Unknown model {display(name)}{did_you_mean(name, [LENET, *known])}")
    model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **_extras(name, image_size))
    if channels != 3:
        _replace_first_convolution(model, channels)
    return model


def _extras(name: str, image_size: int) -> dict[str, Any]:
    """What some builders need besides the number of classes."""
    builder: Callable[..., Any] = vision.models().get_model_builder(name)
    parameters = inspect.signature(builder).parameters
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    if name.startswith(("vit_", "maxvit_")):
        return {
            "image_size" if name.startswith("vit_") else "input_size": image_size
            if name.startswith("vit_")
            else (image_size, image_size)
        }
    return {"init_weights": True} if "init_weights" in parameters else {}


def _replace_first_convolution(model: nn.Module, channels: int) -> None:
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            first = nn.Conv2d(
                channels,
                module.out_channels,
                module.kernel_size,  # type: ignore[arg-type]
                stride=module.stride,  # type: ignore[arg-type]
                padding=module.padding,  # type: ignore[arg-type]
                bias=module.bias is not None,
            )
            parent, _, attribute = path.rpartition(".")
            setattr(model.get_submodule(parent), attribute, first)
            return


def check_takes(name: str, *, num_classes: int, channels: int, image_size: int) -> bool:
    """Refuse a model that cannot take these images; whether it needs two or more images a step.

    The model runs on torch's meta device: shapes only, no memory and no arithmetic.

    Raises:
        ConfigError: it cannot, or does not exist; the sentence names an image size that would do.
    """
    size = {"num_classes": num_classes, "channels": channels}
    if not _runs(name, image_size, batch=2, **size):
        by_distance = sorted(SIZES, key=lambda side: abs(side - image_size))
        nearest = next((side for side in by_distance if _runs(name, side, batch=2, **size)), None)
        hint = f"use --image-size {nearest}" if nearest else "choose another model"
        raise ConfigError(f"{name} cannot take images of {image_size}x{image_size} with {channels} channel(s): {hint}.")
    return not _runs(name, image_size, batch=1, **size)


class _Numbers(TorchFunctionMode):
    """Keeps on the CPU what regnets compute their widths with: a meta tensor has no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.arange, torch.tensor):
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


@contextlib.contextmanager
def without_memory(name: str) -> Iterator[None]:
    """What is built here of the model `name` has shapes only: torch's meta device."""
    with torch.device("meta"), _Numbers() if name.startswith("regnet_") else contextlib.nullcontext():
        yield


def skeleton(name: str, *, num_classes: int, channels: int, image_size: int) -> nn.Module:
    """The model in names and shapes only.

    Raises:
        ConfigError: there is no model of this name.
    """
    with without_memory(name):
        return build(name, num_classes=num_classes, channels=channels, image_size=image_size)


def _runs(name: str, image_size: int, *, batch: int, num_classes: int, channels: int) -> bool:
    try:
        with without_memory(name):
            model = build(name, num_classes=num_classes, channels=channels, image_size=image_size).train()
            outputs = model(torch.empty(batch, channels, image_size, image_size))
        return tuple(outputs.shape) == (batch, num_classes)
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError):
        return False
