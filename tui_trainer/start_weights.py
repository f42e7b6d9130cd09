"""What a model starts from: chosen layers of a weight file, and which layers stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from tui_trainer import vision
from tui_trainer.config import Config, ModelConfig
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.events import Event, SettingChanged, Warned
from tui_trainer.text import display, user_path
from tui_trainer.weights.contents import WeightFile
from tui_trainer.weights.layer_names import Selection
from tui_trainer.weights.load import load_into
from tui_trainer.weights.match import fitting_group, match_file
from tui_trainer.weights.reader import list_weights

if TYPE_CHECKING:
    from tui_trainer.weights.report import MatchReport

IMAGENET = "imagenet"  # torchvision's weights of the chosen model
LOADED, BACKBONE = "loaded", "backbone"  # what --freeze takes besides names of layers


@dataclass(frozen=True, kw_only=True)
class Started:
    """What was loaded, as a plan that can be read and repeated, and the layers that are frozen."""

    news: tuple[Event, ...] = ()
    plan: str = ""
    frozen: tuple[str, ...] = ()  # paths of modules


def weight_file(settings: ModelConfig, tell: Callable[[str], None] | None = None) -> WeightFile:
    """The file that `pretrained` means, listed. ImageNet weights are downloaded only where `tell` can say so.

    Raises:
        WeightsError: it is not there, or is no weight file.
    """
    if settings.pretrained == IMAGENET:
        return list_weights(_torchvision_file(settings.model, tell))
    return list_weights(user_path(settings.pretrained))


def _torchvision_file(model: str, tell: Callable[[str], None] | None) -> Path:
    """The ImageNet weights of a model, from torch's cache or downloaded into it."""
    models = vision.models()
    if model not in models.list_models(module=models):
        raise WeightsError(f"torchvision has no ImageNet weights for {display(model)}: give a file to --pretrained.")
    weights = models.get_model_weights(model).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not path.exists() and tell is None:
        raise WeightsError(f"{path.name} is not downloaded yet: that happens when the training starts.")
    if not path.exists() and tell is not None:
        tell(f"downloading {path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            prefix = path.stem.rpartition("-")[2]  # of its SHA-256
            torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"Cannot download the ImageNet weights of {model} ({display(error, 80)}): "
                f"put {path.name} into {display(path.parent)}, or give a file to --pretrained."
            ) from None
    return path


def matched(model: nn.Module, file: WeightFile, settings: ModelConfig, classes: tuple[str, ...]) -> MatchReport:
    """What of the file would be loaded with these settings."""
    return match_file(
        fitting_group(file, model.state_dict()),
        model,
        include=settings.include_layers,
        exclude=settings.exclude_layers,
        renames=settings.rename_layers,
        file_classes=file.class_names,
        model_classes=classes,
    )


def start_from(model: nn.Module, config: Config, classes: tuple[str, ...], tell: Callable[[str], None]) -> Started:
    """Load what is configured into `model` and freeze what is to stay.

    Raises:
        WeightsError: the file cannot be read, or nothing of it fits; the model is as it was.
        ConfigError: a pattern of `freeze` names no layer.
    """
    settings, loaded = config.model, tuple[str, ...]()
    news, plan = list[Event](), ""
    if settings.pretrained:
        file = weight_file(settings, tell)
        report = matched(model, file, settings, classes)
        done = load_into(model, file, report)
        loaded = done.layers
        reason = report.verdict.sentence
        news = [SettingChanged(step=0, name="pretrained", value=report.summary, reason=reason)]
        worries = [reason] if report.verdict.colour == "red" else []
        news += [Warned(topic="weights", message=display(text, 400)) for text in (*worries, *report.notes, *done.notes)]
        plan = _plan(file, report)
    return Started(news=tuple(news), plan=plan, frozen=frozen_names(model, settings.freeze, loaded))


def _plan(file: WeightFile, report: MatchReport) -> str:
    layers = [
        {"layer": layer.layer, "status": layer.status, "loaded": layer.taken, "from": layer.file_layer}
        for layer in report.layers
    ]
    plan = {"file": str(file.path), "settings": report.settings, "summary": report.summary, "layers": layers}
    return json.dumps(plan, indent=1, default=str)


def frozen_names(model: nn.Module, patterns: tuple[str, ...], loaded: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that stand still, with their own parameters and statistics.

    Raises:
        ConfigError: a pattern names no layer, or all layers are taken.
    """
    owners = [path for path, module in model.named_modules() if _has_own(module.named_parameters(recurse=False))]
    if not patterns or not owners:
        return ()
    still = {path for path, module in model.named_modules() if _has_own(module.named_buffers(recurse=False))}
    names = Selection([pattern for pattern in patterns if pattern not in (LOADED, BACKBONE)])
    head = owners[-1]
    frozen = [
        path
        for path, _ in model.named_modules()
        if (path in owners or path in still)
        and (names.matches(path) or (LOADED in patterns and path in loaded) or (BACKBONE in patterns and path != head))
    ]
    if names.unused:
        raise ConfigError(f"freeze = {display(', '.join(names.unused))}: the model has no layer of this name.")
    if set(owners) <= set(frozen):
        raise ConfigError("freeze takes every layer: nothing would be trained.")
    return tuple(frozen)


def _has_own(named: Iterable[object]) -> bool:
    return any(True for _ in named)
