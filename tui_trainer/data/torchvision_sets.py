"""torchvision's own classification datasets by name, `torchvision:MNIST`: found on disk, or downloaded."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.config import did_you_mean
from tui_trainer.data.arguments import arguments
from tui_trainer.data.idx import index_of_pictures
from tui_trainer.data.index import TRAIN, VAL, Index
from tui_trainer.data.pictures import ArrayPictures, OtherPictures
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

PREFIX = "torchvision:"
SPLITS = (("train", "val"), ("train", "valid"), ("train", "test"), ("trainval", "test"))


def root_of(data: DataConfig) -> Path:
    """Where the files lie: `data_root`, or a folder of the user's cache."""
    import platformdirs

    return user_path(data.data_root) if data.data_root else platformdirs.user_cache_path("tui-trainer") / "datasets"


def scan(data: DataConfig, seed: int) -> Index:
    """The dataset of a name, its test part as the validation part.

    Raises:
        ConfigError: there is no such dataset, or it is not one class an image.
        DataError: it is neither on disk nor can it be downloaded.
    """
    from tui_trainer import vision

    name = data.data.removeprefix(PREFIX)
    known = {one: getattr(vision.datasets(), one) for one in vision.datasets().__all__}
    if name not in known:
        raise ConfigError(f"torchvision has no dataset {display(name, 40)}{did_you_mean(name, known)}")
    root = root_of(data)
    parts = [_part(known[name], name, which, root, data) for which in (TRAIN, VAL)]
    labels = [_labels(part, name) for part in parts]
    counts = [np.full(len(one), part, np.uint8) for part, one in zip((TRAIN, VAL), labels, strict=True)]
    targets = np.concatenate(labels)
    classes = tuple(str(one) for one in getattr(parts[0], "classes", ())) or tuple(map(str, range(targets.max() + 1)))
    return index_of_pictures(
        root / name, _pictures(parts), targets, np.concatenate(counts), classes, data, seed, given=True
    )


def _part(make: Any, name: str, which: int, root: Path, data: DataConfig) -> Any:
    """The training or the other part, from disk, or downloaded."""
    takes = inspect.signature(make).parameters
    given = arguments(data.data_args)
    if "train" in takes:
        choices: list[dict[str, Any]] = [{"train": which == TRAIN}]
    elif "split" in takes:
        choices = [{"split": pair[which == VAL]} for pair in SPLITS]
    else:
        raise ConfigError(f"torchvision:{name} has no training and test part: it cannot be used by its name.")
    downloads = [{"download": False}, {"download": True}] if "download" in takes else [{}]
    failure: Exception = RuntimeError("not found")
    for download in downloads:
        for choice in choices:
            try:
                return make(str(root), **{**choice, **download, **given})
            except (RuntimeError, OSError, ValueError, AttributeError) as error:
                failure = error
            except TypeError as error:
                raise ConfigError(f"torchvision:{name}: {display(error, 120)} (--data-args NAME=VALUE).") from None
    why = display(str(failure).partition("\n")[0].rstrip(":"), 80)
    raise DataError(
        f"{name} is neither in {display(root)} nor can it be downloaded ({why}): "
        f"put {_files(make, name)} there, or say with --data-root where it is."
    )


def _files(make: Any, name: str) -> str:
    resources = getattr(make, "resources", None)
    if isinstance(resources, list):
        return f"{', '.join(file for file, _ in resources)} into {name}/raw"
    return str(getattr(make, "filename", f"the files of torchvision.datasets.{name}"))


def _labels(part: Any, name: str) -> npt.NDArray[np.int64]:
    for attribute in ("targets", "labels", "_labels"):
        values = getattr(part, attribute, None)
        if values is not None and len(values) == len(part):
            found = np.asarray(values)
            break
    else:
        found = np.array([part[i][1] for i in range(len(part))])
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ConfigError(f"torchvision:{name} does not have one class an image: wrap it in a Dataset of your own.")
    return found.astype(np.int64)


def _pictures(parts: list[Any]) -> Any:
    """Images from arrays where the dataset has them, else one by one."""
    arrays = [np.asarray(part.data) if hasattr(part, "data") else None for part in parts]
    plain = [array for array in arrays if array is not None and array.dtype == np.uint8 and array.ndim in (3, 4)]
    if len(plain) < len(parts):
        return OtherPictures(parts)
    if plain[0].ndim == 4 and plain[0].shape[1] == 3 and plain[0].shape[3] != 3:
        plain = [array.transpose(0, 2, 3, 1) for array in plain]
    return ArrayPictures(np.concatenate(plain))
