"""The settings of the table `[recipe]`."""

from __future__ import annotations

import difflib
import math
import sys
from dataclasses import dataclass
from typing import Any

from tui_trainer.errors import ConfigError
from tui_trainer.metric_names import MONITORS
from tui_trainer.settings import setting
from tui_trainer.text import display

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPTIMIZERS = (  # of torch.optim, all that one gradient a step is enough for; the usual ones first
    *("sgd", "adam", "adamw", "rmsprop"),
    *("adadelta", "adafactor", "adagrad", "adamax", "asgd", "muon", "nadam", "radam", "rprop"),
)
LOSSES = ("auto", "cross_entropy", "bce", "mse", "l1", "huber")
OWN_SETTINGS = ("lr", "momentum", "nesterov", "weight_decay")  # what optimizer_args do not take


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """How to train it."""

    epochs: int = setting(20, "Passes over the training images.", ge=1, le=1_000_000)
    lr: float = setting(0.01, "Learning rate.", gt=0, le=1000)
    lr_base_size: int = setting(
        0, "Batch size that lr is meant for: lr is scaled to that of the run; 0: lr is as it is.", ge=0
    )
    lr_base_scale: str = setting(
        "linear", "How lr_base_size scales: linear for sgd, sqrt for adam and the like.", choices=("linear", "sqrt")
    )
    optimizer: str = setting(
        "sgd",
        "Update rule, by its name in torch.optim.",
        choices=OPTIMIZERS,
        aliases=("opt",),
    )
    momentum: float = setting(0.9, "Momentum of sgd and rmsprop.", ge=0, lt=1)
    nesterov: bool = setting(False, "Nesterov momentum, of sgd and the like.")
    weight_decay: float = setting(5e-4, "L2 penalty; decoupled in adamw.", ge=0, le=1, aliases=("wd",))
    decay_norm_bias: bool = setting(True, "Weight decay on normalisation layers and biases too.")
    backbone_lr_factor: float = setting(1.0, "lr of all layers but the last, in parts of lr.", ge=0, le=1000)
    optimizer_args: str = setting(
        "", "Other arguments of the optimizer, such as betas=(0.9,0.95),eps=1e-6.", metavar="NAME=VALUE,..."
    )
    lr_scheduler: str = setting(
        "none",
        "How lr changes over the run.",
        choices=("none", "step", "multistep", "exponential", "cosine", "linear", "onecycle", "plateau"),
        aliases=("sched",),
    )
    warmup_epochs: float = setting(0.0, "lr rises from 1 % to its value over these.", unit="epochs", ge=0)
    step_size: float | None = setting(None, "Epochs between two steps; auto: a third of the run.", unit="epochs", gt=0)
    gamma: float | None = setting(
        None, "lr times this at each step, milestone or plateau; auto: 0.1, exponential 0.95.", gt=0, le=1
    )
    milestones: tuple[float, ...] = setting((), "Epochs at which multistep steps.", metavar="E,E,...")
    plateau_patience: int = setting(5, "plateau steps after more epochs without a better value.", unit="epochs", ge=0)
    min_lr: float = setting(0.0, "lr never falls below; warmup may.", ge=0, le=1000)
    loss: str = setting(
        "auto",
        "What is made small, also file.py:Class; auto: by task cross_entropy, bce (several labels), mse (numbers).",
        choices=LOSSES,
        open_ended=True,
    )
    class_weights: tuple[str, ...] = setting(
        (), "How much each class counts: balanced (rare ones more), or a number a class.", metavar="W,W,..."
    )
    label_smoothing: float = setting(0.0, "Share of the target spread over all classes.", ge=0, lt=1)
    mixup: float = setting(0.0, "Mix pairs of images and targets by Beta(a, a) shares; 0: off.", ge=0, le=100)
    cutmix: float = setting(0.0, "Paste a part of another image, of a Beta(a, a) share; 0: off.", ge=0, le=100)
    random_erasing: float = setting(
        0.0, "Share of training images of which a part is erased.", ge=0, le=1, aliases=("random-erase",)
    )
    clip_grad_norm: float = setting(0.0, "Longest gradient; 0: any.", ge=0)
    sync_batchnorm: bool = setting(False, "Batch normalisation over the samples of all processes; GPUs only.")
    grad_accum_steps: int = setting(1, "Batches of one step, as if they were one batch.", ge=1, le=100_000)
    auto_batch: bool = setting(
        False, "Out of memory: go on by itself with smaller batches, so many more a step that it stays the same."
    )
    amp: bool = setting(False, "Mixed precision: compute in 16 bits where that is safe.")
    amp_dtype: str | None = setting(
        None, "16-bit type; auto: bf16, or fp16 on GPUs without it.", choices=("bf16", "fp16")
    )
    channels_last: bool | None = setting(
        None, "Memory format NHWC, for faster convolutions; auto: where a model has them and runs in it."
    )
    compile: bool = setting(False, "torch.compile: a slow first step, then faster ones.")
    model_ema: bool = setting(False, "Evaluate and keep a moving average of the weights.")
    model_ema_decay: float = setting(0.9998, "Share of the average that each step keeps.", ge=0, lt=1)
    patience: int = setting(0, "End after so many epochs without a better val metric; 0: never.", unit="epochs", ge=0)
    min_delta: float = setting(0.0, "Smallest change that counts as better.", ge=0)
    min_epochs: int = setting(0, "Never end early before.", unit="epochs", ge=0)
    monitor: str | None = setting(
        None, "What best means; auto: val_top1, of numbers val_r2, of several labels val_f1.", choices=MONITORS
    )
    max_minutes: float = setting(0.0, "Save and end after so long, pauses not counted; 0: never.", unit="min", ge=0)
    seed: int = setting(0, "Fixes split, order, augmentation and first weights.", ge=0, le=2**32 - 1)
    deterministic: bool = setting(False, "Refuse operations whose result varies from run to run.")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps.", metavar="NAME")
    threads: int | None = setting(
        None,
        "CPU threads; auto: of a small network 2 on an idle machine and else 1, of others torch's choice.",
        ge=1,
        le=1024,
    )

    def __post_init__(self) -> None:
        if self.class_weights not in ((), ("balanced",)) and not all(_is_weight(w) for w in self.class_weights):
            shown = display(", ".join(self.class_weights), 80)
            raise ConfigError(f"class_weights = {shown}: give balanced, or one number a class, each 0 or more.")
        if self.loss not in LOSSES and ":" not in self.loss:
            near = difflib.get_close_matches(self.loss, LOSSES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(
                f"loss = {display(self.loss, 80)}: it must be one of {', '.join(LOSSES)}, or file.py:Class{hint}"
            )
        if bool(self.milestones) != (self.lr_scheduler == "multistep"):
            raise ConfigError("milestones and lr_scheduler = multistep go together: give both or neither.")
        if list(self.milestones) != sorted(set(self.milestones)) or any(m <= 0 for m in self.milestones):
            raise ConfigError("milestones must be epochs greater than 0 that grow, as in 10,20.")
        parse_arguments(self.optimizer_args)


def parse_arguments(text: str) -> dict[str, Any]:
    """`betas=(0.9,0.95),eps=1e-6` as names and values, which are those of TOML; brackets may be round.

    Raises:
        ConfigError: it is not of that form, or gives what is a setting of its own.
    """
    try:
        inline = text.strip().strip(",").replace("(", "[").replace(")", "]").replace("\n", " ")
        given: dict[str, Any] = tomllib.loads(f"it = {{{inline}}}")["it"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        raise ConfigError(
            f"optimizer_args = {display(text, 80)}: write NAME=VALUE, parted by commas, as in "
            'betas=(0.9,0.95),amsgrad=true,mode="text".'
        ) from None
    for name in OWN_SETTINGS:
        if name in given:
            raise ConfigError(f"optimizer_args gives {name}, which is a setting: --{name.replace('_', '-')}.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _is_weight(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
