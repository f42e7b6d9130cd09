"""What a model is made of, and what a weight file has for it, in plain values for a screen or a table."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from tui_trainer.auto import Choices, choose_inputs, model_arguments
from tui_trainer.config import Config
from tui_trainer.data import batches
from tui_trainer.models import catalog
from tui_trainer.start_weights import frozen_names, matched, weight_file
from tui_trainer.weights.layer_names import layers_of
from tui_trainer.weights.report import LayerMatch, MatchReport


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """A layer: its path, the shape of its weight, how many numbers it holds, and what a file has for it."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    status: str = ""
    taken: bool = False
    frozen: bool = False
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model for this data: `takes` (C, S, S) or (F,), outputs, layers, and the verdict on the weight file."""

    name: str
    parameters: int
    takes: tuple[int, ...]
    classes: int
    layers: tuple[LayerFacts, ...]
    summary: str = ""
    verdict: str = ""
    colour: str = ""


def look_at_model(config: Config) -> ModelFacts:
    """Build the model on torch's meta device and match the weight file against it; reads names and shapes only.

    Raises:
        UserError: the data, the model or the file does not do.
    """
    index = batches.scan(config)
    choices = Choices(config)
    choose_inputs(choices, index)
    config = choices.config
    asked = model_arguments(config, index)
    model = catalog.skeleton(config.model.model, **asked)
    report = None
    if config.model.pretrained:
        report = matched(model, weight_file(config.model), config.model, index.classes)
    loaded = tuple(layer.layer for layer in report.taken) if report else ()
    frozen = set(frozen_names(model, config.model.freeze, loaded))
    return ModelFacts(
        name=config.model.model,
        parameters=sum(p.numel() for p in model.parameters()),
        takes=catalog.shape_of(asked["channels"], asked["image_size"]),
        classes=index.outputs,
        layers=_matched_layers(report, frozen) if report else _own_layers(model, frozen),
        summary=report.summary if report else "",
        verdict=report.verdict.sentence if report else "",
        colour=report.verdict.colour if report else "",
    )


def _own_layers(model: nn.Module, frozen: set[str]) -> tuple[LayerFacts, ...]:
    state = model.state_dict()
    return tuple(
        LayerFacts(
            name=layer,
            shape=tuple(state[tensors[0]].shape),
            parameters=sum(state[name].numel() for name in tensors),
            frozen=layer in frozen,
        )
        for layer, tensors in layers_of(state).items()
    )


def _matched_layers(report: MatchReport, frozen: set[str]) -> tuple[LayerFacts, ...]:
    return tuple(_layer(match, match.layer in frozen) for match in report.layers)


def _layer(match: LayerMatch, frozen: bool) -> LayerFacts:
    return LayerFacts(
        name=match.layer,
        shape=match.model_shape or match.file_shape or (),
        parameters=match.model_numel or match.file_numel,
        status=match.status,
        taken=match.taken,
        frozen=frozen,
        detail=match.detail,
    )
