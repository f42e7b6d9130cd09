"""What a person mistyped is told at once: found without PyTorch, before the dataset is scanned."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path

from tui_trainer import user_code, vision
from tui_trainer.config import Config, did_you_mean
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.run_folder import path_or_run
from tui_trainer.settings import AUTO
from tui_trainer.text import display

OWN_MODELS, TIMM, IMAGENET = ("lenet", "mlp"), "timm:", "imagenet"
_FOR_GPUS = re.compile(rb"^(cuda|hip)\b[^=\n]*= *'", re.MULTILINE)  # a version of torch/version.py that is not None


def require_there(config: Config) -> None:
    """Refuse what plainly is not there.

    Raises:
        ConfigError: a model, own code, a device or a package.
        WeightsError: a weight file.
    """
    _require_model(config.model.model)
    for spec in own_code(config):
        user_code.require(spec)
    if config.run.tensorboard:
        from tui_trainer import tensorboard

        tensorboard.require()
    if not _may_be_there(config.recipe.device):
        name = display(config.recipe.device)
        raise ConfigError(f"device = {name}: there is no such device here; use --device auto or cpu.")
    pretrained = config.model.pretrained
    others = config.run.resume or config.run.branch  # these begin with weights of their own
    if pretrained not in ("", IMAGENET) and not others and not os.path.lexists(path_or_run(pretrained)):
        raise WeightsError(f"pretrained = {display(pretrained)}: there is no such file or run; check the path.")


def own_code(config: Config) -> list[str]:
    """The settings that name Python of the user."""
    from tui_trainer.data.sources import is_own

    loader = config.loader
    data = [spec for spec in (config.data.data, config.data.val_data) if is_own(spec)]
    hooks = (loader.sampler, loader.batch_sampler, loader.collate_fn, loader.worker_init_fn)
    return [*data, *(spec for spec in (config.model.model, config.recipe.loss, *hooks) if user_code.names_code(spec))]


def _require_model(name: str) -> None:
    if name in (AUTO, *OWN_MODELS) or name.startswith(TIMM) or user_code.names_code(name):
        return
    known = vision.names_in_source()
    if known and name not in known:
        raise ConfigError(f"Unknown model {display(name)}{did_you_mean(name, [*OWN_MODELS, *known])}")


def _may_be_there(device: str) -> bool:
    """False where PyTorch was built without CUDA or has no driver for it; the rest is known to PyTorch alone."""
    kind = device.partition(":")[0]
    if kind == "mps":
        return sys.platform == "darwin"
    found = importlib.util.find_spec("torch") if kind == "cuda" else None
    if found is None or found.origin is None:
        return True
    try:
        built_for = {match[1] for match in _FOR_GPUS.finditer(Path(found.origin).with_name("version.py").read_bytes())}
    except OSError:
        return True
    return bool(built_for) and (built_for != {b"cuda"} or not sys.platform.startswith("linux") or _has_driver())


def _has_driver() -> bool:
    """Whether the library is there that CUDA's own asks for."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
