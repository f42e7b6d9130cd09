"""The piece of plain PyTorch code that a setup screen stands for, with its settings as they are now.

Made of the pieces that `eject` writes after a run, so that what is shown is what runs. No torch here: the code is there
before PyTorch is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from tui_trainer.config import SETTINGS
from tui_trainer.data import sources
from tui_trainer.data.walk import EXTENSIONS
from tui_trainer.results import code_streams, pieces
from tui_trainer.results import script_training as training
from tui_trainer.results.code_weights import weights
from tui_trainer.text import display, user_path

Values = Mapping[str, Any]
PEEK = 4096  # bytes of a line of a table
LENET, LENET_SIDE, USUAL_SIDE = "lenet", 32, 224
IMPORTS = """\
import csv
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset

"""
SPLIT = "# split.csv of a run folder: path, target and part of every sample\n"
NOT_SHOWN = (  # of the recipe, in its piece
    *("grad_accum_steps", "amp", "compile", "random_erasing", "patience", "max_minutes", "decay_norm_bias"),
    *("backbone_lr_factor", "optimizer_args", "min_lr", "loss"),
)
IMAGENET = "(0.485, 0.456, 0.406)", "(0.229, 0.224, 0.225)"


def code_of(step: str, values: Values) -> str:
    """The code of step data, loader, weights or recipe."""
    made: dict[str, Callable[[Values], str]] = {
        "data": data,
        "loader": loader,
        "weights": weights,
        "recipe": recipe,
    }
    return made[step](values).strip("\n") + "\n"


def data(values: Values) -> str:
    """From what is on disk to (input, target)."""
    source = str(values["data"])
    if sources.is_own(source):
        return _own(values)
    if source.startswith(sources.TORCHVISION):
        return _torchvision_set(values)
    if code_streams.is_stream(values):
        return code_streams.stream(values)
    if sources.is_table(user_path(source)) and not _is_manifest(values):
        return _table(values)
    head = IMPORTS + _constants(values)
    if values["augment"] != "none":
        head += "# address() is on the Loader screen: randomness that is the same for any number of workers\n"
    if values["augment"] not in ("none", "light", "standard"):
        head += (
            _note("augment", values)
            + f"# v2.{'TrivialAugmentWide' if values['augment'] == 'trivial' else 'RandAugment'}() changes each image\n"
        )
        values = {**values, "augment": "light"}
    return (
        head
        + pieces.images(values).rstrip("\n")
        + "\n\n\n"
        + SPLIT
        + _dedent(training.SAMPLES).replace('HERE / "split.csv"', '"split.csv"')
    )


def _is_manifest(values: Values) -> bool:
    """Whether a table names images, by its first row."""
    path = user_path(str(values["data"]))
    try:
        with path.open("rb") as file:
            rows = [file.readline(PEEK) for _ in range(2)]
    except OSError:
        return False
    return any(cell.lower().strip(b" \"'").endswith(EXTENSIONS) for cell in re.split(rb"[,;\t:{}]", rows[1]))


def _constants(values: Values) -> str:
    side = values["image_size"] or (LENET_SIDE if values["model"] in (LENET, "auto") else USUAL_SIDE)
    path = user_path(str(values["data"] or "photos"))
    root = path.parent if sources.is_table(path) else path
    mean, std = (
        repr(values[name]) if values[name] else text for name, text in zip(("mean", "std"), IMAGENET, strict=True)
    )
    lines = [
        f"DATA = Path({str(root)!r})",
        "CLASSES = sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())",
        f"SIZE = {side}" + _auto("image_size", values, "what the model is made for"),
        f"CHANNELS = {values['channels'] or 3}" + _auto("channels", values, "1 if all images are grey"),
        f"MEAN, STD = {mean}, {std}" + ("" if values["mean"] else "  # auto: measured on the training part"),
    ]
    return "\n".join(lines) + "\n"


def _auto(name: str, values: Values, how: str) -> str:
    return f"  # auto: {how}" if values[name] is None else ""


def _note(name: str, values: Values) -> str:
    return f"# {name} = {SETTINGS[name].to_text(values[name])}\n"


def _arguments(given: Values) -> str:
    return "".join(f", {name}={value}" for name, value in given.items())


def _call(values: Values) -> str:
    """`--data-args` as they stand in a call."""
    return ", ".join(display(one, 200) for one in values["data_args"])


def _own(values: Values) -> str:
    place, _, name = str(values["data"]).rpartition(":")
    module = PurePath(place).stem if place.endswith(".py") else place
    lines = [f"from {module} import {name}", "", f"dataset = {name}({_call(values)})"]
    if values["val_data"]:
        other = str(values["val_data"]).rpartition(":")[2]
        lines += [f"train_set, val_set = dataset, {other}({_call(values)})"]
    else:
        lines += [
            f"train_set, val_set = random_split(dataset, [{1 - values['val_fraction']:g}, {values['val_fraction']:g}])"
        ]
    return "from torch.utils.data import random_split\n" + "\n".join(lines) + "\n"


def _torchvision_set(values: Values) -> str:
    name = str(values["data"]).removeprefix(sources.TORCHVISION)
    root = str(user_path(values["data_root"] or "."))
    more = f", {_call(values)}" if values["data_args"] else ""
    return (
        "from torchvision import datasets\n\n"
        f"train_set = datasets.{name}({root!r}, train=True, download=True{more})\n"
        f"val_set = datasets.{name}({root!r}, train=False, download=True{more})\n"
    )


def _table(values: Values) -> str:
    target = (
        f"{values['target'][0]!r}" if values["target"] else "names[-1]  # auto: the last column, if nothing says else"
    )
    return f"""\
