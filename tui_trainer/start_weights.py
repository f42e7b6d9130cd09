"""What a model starts from: chosen layers of a weight file, and which layers stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from tui_trainer import vision
from tui_trainer.config import Config, ModelConfig
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.events import Event, SettingChanged, Warned
from tui_trainer.models import catalog
from tui_trainer.run_folder import path_or_run
from tui_trainer.text import display
from tui_trainer.weights.adapt import fitting_image_size
from tui_trainer.weights.branches import Branch, choose_branch, question_of
from tui_trainer.weights.contents import WeightFile
from tui_trainer.weights.download import download
from tui_trainer.weights.fingerprint import fingerprint_of
from tui_trainer.weights.layer_names import Selection
from tui_trainer.weights.limits import Cancelled, never
from tui_trainer.weights.load import load_into
from tui_trainer.weights.match import Described, bring_together
from tui_trainer.weights.reader import list_weights
from tui_trainer.weights.report import MatchReport
from tui_trainer.weights.selected import Matched

IMAGENET = "imagenet"  # torchvision's weights of the chosen model
LOADED, BACKBONE = "loaded", "backbone"  # what --freeze takes besides names of layers


class NotDownloadedError(WeightsError):
    """The file is on the web still."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What was loaded, as a plan that can be read and repeated, and the layers that are frozen."""

    news: tuple[Event, ...] = ()
    plan: str = ""
    fingerprint: str = ""  # of the weight file
    frozen: tuple[str, ...] = ()  # paths of modules


def weight_file(
    settings: ModelConfig, tell: Callable[[str], None] | None = None, cancelled: Cancelled = never
) -> WeightFile:
    """The file that `pretrained` means, listed. ImageNet weights are downloaded only where `tell` can say so.

    Raises:
        WeightsError: it is not there, or is no weight file.
    """
    if settings.pretrained != IMAGENET:
        return list_weights(path_or_run(settings.pretrained))
    models = vision.models()
    if settings.model not in models.list_models(module=models):
        shown = display(settings.model)
        raise WeightsError(f"torchvision has no ImageNet weights for {shown}: give a file to --pretrained.")
    weights = models.get_model_weights(settings.model).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not path.exists():
        if tell is None:
            raise NotDownloadedError(f"{path.name} is not downloaded yet: that happens when the training starts.")
        prefix = path.stem.rpartition("-")[2]  # of its SHA-256
        download(weights.url, path, prefix, tell, cancelled)
    return replace(list_weights(path), class_names=tuple(weights.meta.get("categories", ())))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A file over a model: which of its weights are meant, and each layer with what they have for it."""

    file: WeightFile
    branch: Branch
    branches: tuple[Branch, ...]  # all that may be meant
    matched: Matched

    @property
    def question(self) -> str:
        """Which branch is meant, as a sentence; empty where that is clear."""
        return question_of(self.file, self.branches)


def fit(
    file: WeightFile,
    tensors: Mapping[str, Described],
    settings: ModelConfig,
    classes: Sequence[str] = (),
    fitting_size: Callable[[str, int], int | None] | None = None,
) -> Fit:
    """Bring a file and a model's state_dict together, under all settings but those that choose layers.

    Raises:
        WeightsError: the file has no weights of the name asked for, or a rename rule is not understood.
    """
    branch, branches = choose_branch(file, tensors, settings.pretrained_group, settings.rename_layers)
    chosen = replace(file, chosen=branch.group)
    matched = bring_together(
        {tensor.name: tensor for tensor in chosen.tensors},
        tensors,
        renames=settings.rename_layers,
        adapters=settings.adapters,
        file_classes=file.class_names,
        model_classes=classes,
        rule=branch.rule,
        rivals=[other.rule for other in branches if other.rule is not None and other.group is branch.group],
        fitting_size=fitting_size,
    )
    return Fit(file=chosen, branch=branch, branches=branches, matched=matched)


def chosen_layers(matched: Matched, settings: ModelConfig) -> MatchReport:
    """What would be loaded with these settings."""
    return matched.report(include=settings.include_layers, exclude=settings.exclude_layers, by_order=settings.by_order)


def size_finder(config: Config, outputs: int) -> Callable[[str, int], int | None]:
    """Finds the image size at which a layer of the configured model has so many input numbers."""
    model, side = config.model, config.data.image_size or 0

    def features(layer: str, at: int) -> int | None:
        try:
            skeleton = catalog.skeleton(
                model.model,
                num_classes=outputs,
                channels=config.data.channels or 3,
                image_size=at,
                args=model.model_args,
                trusted=config.run.trust_code,
            )
            return int(skeleton.state_dict()[f"{layer}.weight"].shape[1])
        except (ConfigError, ValueError, RuntimeError, KeyError, IndexError):
            return None

    def find(layer: str, wanted: int) -> int | None:
        if features(layer, side) == features(layer, 2 * side):
            return None  # it takes images of any size
        return fitting_image_size(lambda at: features(layer, at), wanted)

    return find


def start_from(
    model: nn.Module,
    config: Config,
    classes: tuple[str, ...],
    tell: Callable[[str], None],
    outputs: int = 0,
    cancelled: Cancelled = never,
) -> Started:
    """Load what is configured into `model` and find the layers that are to stay.

    Raises:
        WeightsError: the file cannot be read, several of its weights may be meant, or nothing fits; the model is as
            it was.
        ConfigError: a pattern of `freeze` names no layer.
    """
    settings, loaded = config.model, tuple[str, ...]()
    if not settings.pretrained:
        return Started(frozen=frozen_names(model, settings.freeze, loaded))
    listed = weight_file(settings, tell, cancelled)
    finder = size_finder(config, outputs or len(classes))
    found = fit(listed, model.state_dict(), settings, classes, finder)
    if found.question and not settings.pretrained_group:
        words = " or ".join(f"--pretrained-group {display(branch.name, 60)}" for branch in found.branches)
        raise WeightsError(f"{found.question} Say which: {words}.")
    report = chosen_layers(found.matched, settings)
    done = load_into(model, found.file, report)
    fingerprint = fingerprint_of(listed.path)
    reason = report.verdict.sentence
    worries = [reason] if report.verdict.colour == "red" else []
    if settings.pretrained_fingerprint not in ("", fingerprint):
        worries.append(
            f"{display(listed.path)} is not the file that this configuration was made with: its fingerprint was "
            f"{display(settings.pretrained_fingerprint, 40)} and is {fingerprint}."
        )
    texts = (*worries, *report.notes, *done.notes)
    return Started(
        news=(
            SettingChanged(step=0, name="pretrained", value=report.summary, reason=reason),
            *(Warned(topic="weights", message=display(text, 400)) for text in texts),
        ),
        plan=_plan(found, report, fingerprint),
        fingerprint=fingerprint,
        frozen=frozen_names(model, settings.freeze, done.layers),
    )


def _plan(found: Fit, report: MatchReport, fingerprint: str) -> str:
    """What was loaded, as text: every choice is a setting of the run's configuration, which repeats it."""
    layers = [
        {
            "layer": layer.layer,
            "status": layer.status,
            "loaded": layer.taken,
            "from": layer.file_layer,
            "adapted": next((pair.adaptation.sentence for pair in layer.pairs if pair.adaptation), ""),
        }
        for layer in report.layers
    ]
    plan = {
        "file": str(found.file.path),
        "fingerprint": fingerprint,
        "format": found.file.format,
        "group": found.branch.name,
        "rules": [str(rule) for rule in report.rules],
        "settings": report.settings,
        "verdict": report.verdict.sentence,
        "summary": report.summary,
        "layers": layers,
    }
    return json.dumps(plan, indent=1, default=str)


