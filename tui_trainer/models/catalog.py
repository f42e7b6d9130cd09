"""A name to a model: lenet, mlp, torchvision's, `timm:NAME`, `path/to/file.py:Class`, `package.module:factory`.

`args` are more arguments for its builder, as key=value; `trusted` says that the user's code may run.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tui_trainer import user_code, vision
from tui_trainer.config import did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.models import timm_models
from tui_trainer.models.lenet import LeNet
from tui_trainer.models.mlp import MLP
from tui_trainer.models.user_model import build_own, own_size, parse_args
from tui_trainer.text import display

LENET, MLP_NAME = "lenet", "mlp"
HIDDEN_SIZES = (64, 64)
SMALL = 64  # side of images for which a network of these is built in a millisecond
SIZES = (32, 48, 64, 75, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512)  # sides to propose


def names() -> list[str]:
    """Every model by its name; imports torchvision."""
    models = vision.models()
    return [LENET, MLP_NAME, *models.list_models(module=models)]


def default_size(name: str, *, trusted: bool = False) -> int:
    """The side of the images that a model is made for; of the user's own what its builder has as default.

    Raises:
        ConfigError: timm or the user's code has no such model.
    """
    if name.startswith(timm_models.PREFIX):
        return timm_models.default_size(name)
    if user_code.names_code(name):
        return own_size(name, trusted=trusted) or 224
    if name in (LENET, MLP_NAME):
        return 32
    if name == "inception_v3":
        return 299
    return 224


def shape_of(channels: int, image_size: int) -> tuple[int, ...]:
    """The shape of one input: (C, S, S), or (C,) where it is a row of numbers."""
    return (channels, image_size, image_size) if image_size else (channels,)


def build(
    name: str,
    *,
    num_classes: int,
    channels: int,
    image_size: int,
    args: Sequence[str] = (),
    trusted: bool = False,
    hidden_sizes: Sequence[int] = HIDDEN_SIZES,
    shape: tuple[int, ...] = (),
) -> nn.Module:
    """The model with random weights, an output for each class and an input for each channel.

    `image_size` 0: the input is a row of `channels` numbers, or of `shape`. `hidden_sizes` are those of mlp.

    Raises:
        ConfigError: there is no model of this name, or it does not take `args`.
    """
    size = {"num_classes": num_classes, "channels": channels, "image_size": image_size}
    if name.startswith(timm_models.PREFIX):
        return timm_models.build(name, parse_args(args), **size)
    if user_code.names_code(name):
        return build_own(name, args, trusted=trusted, **size)
    if name in (LENET, MLP_NAME) and args:
        raise ConfigError(f"{name} takes no model_args: leave them out.")
    if name == MLP_NAME:
        return MLP(math.prod(shape or shape_of(channels, image_size)), num_classes, hidden_sizes)
    if not image_size:
        raise ConfigError(f"{display(name)} takes images, and this data is rows of numbers: use --model mlp.")
    if name == LENET:
        return LeNet(num_classes, channels, image_size)
    models = vision.models()
    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"Unknown model {display(name)}{did_you_mean(name, [LENET, *known])}")
    given = {"num_classes": num_classes, **extras(name, image_size), **parse_args(args)}
    try:
        model: nn.Module = models.get_model(name, weights=None, **given)
    except (TypeError, AttributeError) as error:
        if not args:
            raise
        raise ConfigError(f"{name} cannot be built with these model_args: {display(error)}.") from None
    if channels != 3:
        _replace_first_convolution(model, channels)
    return model


def extras(name: str, image_size: int) -> dict[str, Any]:
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


def check_takes(name: str, *, num_classes: int, channels: int, image_size: int, **more: Any) -> bool:
    """Refuse a model that cannot take these images; whether it needs two or more images a step.

    The model runs on torch's meta device: shapes only, no memory and no arithmetic. That loads torch's compiler, for
    over a second, so that small ones run as they are.

    Raises:
        ConfigError: it cannot, or does not exist; the sentence names an image size that would do.
    """
    asked: dict[str, Any] = {"num_classes": num_classes, "channels": channels, **more}
    if why := _refusal(name, image_size, batch=2, **asked):
        if not image_size:
            raise ConfigError(f"{display(name)} cannot take rows of {channels} numbers: {why}.")
        by_distance = sorted(SIZES, key=lambda side: abs(side - image_size))
        nearest = next((side for side in by_distance if _takes(name, side, asked)), None)
        hint = f"use --image-size {nearest}" if nearest else f"choose another model ({why})"
        shown = f"{image_size}x{image_size} with {channels} channel(s)"
        raise ConfigError(f"{display(name)} cannot take images of {shown}: {hint}.")
    return bool(_refusal(name, image_size, batch=1, **asked))


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


def skeleton(name: str, **asked: Any) -> nn.Module:
    """The model in names and shapes only; takes what `build` takes.

    The user's own code may need numbers while it builds: it then gets memory.

    Raises:
        ConfigError: there is no model of this name, or it cannot be built.
    """
    try:
        with without_memory(name):
            return build(name, **asked)
    except ConfigError:
        if not user_code.names_code(name):
            raise
        return build(name, **asked)


def runs_channels_last(name: str, model: nn.Module, channels: int, image_size: int) -> bool:
    """Whether a model trains on images laid out as NHWC, which `view` refuses: a copy of what is not known is tried."""
    if not name.startswith(timm_models.PREFIX) and not user_code.names_code(name):
        return True
    images = torch.zeros(2, *shape_of(channels, image_size)).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        try:
            twin = copy.deepcopy(model).train()
            twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            twin(images).sum().backward()
        except Exception:  # whatever the user's own code may raise
            return False
    return True


def _takes(name: str, image_size: int, asked: Mapping[str, Any]) -> bool:
    try:
        return not _refusal(name, image_size, batch=2, **asked)
    except ConfigError:
        return False


def _refusal(name: str, image_size: int, *, batch: int, num_classes: int, channels: int, **asked: Any) -> str:
    """Why a model does not turn (batch, channels, S, S) into (batch, num_classes); empty when it does."""
    try:
        make = build if name in (LENET, MLP_NAME) and image_size <= SMALL else skeleton
        model = make(name, num_classes=num_classes, channels=channels, image_size=image_size, **asked).train()
        memory = any(not tensor.is_meta for tensor in model.parameters())
        with torch.no_grad(), contextlib.nullcontext() if memory else without_memory(name):
            outputs = model(torch.empty(batch, *(asked.get("shape") or shape_of(channels, image_size))))
    except ConfigError:
        raise
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError) as error:
        return display(error, 160)
    except Exception as error:
        if not user_code.names_code(name):
            raise
        return display(f"{type(error).__name__}: {error}", 160)
    if not isinstance(outputs, torch.Tensor):
        return f"it gives a {type(outputs).__name__}, not one tensor"
    shape = tuple(outputs.shape)
    return "" if shape == (batch, num_classes) else f"it gives {shape} for {batch} images and {num_classes} classes"
