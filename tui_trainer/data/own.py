"""The user's own Dataset: `path/to/file.py:MyDataset` or `package.module:factory`, map-style or iterable.

Its items are (input, target). What comes back is checked on a few of them before anything is trained. What it
draws from torch, random or numpy for a sample is drawn from generators seeded by (seed, epoch, index).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from tui_trainer import user_code
from tui_trainer.data.arguments import arguments
from tui_trainer.data.index import CLASSIFICATION, MULTILABEL, REGRESSION, TRAIN, VAL, Index, Own, split
from tui_trainer.data.names import Names
from tui_trainer.data.order import addressed_generators
from tui_trainer.data.own_items import as_tensor, describe
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

CHECKED = 3  # items that are looked at before training
ANY = "any"  # task of a target that fits several


def scan(data: DataConfig, seed: int, *, trusted: bool) -> Index:
    """The samples of the user's dataset; `val_data` names the one to validate on.

    Raises:
        ConfigError: it cannot be made, or an item is not (input, target).
        DataError: it has no items.
    """
    specs = [spec for spec in (data.data, data.val_data) if spec]
    made = [_make(spec, data, seed, trusted=trusted) for spec in specs]
    streams = [_streams(one) for one in made]
    if len(set(streams)) > 1:
        raise ConfigError("data and val_data must both have items by number, or both be streams.")
    with addressed_generators(seed, 0, -2):
        looked = [_look(one, spec, stream=streams[0]) for one, spec in zip(made, specs, strict=True)]
    items = [item for some in looked for item in some]
    shape, kinds = _checked(items, data.data)
    task = _task(data, kinds)
    first = f"an item is {describe(items[0][0])}, {describe(items[0][1])}"
    if streams[0]:
        return _stream(data, made, specs, items, shape, task, first)
    return _map(data, seed, made, items, shape, task, first)


def is_stream(data: DataConfig, seed: int, *, trusted: bool) -> bool:
    """Whether the user's dataset has no items by number.

    Raises:
        ConfigError: it cannot be made.
    """
    return _streams(_make(data.data, data, seed, trusted=trusted))


def _streams(made: Any) -> bool:
    return not hasattr(made, "__getitem__") or isinstance(made, IterableDataset)


def _make(spec: str, data: DataConfig, seed: int, *, trusted: bool) -> Any:
    """Call the user's class or factory; what it draws is a function of the seed."""
    factory = user_code.load(spec, trusted=trusted)
    given = arguments(data.data_args)
    try:
        with addressed_generators(seed, 0, -3):
            made = factory(**given)
    except Exception as error:
        what = display(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(
            f"{display(spec)} cannot be made: {what} (--data-args NAME=VALUE,... gives arguments)."
        ) from error
    if not hasattr(made, "__iter__") and not (hasattr(made, "__getitem__") and hasattr(made, "__len__")):
        raise ConfigError(
            f"{display(spec)} gives {describe(made)}: a dataset has __getitem__ and __len__, or __iter__ for a stream."
        )
    return made


def _look(dataset: Any, spec: str, *, stream: bool) -> list[Any]:
    """The first items.

    Raises:
        ConfigError: reading one fails.
        DataError: there are none.
    """
    try:
        count = CHECKED if stream else min(CHECKED, len(dataset))
        items = list(itertools.islice(iter(dataset), count)) if stream else [dataset[i] for i in range(count)]
    except Exception as error:
        what = display(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(f"{display(spec)}: reading its first items fails: {what}.") from error
    if not items:
        raise DataError(f"{display(spec)} has no items: there is nothing to learn from.")
    return items


def _checked(items: Sequence[Any], spec: str) -> tuple[tuple[int, ...], set[str]]:
    """The shape of an input, and the tasks that the targets fit.

    Raises:
        ConfigError: an item is not (input, target), or not of numbers; the sentence shows what came back.
    """
    where = display(spec)
    kinds: set[str] = set()
    for number, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise ConfigError(f"{where}: item {number} is {describe(item)}: it must be (input, target).")
        for name, part in zip(("input", "target"), item, strict=True):
            if as_tensor(part) is None:
                hint = ", such as torchvision.transforms.ToTensor() makes" if hasattr(part, "convert") else ""
                raise ConfigError(f"{where}: the {name} of item {number} is {describe(part)}: give a tensor{hint}.")
        inputs, target = as_tensor(item[0]), as_tensor(item[1])
        assert inputs is not None
        assert target is not None
        if not inputs.ndim or not torch.isfinite(inputs.double()).all():
            raise ConfigError(f"{where}: the input of item {number} is {describe(inputs)}: give finite numbers.")
        kinds.add(_kind(target))
    shapes = {tuple(np.shape(item[0])) for item in items}
    if len(kinds) > 1 or target_shapes(items) > 1:
        raise ConfigError(f"{where}: the targets of its items differ in kind, such as {describe(items[0][1])}.")
    return next(iter(shapes)), kinds


def target_shapes(items: Sequence[Any]) -> int:
    """How many different shapes the targets have."""
    return len({tuple(np.shape(item[1])) for item in items})


def _kind(target: Tensor) -> str:
    if target.is_floating_point():
        return REGRESSION if target.ndim <= 1 else ANY
    return CLASSIFICATION if target.numel() == 1 and target.ndim == 0 else MULTILABEL if target.ndim == 1 else ANY


def _task(data: DataConfig, kinds: set[str]) -> str:
    (kind,) = kinds
    if kind == ANY:
        raise ConfigError(f"{display(data.data)}: a target is a whole number (class), or a row of numbers or labels.")
    if data.task is None:
        return kind
    fits = {
        CLASSIFICATION: (CLASSIFICATION,),
        REGRESSION: (REGRESSION, CLASSIFICATION),
        MULTILABEL: (MULTILABEL, REGRESSION),
    }
    if kind not in fits[data.task]:
        raise ConfigError(f"task = {data.task}: the targets of {display(data.data)} look like {kind}.")
    return data.task


def _map(
    data: DataConfig, seed: int, made: list[Any], items: list[Any], shape: tuple[int, ...], task: str, first: str
) -> Index:
    found = [_targets(one, task, seed) for one in made]
    values = np.concatenate(found)
    counts = [len(one) for one in made]
    parts = np.concatenate([np.full(n, part, np.uint8) for part, n in zip((TRAIN, VAL), counts, strict=False)])
    names = [f"{'val/' * which}{i}".encode() for which, n in enumerate(counts) for i in range(n)]
    digest = hashlib.sha256(repr(data.data_args).encode())
    for item in items:
        digest.update(np.ascontiguousarray(as_tensor(item[0])).tobytes())
    classes, targets = _names(made[0], task, values)
    index = Index(
        root=user_path("."),
        names=Names.of(names),
        targets=values,
        parts=parts,
        classes=classes,
        task=task,
        task_reason=first,
        unit="samples",
        target_names=targets,
        inputs=Own(datasets=tuple(made), shape=shape),
        content=digest.digest(),
    )
    if len(made) > 1:
        return index
    divided, lonely = split(index, data.val_fraction, seed)
    return replace(divided, warnings=(*divided.warnings, *lonely))


def _targets(dataset: Any, task: str, seed: int) -> npt.NDArray[Any]:
    """Every target: from the dataset's own list of them, if it has one that agrees, else item by item."""
    count = len(dataset)
    for name in ("targets", "labels"):
        listed = getattr(dataset, name, None)
        if isinstance(listed, Tensor | np.ndarray | list | tuple) and len(listed) == count and count:
            values = np.asarray(listed)
            if values.dtype.kind in "iufb" and np.array_equal(values[0], np.asarray(dataset[0][1])):
                return _as_targets(values, task)
    found = []
    for i in range(count):
        with addressed_generators(seed, 0, i):
            try:
                found.append(np.asarray(as_tensor(dataset[i][1])))
            except Exception as error:
                raise DataError(
                    f"Item {i} of the dataset cannot be read: {display(f'{type(error).__name__}: {error}', 200)}."
                ) from error
    if len({one.shape for one in found}) > 1:
        raise DataError("The targets of the dataset have different shapes: each must have the same.")
    return _as_targets(np.stack(found), task)


def _as_targets(values: npt.NDArray[Any], task: str) -> npt.NDArray[Any]:
    if task == CLASSIFICATION:
        return values.reshape(len(values)).astype(np.int32)
    return values.reshape(len(values), -1).astype(np.float32)


def _names(dataset: Any, task: str, values: npt.NDArray[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of classes or labels, and of numbers to predict."""
    if task == REGRESSION:
        count = values.shape[1]
        return (), ("target",) if count == 1 else tuple(f"target {i + 1}" for i in range(count))
    given = getattr(dataset, "classes", None)
    count = values.shape[1] if task == MULTILABEL else int(values.max(initial=0)) + 1
    if isinstance(given, list | tuple) and len(given) >= count:
        return tuple(str(name) for name in given), ()
    if task == CLASSIFICATION and values.min(initial=0) < 0:
        raise DataError("A class of the dataset is a negative number: classes are counted from 0.")
    if task == CLASSIFICATION and count < 2:
        raise DataError("The dataset has one class only: a classifier needs two or more.")
    return tuple(str(i) for i in range(count)), ()


def _stream(
    data: DataConfig, made: list[Any], specs: list[str], items: list[Any], shape: tuple[int, ...], task: str, first: str
) -> Index:
    if len(made) < 2:
        raise ConfigError(
            f"{display(specs[0])} is a stream, of which no part can be held out: name another one with --val-data."
        )
    if task == REGRESSION:
        target = as_tensor(items[0][1])
        width = 1 if target is None else max(1, target.numel())
        classes, targets = _names(made[0], task, np.zeros((1, width)))
    else:
        if not isinstance(getattr(made[0], "classes", None), list | tuple):
            raise ConfigError(f"{display(specs[0])} is a stream: give it an attribute `classes`, their names.")
        classes, targets = tuple(str(name) for name in made[0].classes), ()
    empty = np.zeros(0, np.int32) if task == CLASSIFICATION else np.zeros((0, len(classes or targets)), np.float32)
    return Index(
        root=user_path("."),
        names=Names.of([]),
        targets=empty,
        parts=np.zeros(0, np.uint8),
        classes=classes,
        task=task,
        task_reason=first,
        unit="samples",
        target_names=targets,
        inputs=Own(datasets=tuple(made), shape=shape, streams=True),
        content=hashlib.sha256(repr((specs, data.data_args)).encode()).digest(),
    )