import csv

import torch
from torch.utils.data import TensorDataset, random_split

with open({str(user_path(str(values["data"])))!r}, newline="") as file:
    rows = list(csv.DictReader(file))
names = list(rows[0])
target = {target}
inputs = torch.tensor([[float(row[name]) for name in names if name != target] for row in rows])
targets = torch.tensor([[float(row[target])] for row in rows])
dataset = TensorDataset(inputs, targets)
train_set, val_set = random_split(dataset, [{1 - values["val_fraction"]:g}, {values["val_fraction"]:g}])
mean, std = (f(inputs[train_set.indices], 0) for f in (torch.mean, torch.std))  # inputs are standardised by these
"""


def loader(values: Values) -> str:
    """The order of an epoch, and torch's DataLoader with every option that differs from its default."""
    shared: dict[str, Any] = {}
    if workers := values["num_workers"]:
        shared["num_workers"] = workers
        if values["persistent_workers"]:
            shared["persistent_workers"] = True
        if values["prefetch_factor"] is not None:
            shared["prefetch_factor"] = values["prefetch_factor"]
        if values["timeout"]:
            shared["timeout"] = values["timeout"]
        if values["multiprocessing_context"] != "auto":
            shared["multiprocessing_context"] = repr(values["multiprocessing_context"])
    shared["pin_memory"] = "torch.cuda.is_available()" if values["pin_memory"] is None else values["pin_memory"]
    mine: dict[str, Any] = {}
    brought = list[str]()
    for name in ("batch_sampler", "sampler", "collate_fn", "worker_init_fn"):
        if (given := str(values[name])) and given not in ("default", "weighted"):
            place, _, function = given.rpartition(":")
            brought.append(f"from {PurePath(place).stem if place.endswith('.py') else place} import {function}")
            mine[name] = f"{function}(train_targets)" if "sampler" in name else function
    sampled = "sampler" in mine or "batch_sampler" in mine
    size = "" if "batch_sampler" in mine else f", batch_size={values['batch_size']}"
    lines = ["", f"options = dict({_arguments(shared).removeprefix(', ')})"]
    if values["sampler"] == "weighted":
        lines += ["weights = 1 / torch.bincount(train_targets)[train_targets]  # each class equally often", ""]
        mine["sampler"], sampled = "WeightedRandomSampler(weights, len(weights))", True
    elif not sampled:
        mine["sampler"] = "epoch_order(train, epoch)"
    if values["drop_last"] and "batch_sampler" not in mine:
        mine["drop_last"] = True
    lines += [
        f"loader = DataLoader(train_set{size}{_arguments(mine)}, **options)"
        + ("" if sampled else "  # anew in each epoch"),
        f"val_loader = DataLoader(val_set, batch_size={values['batch_size']}, sampler=val, **options)",
    ]
    head = "import torch\nfrom torch.utils.data import DataLoader"
    head += ", WeightedRandomSampler\n" if values["sampler"] == "weighted" else "\n"
    head += "".join(f"{line}\n" for line in brought) + f"\nSEED = {values['seed']}\n"
    return head + ("" if sampled else pieces.order(values) + "\n") + "\n".join(lines) + "\n"


def recipe(values: Values) -> str:
    """Loss, optimizer, schedule and the loop."""
    left = [_note(name, values) for name in NOT_SHOWN if values[name] != SETTINGS[name].default]
    known = dict(values)
    if known["optimizer"] not in training.OPTIMIZERS:
        left.append(_note("optimizer", values))
        known["optimizer"] = "sgd"
    if known["lr_scheduler"] not in training.SCHEDULES:
        left.append(_note("lr_scheduler", values))
        known["lr_scheduler"] = "none"
    constants = f"SEED, EPOCHS, LR = {values['seed']}, {values['epochs']}, {values['lr']!r}\n"
    also = "# Not in this piece, but in the run:\n" + "".join(left) if left else ""
    given = values["class_weights"]
    numbers = [float(one) for one in given] if given and given != ("balanced",) else []
    loss = pieces.loss(known, numbers)
    if given == ("balanced",):
        loss = "    # class_weights = balanced: samples / (classes * samples of the class)\n" + pieces.loss(
            known, [1.0]
        )
    body = loss + pieces.optimizer(known) + "\n    for epoch in range(EPOCHS):\n" + pieces.epoch(known, "")
    return constants + also + pieces.functions(known) + training.EVALUATE + "\n" + _dedent(body)


def _dedent(lines: str) -> str:
    return "".join(line.removeprefix("    ") for line in lines.splitlines(keepends=True))
