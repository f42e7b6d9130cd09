"""timm's models, as `timm:NAME`; timm is an extra, and is imported through the one door to torchvision."""

from __future__ import annotations

import importlib.util
from typing import Any

from torch import nn

from tui_trainer import vision
from tui_trainer.config import did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.text import display

PREFIX = "timm:"


def _timm() -> Any:
    if importlib.util.find_spec("timm") is None:
        raise ConfigError("timm is not installed: pip install 'tui-trainer[timm]'.")
    vision.torchvision()  # timm imports it, and it needs its schemas first
    import timm

    return timm


def names() -> list[str]:
    """Every model of timm; none where timm is not installed."""
    return [PREFIX + name for name in _timm().list_models()] if importlib.util.find_spec("timm") else []


def _known(name: str) -> tuple[Any, str]:
    timm, bare = _timm(), name.removeprefix(PREFIX)
    if not timm.is_model(bare):
        raise ConfigError(f"timm has no model {display(bare)}{did_you_mean(bare, timm.list_models())}")
    return timm, bare


def default_size(name: str) -> int:
    """The side of the images that a model is made for.

    Raises:
        ConfigError: timm is not installed, or has no such model.
    """
    timm, bare = _known(name)
    config = timm.get_pretrained_cfg(bare, allow_unregistered=True)
    return int(config.input_size[-1]) if config is not None and config.input_size else 224


def build(name: str, args: dict[str, Any], *, num_classes: int, channels: int, image_size: int) -> nn.Module:
    """The model with random weights.

    Raises:
        ConfigError: timm is not installed, has no such model, or it does not take `args`.
    """
    timm, bare = _known(name)
    config = timm.get_pretrained_cfg(bare, allow_unregistered=True)
    size = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    try:
        model: nn.Module = timm.create_model(
            bare, pretrained=False, **{"num_classes": num_classes, "in_chans": channels, **size, **args}
        )
    except TypeError as error:
        raise ConfigError(f"{display(name)} cannot be built with these model_args: {display(error)}.") from None
    return model
