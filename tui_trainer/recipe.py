"""The recipe of a configuration as parts of the engine: loss, optimizer, schedule, precision, mixing, averaging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer import user_code
from tui_trainer.config import Config
from tui_trainer.data.index import TRAIN, Index
from tui_trainer.data.mixing import build_mix
from tui_trainer.engine.compiling import Compiled
from tui_trainer.engine.ema import Ema
from tui_trainer.engine.losses import build_loss, class_weights
from tui_trainer.engine.optim import build_optimizer, parameter_groups
from tui_trainer.engine.precision import Precision, amp_dtype
from tui_trainer.engine.schedule import schedule_of
from tui_trainer.engine.step import no_mix
from tui_trainer.errors import ConfigError
from tui_trainer.recipe_config import parse_arguments
from tui_trainer.text import display


def optimizer_of(config: Config, model: nn.Module, trained: Sequence[nn.Parameter]) -> Optimizer:
    """The optimizer over the parameters of `model` that are ever trained.

    Raises:
        ConfigError: there is none of this name, or it does not take what is given.
    """
    recipe = config.recipe
    groups = parameter_groups(
        model,
        trained,
        weight_decay=recipe.weight_decay,
        decay_norm_bias=recipe.decay_norm_bias,
        backbone_lr_factor=recipe.backbone_lr_factor,
    )
    return build_optimizer(
        recipe.optimizer,
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        arguments=parse_arguments(recipe.optimizer_args),
        fused=not config.model.freeze_epochs and config.run.strategy != "fsdp",  # torch has few for shared-out tensors
    )


def loss_of(config: Config, index: Index) -> nn.Module:
    """The loss for the task, or the user's own.

    Raises:
        ConfigError: it does not go with the task or with other settings, or the user's own does not work.
    """
    recipe = config.recipe
    if user_code.names_code(recipe.loss):
        return _own_loss(config)
    counts = index.counts(TRAIN)
    weights = class_weights(recipe.class_weights, counts) if counts else None
    if recipe.class_weights and weights is None:
        raise ConfigError("class_weights are for classes, and these targets are numbers: leave them empty.")
    return build_loss(recipe.loss, task=index.task, label_smoothing=recipe.label_smoothing, class_weights=weights)


def _own_loss(config: Config) -> nn.Module:
    recipe = config.recipe
    if recipe.class_weights or recipe.label_smoothing:
        raise ConfigError("class_weights and label_smoothing are for the losses that are built in, not for your own.")
    made = user_code.load(recipe.loss, trusted=config.run.trust_code)
    if not isinstance(made, type):
        return _Function(made)
    try:
        loss = made()
    except Exception as error:
        what = display(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(f"{display(recipe.loss)} cannot be made without arguments: {what}.") from error
    return loss if isinstance(loss, nn.Module) else _Function(loss)


class _Function(nn.Module):
    """A loss that is a plain function of outputs and targets."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self._call = call

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss () that it gives."""
        loss: Tensor = self._call(outputs, targets)
        return loss


def in_memory_format(model: nn.Module, config: Config) -> nn.Module:
    """`model` with its weights laid out as asked for."""
    return model.to(memory_format=torch.channels_last) if config.recipe.channels_last else model  # type: ignore[call-overload]


def parts_of(
    config: Config, index: Index, model: nn.Module, trained: Sequence[nn.Parameter], rank: int = 0
) -> dict[str, Any]:
    """The fields of a `Job` that follow from the recipe; each `rank` mixes its samples in another way.

    Raises:
        ConfigError: a setting does not go with the task, the model or another setting.
    """
    recipe, device = config.recipe, next(model.parameters()).device
    if (recipe.mixup or recipe.cutmix) and index.task == "regression":
        raise ConfigError("mixup and cutmix mix classes, and these targets are numbers: leave them at 0.")
    mix = build_mix(
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        classes=len(index.classes),
        seed=recipe.seed + (rank << 32),
        erasing=recipe.random_erasing,
    )
    return {
        "optimizer": optimizer_of(config, model, trained),
        "loss_func": loss_of(config, index).to(device),
        "lr": recipe.lr,
        "lr_schedule": schedule_of(vars(recipe)),
        "mix": mix or no_mix,
        "precision": Precision(device, (recipe.amp_dtype or amp_dtype(device)) if recipe.amp else ""),
        "compiled": Compiled(model) if recipe.compile else None,
        "ema": Ema(model, recipe.model_ema_decay) if recipe.model_ema else None,
        "clip_grad_norm": recipe.clip_grad_norm,
        "grad_accum_steps": recipe.grad_accum_steps,
        "epochs": recipe.epochs,
        "patience": recipe.patience,
        "min_delta": recipe.min_delta,
        "min_epochs": recipe.min_epochs,
        "max_seconds": 60 * recipe.max_minutes,
        "monitor": recipe.monitor,
    }
