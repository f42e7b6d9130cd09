"""A model that the user wrote: `path/to/file.py:Class` or `package.module:factory`, called with what it takes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from tui_trainer import user_code
from tui_trainer.errors import ConfigError
from tui_trainer.text import display

# What people call the three things that every model here is asked for.
SPELLINGS = {
    "num_classes": ("num_classes", "n_classes", "nb_classes", "classes", "num_labels", "out_features", "num_outputs"),
    "channels": (
        *("channels", "in_channels", "in_chans", "n_channels", "num_channels", "in_ch"),
        *("in_features", "n_features", "num_features", "input_dim"),
    ),
    "image_size": ("image_size", "img_size", "input_size", "resolution"),
}


def parse_args(texts: Sequence[str]) -> dict[str, Any]:
    """Arguments from key=value: numbers, True, None, lists as Python writes them; anything else is text.

    Raises:
        ConfigError: one has no name before its "=".
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ConfigError(f"model_args = {display(text, 80)}: write NAME=VALUE, as in width=64.")
        try:
            found[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[key.strip()] = value.strip()
    return found


def build_own(spec: str, args: Sequence[str], *, trusted: bool, **size: int) -> nn.Module:
    """Call the user's class or factory with `args` and those of `size` that it takes.

    Raises:
        ConfigError: it cannot be imported or built, lacks an argument, or makes no nn.Module.
    """
    make = user_code.load(spec, trusted=trusted)
    given = parse_args(args)
    wanted = _taken(make, given, size) | given
    try:
        inspect.signature(make).bind(**wanted)
    except TypeError as error:
        raise ConfigError(f"{display(spec)}: {display(error)} (--model-args NAME=VALUE,... gives arguments).") from None
    except ValueError:
        pass  # what is written in C has no signature
    try:
        model = make(**wanted)
    except ConfigError:
        raise
    except Exception as error:
        what = display(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(f"{display(spec)} cannot be built: {what}.") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{display(spec)} makes a {type(model).__name__}: a torch.nn.Module is needed.")
    return _materialised(model, size)


def own_size(spec: str, *, trusted: bool) -> int | None:
    """The image side that the user's class has as the default of its argument; None where it says nothing."""
    make = user_code.load(spec, trusted=trusted)
    parameters = _parameters(make)
    for name in SPELLINGS["image_size"]:
        default = parameters[name].default if name in parameters else None
        if isinstance(default, int) and not isinstance(default, bool):
            return default
    return None


def _parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        return {}


def _taken(make: Callable[..., Any], given: dict[str, Any], size: dict[str, int]) -> dict[str, Any]:
    """Classes, channels and size by the names that `make` has for them."""
    parameters = _parameters(make)
    found: dict[str, Any] = {}
    for what, value in size.items():
        name = next((name for name in SPELLINGS[what] if name in parameters), "")
        if name and name not in given:
            found[name] = value
    return found


def _materialised(model: nn.Module, size: dict[str, int]) -> nn.Module:
    """Lazy layers get their shapes from one image of zeros."""
    lazy = nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer
    if any(isinstance(tensor, lazy) for tensor in (*model.parameters(), *model.buffers())):
        training = model.training
        with torch.no_grad():
            model.eval()(torch.zeros(1, size["channels"], size["image_size"], size["image_size"]))
        model.train(training)
    return model
