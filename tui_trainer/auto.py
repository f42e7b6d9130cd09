"""What "auto" becomes, and why. A value that was given is never overridden."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tui_trainer.config import Config
from tui_trainer.data import batches
from tui_trainer.data.batches import Data
from tui_trainer.data.channels import look_at_channels
from tui_trainer.data.datasets import Spec
from tui_trainer.data.index import Index, Own, Rows, Stream
from tui_trainer.data_config import LoaderConfig
from tui_trainer.engine.precision import amp_dtype
from tui_trainer.engine.schedule import gamma_of
from tui_trainer.errors import ConfigError
from tui_trainer.events import Event, SettingChanged
from tui_trainer.heap import keep_freed
from tui_trainer.idle import Moment
from tui_trainer.loader_facts import lack_of_shared_memory
from tui_trainer.metric_names import HEADLINES, OF_TASK
from tui_trainer.models import catalog
from tui_trainer.settings import AUTO, Value
from tui_trainer.small_threads import threads_of_large, threads_of_small
from tui_trainer.strategy import FSDP
from tui_trainer.text import display

SMALL_NETWORK = 1_000_000  # parameters
EVENTS_PER_EPOCH, EVENTS_OF_SMALL, MOST_STEPS_BETWEEN, STEPS_OF_A_STREAM = 100, 8, 20, 5


@dataclass
class Choices:
    """A configuration on its way to having no "auto" left."""

    config: Config
    reasons: dict[str, str] = field(default_factory=dict)

    def choose(self, reason: str, **values: Value) -> None:
        """Settle some settings."""
        self.config = self.config.replace(**values)
        self.reasons |= dict.fromkeys(values, reason)

    def events(self) -> list[Event]:
        """What to tell of it."""
        values = self.config.values()
        return [
            SettingChanged(step=0, name=name, value=str(values[name]), reason=reason)
            for name, reason in self.reasons.items()
        ]


def choose_task(choices: Choices, index: Index) -> None:
    """Settle what is learned from the targets, and what best means.

    Raises:
        ConfigError: the metric to monitor is none of this task.
    """
    for name, value, reason in index.chosen:
        choices.choose(reason, **{name: value})
    config, task = choices.config, index.task
    if config.data.task is None:
        choices.choose(index.task_reason, task=task)
    monitor = config.recipe.monitor
    if monitor is None:
        choices.choose(f"what {task} is judged by", monitor=f"val_{HEADLINES[task]}")
    elif monitor not in OF_TASK[task]:
        raise ConfigError(f"monitor = {monitor}: {task} has {', '.join(OF_TASK[task])}.")


def choose_inputs(choices: Choices, index: Index) -> bool:
    """Settle the model, image size and channels; whether the model needs two or more samples a step.

    Raises:
        ConfigError: the model cannot take such inputs, or does not exist.
    """
    if choices.config.model.model == AUTO:
        images = _of_images(index) or (isinstance(index.inputs, Own) and batches.is_square(index.inputs.shape))
        reason, name = ("images", catalog.LENET) if images else ("rows of numbers", catalog.MLP_NAME)
        choices.choose(reason, model=name)
    loader = choices.config.loader
    if loader.shuffle and (loader.sampler != "default" or loader.batch_sampler):
        choices.choose("the sampler gives the order", shuffle=False)
    if _of_images(index):
        _choose_size(choices, index)
    return catalog.check_takes(choices.config.model.model, **model_arguments(choices.config, index))


def _of_images(index: Index) -> bool:
    """Whether inputs are images that are decoded here."""
    rows = isinstance(index.inputs, Stream) and bool(index.inputs.names)
    return not isinstance(index.inputs, Rows | Own) and not rows


def _choose_size(choices: Choices, index: Index) -> None:
    name, data = choices.config.model.model, choices.config.data
    if data.channels is None:
        channels = look_at_channels(index)
        choices.choose("grey images" if channels == 1 else "colour images", channels=channels)
    if data.image_size is None:
        side = catalog.default_size(name, trusted=choices.config.run.trust_code)
        choices.choose(f"what {name} is made for", image_size=side)


def model_arguments(config: Config, index: Index) -> dict[str, Any]:
    """What a model is built with, besides its name."""
    spec = batches.spec_of(config.data, index)
    return {
        "num_classes": index.outputs,
        "channels": spec.channels,
        "image_size": spec.image_size,
        "args": config.model.model_args,
        "trusted": config.run.trust_code,
        "hidden_sizes": config.model.hidden_sizes,
        "shape": index.inputs.shape if isinstance(index.inputs, Own) else (),
    }


def choose_rest(choices: Choices, data: Data) -> None:
    """Settle what depends on the loaders and on this machine."""
    config = choices.config
    if not data.train.batches and (config.recipe.warmup_epochs or config.recipe.lr_scheduler == "onecycle"):
        raise ConfigError("Nobody knows how long an epoch of this stream is before the first one has ended: "
                          "warmup_epochs and onecycle, which change lr within it, need --steps-per-epoch.")  # fmt: skip
    if not config.data.mean:
        choices.choose(data.statistics_from, normalize=data.normalize, mean=data.mean, std=data.std)
    if config.data.cache is None:
        choices.choose(data.kept.reason, cache=data.kept.where)


def choose_log_every(choices: Choices, model: nn.Module, batches_of_epoch: int) -> None:
    """Settle how often progress is told: of a small network rarer, whose step takes little longer than the telling."""
    if choices.config.run.log_every is not None:
        return
    steps = -(-batches_of_epoch // choices.config.recipe.grad_accum_steps)
    if not steps:
        choices.choose("nobody knows yet how long an epoch is", log_every=STEPS_OF_A_STREAM)
        return
    small = is_small(model)
    every = min(MOST_STEPS_BETWEEN, max(1, -(-steps // (EVENTS_OF_SMALL if small else EVENTS_PER_EPOCH))))
    choices.choose(f"an epoch has {steps} steps" + " of a small network" * small, log_every=every)


def is_small(model: nn.Module) -> bool:
    """Whether a step takes about as long as what surrounds it."""
    return sum(parameter.numel() for parameter in model.parameters()) < SMALL_NETWORK


def choose_recipe(choices: Choices, device: torch.device) -> None:
    """Settle what of the recipe depends on other settings of it, where it is used."""
    recipe = choices.config.recipe
    if recipe.lr_base_size:
        _scale_lr(choices)
    if recipe.lr_scheduler in ("step", "multistep", "exponential", "plateau") and recipe.gamma is None:
        choices.choose(f"usual for {recipe.lr_scheduler}", gamma=gamma_of(recipe.lr_scheduler))
    if recipe.lr_scheduler == "step" and recipe.step_size is None:
        third = round(max(recipe.epochs - recipe.warmup_epochs, 1e-3) / 3, 6)
        choices.choose("a third of the epochs after the warmup", step_size=third)
    if recipe.amp and recipe.amp_dtype is None:
        dtype = amp_dtype(device)
        choices.choose(f"{device.type} has it" if dtype == "bf16" else "this GPU has no bf16", amp_dtype=dtype)


def _scale_lr(choices: Choices) -> None:
    """The rate for the batch of a step, where it was given for another one (Goyal et al., 2017); never by itself."""
    recipe, batch = choices.config.recipe, choices.config.loader.batch_size * choices.config.recipe.grad_accum_steps
    times = batch / recipe.lr_base_size
    factor = times if recipe.lr_base_scale == "linear" else times**0.5
    reason = f"{recipe.lr:g} for batches of {recipe.lr_base_size}, scaled to {batch}"
    choices.choose(reason, lr=recipe.lr * factor)
    choices.config = choices.config.replace(lr_base_size=0)  # done: a run from its config.toml does not scale again


def choose_threads(
    choices: Choices, model: nn.Module, shape: Sequence[int], device: torch.device, since: Moment | None
) -> None:
    """Settle the number of CPU threads for inputs of `shape`, before the first operation that counts.

    Results are bit-equal for equal numbers only. `since`: see `threads_of_small`.
    """
    if choices.config.recipe.threads is None:
        if is_small(model):
            threads, reason = threads_of_small(choices.config, model, shape, device, since)
        else:
            threads, reason = threads_of_large()
        choices.choose(reason, threads=threads)
    torch.set_num_threads(choices.config.recipe.threads or 1)


def choose_computing(
    choices: Choices, model: nn.Module, index: Index, device: torch.device, batches_of_epoch: int, since: Moment | None
) -> None:
    """Settle how a model computes, threads and memory format, and how often it is told of."""
    arguments = model_arguments(choices.config, index)
    shape = arguments["shape"] or catalog.shape_of(arguments["channels"], arguments["image_size"])
    choose_threads(choices, model, shape, device, since)
    _choose_layout(choices, model, index, device)
    choose_log_every(choices, model, batches_of_epoch)


def _choose_layout(choices: Choices, model: nn.Module, index: Index, device: torch.device) -> None:
    """Settle the memory format: by a rule and no measurement, so that a run is the same wherever it is repeated.

    On CPUs a step of most of torchvision's networks took 0.6 to 0.8 of the time, of others as long. What the layout
    changes is the order in which a convolution adds, and so the last bits.
    """
    shared_out = choices.config.run.strategy == FSDP
    if choices.config.recipe.channels_last is not None and not (shared_out and choices.config.run.resume):
        return
    name, last, spec = choices.config.model.model, False, batches.spec_of(choices.config.data, index)
    if not _of_images(index) or not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        reason = "no images or no convolutions over them"
    elif shared_out:
        reason = "fsdp shares out weights as they lie"
    elif device.type not in ("cpu", "cuda"):
        reason = f"not measured on {device.type}"
    elif not catalog.runs_channels_last(name, model, spec.channels, spec.image_size):
        reason = f"{display(name, 80)} does not run with it"
    else:
        last, reason = True, "convolutions are faster with it"
    choices.choose(reason, channels_last=last)


def require_shared_memory(loader: LoaderConfig, index: Index, spec: Spec, context: object) -> None:
    """Refuse worker processes that would die of a full /dev/shm, which containers keep small.

    Raises:
        ConfigError: the batches that they keep ready do not fit.
    """
    if context is None:
        return  # threads need none
    inputs = index.inputs
    values = math.prod(inputs.shape) if isinstance(inputs, Own) else (spec.image_size**2 or 1) * spec.channels
    sample = values * (1 if spec.image_size and not isinstance(inputs, Own) else 4) + 8 * max(1, index.outputs)
    if lack := lack_of_shared_memory(loader, loader.batch_size * sample):
        raise ConfigError(lack[:-1] + ("." if isinstance(inputs, Own) else ", or use --worker-type thread."))


def device_of(name: str) -> torch.device:
    """The device that a setting names.

    Raises:
        ConfigError: it is not on this machine.
    """
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()  # meta has no values
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(
            f"device = {display(name)}: there is no such device here; use --device auto or cpu."
        ) from None
    return device


def set_up_torch(config: Config) -> None:
    """Determinism and memory of this process."""
    keep_freed()
    if config.recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if config.recipe.deterministic != torch.are_deterministic_algorithms_enabled():  # loads the compiler, for seconds
        torch.use_deterministic_algorithms(config.recipe.deterministic)
    torch.backends.cudnn.benchmark = not config.recipe.deterministic
