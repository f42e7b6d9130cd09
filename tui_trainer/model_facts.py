"""What a model is made of, and what a weight file has for it, in plain values for a screen or a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from tui_trainer.auto import Choices, choose_inputs, model_arguments
from tui_trainer.config import Config, ModelConfig
from tui_trainer.data import batches
from tui_trainer.errors import ConfigError
from tui_trainer.layer_facts import LayerChoice, LayerFacts
from tui_trainer.models import catalog
from tui_trainer.start_weights import Fit, chosen_layers, fit, frozen_of, owners_of, size_finder, weight_file
from tui_trainer.weights.layer_names import layers_of
from tui_trainer.weights.report import LayerMatch, MatchReport


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model for this data: `takes` (C, S, S) or (F,), outputs, its layers, and a weight file over them."""

    name: str
    parameters: int
    takes: tuple[int, ...]
    outputs: int
    own: tuple[LayerFacts, ...]
    owners: tuple[str, ...]  # modules with parameters of their own
    others: tuple[str, ...]  # modules with statistics alone
    fit: Fit | None = None

    def choose(self, settings: ModelConfig) -> LayerChoice:
        """What these settings load and freeze; quick enough for every key."""
        report = chosen_layers(self.fit.matched, settings) if self.fit else None
        loaded = [layer.layer for layer in report.taken] if report else []
        frozen, problem = set[str](), ""
        try:
            frozen = set(frozen_of(self.owners, self.others, settings.freeze, loaded))
        except ConfigError as error:
            problem = str(error)
        if report is None:
            layers = tuple(replace(layer, frozen=layer.name in frozen) for layer in self.own)
            return LayerChoice(layers=layers, problem=problem)
        return LayerChoice(
            layers=tuple(_layer(match, match.layer in frozen) for match in report.layers),
            summary=report.summary,
            notes=report.notes,
            problem=problem or _nothing(report),
        )


def look_at_model(config: Config) -> ModelFacts:
    """Build the model on torch's meta device and bring the weight file over it; reads names and shapes only.

    Raises:
        UserError: the data, the model or the file does not do.
    """
    index = batches.scan(config)
    choices = Choices(config)
    choose_inputs(choices, index)
    config = choices.config
    asked = model_arguments(config, index)
    model = catalog.skeleton(config.model.model, **asked)
    found = None
    if config.model.pretrained:
        finder = size_finder(config, index.outputs)
        found = fit(weight_file(config.model), model.state_dict(), config.model, index.classes, finder)
    owners, others = owners_of(model)
    return ModelFacts(
        name=config.model.model,
        parameters=sum(p.numel() for p in model.parameters()),
        takes=catalog.shape_of(asked["channels"], asked["image_size"]),
        outputs=index.outputs,
        own=_own_layers(model),
        owners=owners,
        others=others,
        fit=found,
    )


def _nothing(report: MatchReport) -> str:
    return "" if report.taken else "Nothing of this file would be loaded: tick layers, or take the file away."


def _own_layers(model: nn.Module) -> tuple[LayerFacts, ...]:
    state = model.state_dict()
    return tuple(
        LayerFacts(name=layer, shape=tuple(state[names[0]].shape), parameters=sum(state[n].numel() for n in names))
        for layer, names in layers_of(state).items()
    )


def _layer(match: LayerMatch, frozen: bool) -> LayerFacts:
    return LayerFacts(
        name=match.layer,
        shape=match.model_shape or (),
        parameters=match.model_numel or match.file_numel,
        status=match.status,
        taken=match.taken,
        frozen=frozen,
        detail=match.detail,
        file_name=match.file_layer,
        file_shape=match.file_shape or (),
        tensors=tuple(pair.file_name for pair in match.pairs),
        fits=match.loadable,
    )