def frozen_names(model: nn.Module, patterns: Sequence[str], loaded: Sequence[str]) -> tuple[str, ...]:
    """The modules that stand still, with their own parameters and statistics.

    Raises:
        ConfigError: a pattern names no layer, or all layers are taken.
    """
    return frozen_of(*owners_of(model), patterns, loaded)


def owners_of(model: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules with parameters of their own, and those that have statistics alone."""
    modules = list(model.named_modules())
    owners = tuple(path for path, module in modules if any(True for _ in module.parameters(recurse=False)))
    still = tuple(path for path, module in modules if any(True for _ in module.buffers(recurse=False)))
    return owners, tuple(path for path in still if path not in owners)


def frozen_of(
    owners: Sequence[str], others: Sequence[str], patterns: Sequence[str], loaded: Sequence[str]
) -> tuple[str, ...]:
    """Which of the modules `patterns` hold.

    Raises:
        ConfigError: a pattern names no layer, or all layers are taken.
    """
    if not patterns or not owners:
        return ()
    names = Selection([pattern for pattern in patterns if pattern not in (LOADED, BACKBONE)])
    taken = set(loaded) if LOADED in patterns else set()
    head = owners[-1] if BACKBONE in patterns else None
    frozen = tuple(
        path for path in (*owners, *others) if names.matches(path) or path in taken or head not in (None, path)
    )
    if names.unused:
        raise ConfigError(f"freeze = {display(', '.join(names.unused))}: the model has no layer of this name.")
    if set(owners) <= set(frozen):
        raise ConfigError("freeze takes every layer: nothing would be trained.")
    return frozen
