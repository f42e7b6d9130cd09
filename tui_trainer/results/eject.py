"""A run as one plain PyTorch script that repeats it, without a line of this program in it."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tui_trainer.config import SETTINGS, Config, build, read_toml
from tui_trainer.data import idx, manifest, sources
from tui_trainer.data.index import CLASSIFICATION, REGRESSION
from tui_trainer.data.table_file import read_table
from tui_trainer.engine.losses import class_weights
from tui_trainer.errors import ConfigError
from tui_trainer.events import RunStarted, Warned
from tui_trainer.models import catalog
from tui_trainer.results import eject_rows, pieces, script, script_rows
from tui_trainer.results import script_training as training
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
    "auto_batch", "log_every", "checkpoint_every", "keep_checkpoints", "keep_every", "trust_code", "deterministic",
    "tensorboard", "cache", "cache_size", "data_root", "class_weights", "mixup", "cutmix", "model_ema",
    "model_ema_decay", "path_column", "target", "part_column", "ignore_columns", "features", "header", "missing",
    "hidden_sizes", "channels_last",
}  # fmt: skip
PLAIN = ("state_dict (zip)", "state_dict (legacy)")  # formats of a state_dict that torch.load reads
PRESETS = ("none", "light", "standard")
START = "start.pt"


@dataclass(frozen=True, kw_only=True)
class Ejected:
    """The script, and the weights that it starts from where a plain torch.load would not give them."""

    source: str
    start: dict[str, torch.Tensor] | None
    rows: dict[str, Any] | None = None  # of a table: inputs and targets


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
    if _of_rows(config):
        table = eject_rows.read(config)
        weights = _class_weights(folder, config, started.classes)
        source = eject_rows.source(folder.path.name, config, started, table, weights, loaded, frozen)
        return Ejected(source=source, start=start, rows=table.arrays())
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
        if made.rows is not None:
            np.savez(place / "rows.npz", **made.rows)
    except OSError as error:
        raise ConfigError(f"Cannot write into {display(place)}: {error.strerror}; choose another --output.") from None
    return place / "train.py"


def _beginning(folder: RunFolder) -> tuple[RunStarted, bool]:
    """How the run began, and whether files were left out of it."""
    started, left_out = None, False
    for event in folder.read_events():
        started = started or (event if isinstance(event, RunStarted) else None)
        left_out = left_out or (isinstance(event, Warned) and event.of_a_file)
    if started is None:
        raise ConfigError(f"{display(folder.path)} has not begun to train: there is nothing to repeat.")
    return started, left_out


def _require_covered(config: Config, left_out: bool) -> None:
    values = config.values()
    other = [name for name, item in SETTINGS.items() if name not in COVERED and values[name] != item.default]
    if config.data.augment not in PRESETS:
        other.append(f"augment = {config.data.augment}")
    if config.recipe.lr_scheduler not in training.SCHEDULES:
        other.append(f"lr_scheduler = {config.recipe.lr_scheduler}")
    if config.recipe.optimizer not in training.OPTIMIZERS:
        other.append(f"optimizer = {config.recipe.optimizer}")
    known = script_rows.LOSSES if _of_rows(config) and values["task"] == REGRESSION else ("auto", "cross_entropy")
    if config.recipe.loss not in known or not (values["task"] in (None, CLASSIFICATION) or _of_rows(config)):
        other.append("another task than classes")
    if _of_rows(config) and (values["mixup"] or values["cutmix"] or values["model"] != "mlp"):
        other.append("another model than mlp on a table, or mixed rows")
    if not (_holds_classes(config) or _of_rows(config)):
        other.append("another source than class folders, a manifest of classes or a table")
    if left_out:
        other.append("files that could not be read (remove them and train again)")
    if other:
        raise ConfigError(
            f"A plain script does not cover all of this run: {display(', '.join(other), 400)}. "
            "tui-trainer -c config.toml repeats it."
        )


def _of_rows(config: Config) -> bool:
    """Whether the samples are rows of a table."""
    path = user_path(config.data.data)
    return (
        sources.is_table(path) and path.is_file() and not sources.is_stream(config.data) and not _names_images(config)
    )


def _names_images(config: Config) -> bool:
    path = user_path(config.data.data)
    return manifest.path_column(read_table(path, config.data.header), config.data, path) is not None


def _holds_classes(config: Config) -> bool:
    """Whether the samples are image files with a class each."""
    path = user_path(config.data.data)
    if sources.is_table(path) and path.is_file():
        return not _of_rows(config) and not sources.is_stream(config.data)
    return path.is_dir() and not idx.is_idx(path) and not config.data.targets


def _model(config: Config, started: RunStarted) -> nn.Module:
    data = config.data
    with torch.random.fork_rng(devices=[]):
        return catalog.build(
            config.model.model,
            num_classes=len(started.classes) or len(started.targets),
            channels=data.channels or len(data.mean),
            image_size=data.image_size or 0,
            hidden_sizes=config.model.hidden_sizes,
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
    values = config.values()
    freeze, still = pieces.freezing(frozen)
    names = ("seed", "epochs", "batch_size", "lr", "channels", "mean", "std")
    head = script.HEAD.format(
        **{name: values[name] for name in names},
        size=config.data.image_size,
        name=display(folder.path.name, 60),
        imports=pieces.imports(values),
        data=str(_root(config)),
        classes=list(started.classes),
        device=started.device,
    )
    own, layout = config.model.model == "lenet", training.LAYOUTS[bool(config.recipe.channels_last)]
    placed = f", memory_format={layout}" if config.recipe.channels_last else ""
    model = training.MODEL.format(
        model="LeNet()" if own else _torchvision(config), load=loaded, frozen=freeze, layout=placed
    )
    weights = _class_weights(folder, config, started.classes)
    loaders = training.LOADERS.format(workers=config.loader.num_workers)
    each = training.EPOCH_LOADER.format(samples=started.train_samples, drop_last=config.loader.drop_last)
    main = training.MAIN.format(
        threads=config.recipe.threads or 1,
        samples=training.SAMPLES,
        model=model,
        recipe=pieces.loss(values, weights) + pieces.optimizer(values),
        loaders=loaders,
        epoch=each + pieces.epoch(values, still),
        kept=pieces.kept(values),
    )
    network = training.LENET if own else ""
    functions = training.NORMALIZE.format(layout=layout) + pieces.functions(values) + training.EVALUATE
    source = head + pieces.order(values) + pieces.images(values) + network + functions + main
    return source if "math." in source else source.replace("import math\n", "", 1)


def _root(config: Config) -> Path:
    """The folder that the paths of split.csv start at."""
    data, path = config.data, user_path(config.data.data)
    if not sources.is_table(path):
        return path.resolve()
    return (user_path(data.data_root) if data.data_root else path.parent).resolve()


def _class_weights(folder: RunFolder, config: Config, classes: Sequence[str]) -> list[float]:
    """A weight a class, from the numbers of training samples where they are balanced."""
    if not config.recipe.class_weights:
        return []
    with folder.split.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = Counter(row["target"] for row in csv.DictReader(file) if row["part"] == "train")
    weights = class_weights(config.recipe.class_weights, [found[name] for name in classes])
    return [] if weights is None else weights.tolist()


def _torchvision(config: Config) -> str:
    extras = "".join(
        f", {name}={value!r}" for name, value in catalog.extras(config.model.model, config.data.image_size or 0).items()
    )
    if config.data.channels != 3:
        raise ConfigError("A plain script does not cover a torchvision model with another first layer (channels = 1).")
    return f"models.get_model({config.model.model!r}, weights=None, num_classes=len(CLASSES){extras})"
