"""A run as one plain PyTorch script that repeats it, without a line of this program in it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tui_trainer.config import SETTINGS, Config, build, read_toml
from tui_trainer.data.index import CLASSIFICATION
from tui_trainer.errors import ConfigError
from tui_trainer.events import RunStarted, Warned
from tui_trainer.models import catalog
from tui_trainer.results import script
from tui_trainer.run_folder import RunFolder
from tui_trainer.start_weights import chosen_layers, fit, frozen_names, size_finder, weight_file
from tui_trainer.text import display, user_path
from tui_trainer.weights.load import load_into

# What a script of this kind has, and what does not change what is learned; any other setting must have its default.
COVERED = {
    "data", "val_data", "val_fraction", "task", "image_size", "channels", "resize", "augment", "crop_scale",
    "normalize", "mean", "std", "max_bad", "max_megapixels", "batch_size", "shuffle", "num_workers", "worker_type",
    "pin_memory", "drop_last", "timeout", "prefetch_factor", "persistent_workers", "multiprocessing_context",
    "model", "pretrained", "pretrained_group", "pretrained_fingerprint", "include_layers", "exclude_layers",
    "rename_layers", "adapters", "by_order", "freeze", "epochs", "lr", "optimizer", "momentum", "weight_decay",
    "nesterov", "lr_scheduler", "warmup_epochs", "gamma", "step_size", "milestones", "loss",
    "label_smoothing", "monitor", "seed", "device", "threads", "clip_grad_norm", "output_dir", "name", "resume",
    "log_every", "checkpoint_every", "keep_checkpoints", "keep_every", "trust_code", "deterministic",
    "tensorboard", "cache", "cache_size", "data_root",
}  # fmt: skip
PLAIN = ("state_dict (zip)", "state_dict (legacy)")  # formats of a state_dict that torch.load reads
PRESETS = ("none", "light", "standard")
START = "start.pt"


@dataclass(frozen=True, kw_only=True)
class Ejected:
    """The script, and the weights that it starts from where a plain torch.load would not give them."""

    source: str
    start: dict[str, torch.Tensor] | None


def eject(folder: RunFolder) -> Ejected:
    """The script of a run.

    Raises:
        ConfigError: the run uses something that a script of this kind has no lines for.
        WeightsError: the weights that it started from are not there any more.
    """
    config = build(read_toml(folder.config))
    started, warnings = _beginning(folder)
    _require_covered(config, warnings)
    loaded, start, frozen = _weights(config, started)
    return Ejected(source=_source(folder, config, started, loaded, frozen), start=start)


def write_script(folder: RunFolder, place: Path) -> Path:
    """Write `train.py` with what it reads beside it; where it lies.

    Raises:
        UserError: it cannot be made, or cannot be written there.
    """
    made = eject(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / "train.py").write_text(made.source, "utf-8", "surrogateescape")
        shutil.copyfile(folder.split, place / "split.csv")
        if made.start is not None:
            torch.save(made.start, place / START)
    except OSError as error:
        raise ConfigError(f"Cannot write into {display(place)}: {error.strerror}; choose another --output.") from None
    return place / "train.py"


def _beginning(folder: RunFolder) -> tuple[RunStarted, bool]:
    """How the run began, and whether files were left out of it."""
    started, left_out = None, False
    for event in folder.read_events():
        started = started or (event if isinstance(event, RunStarted) else None)
        left_out = left_out or (isinstance(event, Warned) and event.message.find(" is left out: ") >= 0)
    if started is None:
        raise ConfigError(f"{display(folder.path)} has not begun to train: there is nothing to repeat.")
    return started, left_out


def _require_covered(config: Config, left_out: bool) -> None:
    values = config.values()
    other = [name for name, item in SETTINGS.items() if name not in COVERED and values[name] != item.default]
    if config.data.augment not in PRESETS:
        other.append(f"augment = {config.data.augment}")
    if config.recipe.lr_scheduler not in script.SCHEDULES:
        other.append(f"lr_scheduler = {config.recipe.lr_scheduler}")
    if config.recipe.optimizer not in script.OPTIMIZERS:
        other.append(f"optimizer = {config.recipe.optimizer}")
    if config.recipe.loss not in ("auto", "cross_entropy") or values["task"] not in (None, CLASSIFICATION):
        other.append("another task than classes")
    if not user_path(config.data.data).is_dir():
        other.append("another source than class folders")
    if left_out:
        other.append("files that could not be read (remove them and train again)")
    if other:
        raise ConfigError(
            f"A plain script does not cover all of this run: {display(', '.join(other), 400)}. "
            "tui-trainer -c config.toml repeats it."
        )


def _model(config: Config, started: RunStarted) -> nn.Module:
    data = config.data
    assert data.channels is not None
    assert data.image_size is not None
    with torch.random.fork_rng(devices=[]):
        return catalog.build(
            config.model.model,
            num_classes=len(started.classes),
            channels=data.channels,
            image_size=data.image_size,
        )


def _weights(config: Config, started: RunStarted) -> tuple[str, dict[str, torch.Tensor] | None, tuple[str, ...]]:
    """The lines that load the starting weights, their tensors where a file must hold them, and the frozen layers."""
    settings, model = config.model, _model(config, started)
    if not settings.pretrained:
        return "", None, frozen_names(model, settings.freeze, ())
    outputs = len(started.classes)
    found = fit(weight_file(settings), model.state_dict(), settings, started.classes, size_finder(config, outputs))
    file, report = found.file, chosen_layers(found.matched, settings)
    done = load_into(model, file, report)
    frozen = frozen_names(model, settings.freeze, done.layers)
    state = model.state_dict()
    names = {tensor.name for tensor in file.tensors}
    plain = file.format in PLAIN and not file.chosen.path and not file.module_class
    if plain and not done.casts and set(done.tensors) <= names and _same_shapes(file, state, done.tensors):
        left = sorted({layer.layer for layer in report.layers if not layer.taken and layer.file_layer})
        return _load_lines(str(file.path), left), None, frozen
    lines = f"    model.load_state_dict(torch.load(HERE / {START!r}, weights_only=True), strict=False)\n"
    return lines, {name: state[name].clone() for name in done.tensors}, frozen


def _same_shapes(file: Any, state: dict[str, torch.Tensor], names: tuple[str, ...]) -> bool:
    shapes = {tensor.name: tensor.shape for tensor in file.tensors}
    return all(tuple(state[name].shape) == shapes[name] for name in names)


def _load_lines(path: str, left_out: list[str]) -> str:
    """As the tutorial has it: read all, choose by name, load what was chosen."""
    skip = f" and not name.startswith({tuple(f'{layer}.' for layer in left_out)!r})" if left_out else ""
    return (
        f'    saved, own = torch.load({path!r}, map_location="cpu", weights_only=True), model.state_dict()\n'
        f"    chosen = {{name: tensor for name, tensor in saved.items() if name in own{skip}}}\n"
        "    model.load_state_dict(chosen, strict=False)\n"
    )


def _source(folder: RunFolder, config: Config, started: RunStarted, loaded: str, frozen: tuple[str, ...]) -> str:
    data, loader, recipe = config.data, config.loader, config.recipe
    is_random, own = data.augment != "none", config.model.model == "lenet"
    imports = ["from torchvision import models"] * (not own) + ["from torchvision.transforms import v2"] * (
        data.augment == "standard"
    )
    fields: dict[str, Any] = {
        "name": display(folder.path.name, 60),
        "imports": "".join(f"{line}\n" for line in imports),
        "data": str(user_path(data.data).resolve()),
        "classes": list(started.classes),
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "batch_size": loader.batch_size,
        "lr": recipe.lr,
        "size": data.image_size,
        "channels": data.channels,
        "mean": data.mean,
        "std": data.std,
        "device": started.device,
    }
    order = "return members"
    if loader.shuffle:
        order = (
            "generator = torch.Generator().manual_seed(address(SEED, epoch, -1))\n"
            "    return [members[i] for i in torch.randperm(len(members), generator=generator)]"
        )
    least = getattr(data, "crop_scale", 0.5)
    changed = "change(image, random)" if data.augment == "standard" else "image"
    item = script.RANDOM_ITEM.format(changed=changed) if is_random else script.ITEM
    square = {"squash": script.SQUASH, "crop": script.CROP, "pad": script.PAD}[data.resize]
    parts = [
        script.HEAD.format(**fields),
        script.ADDRESS.format(order=order),
        script.RANDOM.replace("{least!r}", repr(least)) if is_random else "",
        script.COLOURS if data.augment == "standard" else "",
        script.DATASET.replace("{square}", square.rstrip("\n") + "\n").replace("{item}\n", item),
        script.LENET if own else "",
        script.LOOP.format(**_loop_fields(config, started, loaded, frozen)),
    ]
    source = "".join(parts)
    return source if "math." in source else source.replace("import math\n", "", 1)


def _loop_fields(config: Config, started: RunStarted, loaded: str, frozen: tuple[str, ...]) -> dict[str, Any]:
    loader, recipe = config.loader, config.recipe
    more = ", nesterov=True" if recipe.nesterov and recipe.optimizer == "sgd" else ""
    more += ", fused=True" if recipe.optimizer != "rmsprop" else ""  # the same arithmetic to the last bit
    clip = recipe.clip_grad_norm
    clipped = f"            nn.utils.clip_grad_norm_(model.parameters(), {clip})\n" if clip else ""
    freeze = (
        f"    frozen = {list(frozen)!r}\n"
        "    for name, parameter in model.named_parameters():\n"
        '        parameter.requires_grad_(name.rpartition(".")[0] not in frozen)\n'
    )
    still = (
        "        for name in frozen:\n"
        "            model.get_submodule(name).eval()  # its BatchNorm statistics stand still too\n"
    )
    return {
        "threads": recipe.threads or 1,
        "schedule": _schedule(config),
        "model": "LeNet()" if config.model.model == "lenet" else _torchvision(config),
        "load": loaded,
        "frozen": freeze if frozen else "",
        "still": still if frozen else "",
        "loss": f"label_smoothing={recipe.label_smoothing}" if recipe.label_smoothing else "",
        "optimizer": script.OPTIMIZERS[recipe.optimizer].format(
            momentum=recipe.momentum, weight_decay=recipe.weight_decay, more=more
        ),
        "workers": loader.num_workers,
        "samples": started.train_samples,
        "drop_last": loader.drop_last,
        "clip": clipped,
    }


def _torchvision(config: Config) -> str:
    extras = "".join(
        f", {name}={value!r}" for name, value in catalog.extras(config.model.model, config.data.image_size or 0).items()
    )
    if config.data.channels != 3:
        raise ConfigError("A plain script does not cover a torchvision model with another first layer (channels = 1).")
    return f"models.get_model({config.model.model!r}, weights=None, num_classes=len(CLASSES){extras})"


def _schedule(config: Config) -> str:
    recipe = config.recipe
    warmup, gamma = recipe.warmup_epochs, recipe.gamma or 0.1
    whole = max(recipe.epochs - warmup, 1e-9)
    step_size: Any = recipe.step_size or whole / 3
    last = max(0, math.ceil(whole / step_size - 1e-9) - 1)
    lines = script.SCHEDULES[recipe.lr_scheduler].format(
        warmup=warmup, gamma=gamma, step_size=step_size, last_step=last, milestones=recipe.milestones
    )
    return (script.WARMUP.format(warmup=warmup) if warmup else "") + lines
