"""Predictions for files that have no label: decoded, resized and normalised exactly as validation did."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tui_trainer.data.encoding import encode_as
from tui_trainer.data.index import CLASSIFICATION, REGRESSION, Index
from tui_trainer.data.names import Names
from tui_trainer.data.table_file import read_table
from tui_trainer.data.walk import EXTENSIONS
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.results.inference import answers
from tui_trainer.results.samples import in_words
from tui_trainer.results.trained import Trained
from tui_trainer.text import display, user_path

CHUNK = 1024  # files of which an index is made at once


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one file: names with their probability or number, the most probable first."""

    path: str
    answers: tuple[tuple[str, float], ...] = ()
    error: str = ""


def predict(trained: Trained, paths: Iterable[str], top_k: int = 5) -> Iterator[Prediction]:
    """A prediction for each path, in their order; one that cannot be read says why.

    Raises:
        ConfigError: the model takes what no file holds.
    """
    if trained.preprocessing.kind == "items":
        raise ConfigError(
            f"The model takes {in_words(trained)}, no files: "
            "test RUN --data file.py:Name --csv FILE gives a prediction for each item."
        )
    if trained.preprocessing.inputs:
        for path in paths:
            yield from _of_table(trained, path, top_k)
        return
    remaining = iter(paths)
    while chunk := list(itertools.islice(remaining, CHUNK)):
        index = files_index(chunk)
        for answered in answers(trained, index, range(len(chunk))):
            told = dict(zip(answered.members.tolist(), readings(trained, answered.outputs, top_k), strict=True))
            reasons = dict(answered.bad)
            for number in sorted((*told, *reasons)):
                error, found = reasons.get(number, ""), told.get(number, ())
                yield Prediction(path=chunk[number], answers=found, error=error)


def _of_table(trained: Trained, path: str, top_k: int) -> Iterator[Prediction]:
    """A prediction for each row of a table, called FILE:NUMBER; a table that cannot be read is one that says why."""
    try:
        features = encode_as(read_table(user_path(path)), trained.preprocessing.encoding, Path(path))
    except DataError as error:
        yield Prediction(path=path, error=str(error))
        return
    for start in range(0, len(features), CHUNK):
        outputs = trained.outputs(torch.from_numpy(features[start : start + CHUNK]))
        for number, found in enumerate(readings(trained, outputs, top_k), start + 1):
            yield Prediction(path=f"{path}:{number}", answers=found)


def files_index(paths: Sequence[str]) -> Index:
    """An index of files without labels."""
    names = [os.fsencode(path) for path in paths]
    return Index(
        root=Path.cwd(),
        names=Names.of(names),
        targets=np.zeros(len(names), np.int32),
        parts=np.zeros(len(names), np.uint8),
        classes=("",),
    )


def readings(trained: Trained, outputs: Tensor, top_k: int) -> list[tuple[tuple[str, float], ...]]:
    """Outputs (N, C) in words: the first `top_k` classes, each label, or each number."""
    if not len(outputs):
        return []
    if trained.task == REGRESSION:
        return [tuple(zip(trained.names, row, strict=True)) for row in outputs.tolist()]
    wide = outputs.double()
    shares = wide.softmax(1) if trained.task == CLASSIFICATION else wide.sigmoid()
    ranked = shares.sort(dim=1, descending=True, stable=True)  # of equal ones the first class, as in a test
    shown = torch.arange(min(top_k, outputs.shape[1]))
    pairs = zip(ranked.values[:, shown].tolist(), ranked.indices[:, shown].tolist(), strict=True)
    return [tuple((trained.names[i], p) for p, i in zip(row, at, strict=True)) for row, at in pairs]


def expand(words: Sequence[str], listed: Iterable[str]) -> Iterator[str]:
    """The files that a person means: themselves, all images below a folder, a glob, and `-` for those `listed`.

    Raises:
        DataError: a folder or a glob has no images.
    """
    for word in words:
        if word == "-":
            yield from (line for line in (each.rstrip("\r\n") for each in listed) if line)
        elif user_path(word).is_dir():
            yield from _or_refuse(_below(word), f"There are no images below {display(word)}.")
        elif not os.path.lexists(user_path(word)) and glob.has_magic(word):
            found = sorted(glob.glob(os.path.expanduser(word), recursive=True))  # noqa: PTH111
            yield from _or_refuse(found, f"No file is called like {display(word)}.")
        else:
            yield word if not word.startswith("~") else str(user_path(word))


def _below(folder: str) -> Iterator[str]:
    for current, folders, names in os.walk(os.path.expanduser(folder)):  # noqa: PTH111
        folders.sort()
        yield from (
            os.path.join(current, name) for name in sorted(names) if os.fsencode(name).lower().endswith(EXTENSIONS)
        )


def _or_refuse(found: Iterable[str], sentence: str) -> Iterator[str]:
    empty = True
    for path in found:
        empty = False
        yield path
    if empty:
        raise DataError(sentence)
