"""IDX files, the format of MNIST: a folder of them, or one pair of images and labels. No torch here.

Layout: 0, 0, type (8: uint8), dimensions, then each size as 4 bytes big-endian, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_trainer.data.index import CLASSIFICATION, TRAIN, VAL, Index, split
from tui_trainer.data.names import Names
from tui_trainer.data.pictures import ArrayPictures
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

IMAGES = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")
HELD_OUT = ("val", "valid", "t10k", "test")  # how the other pair of a folder is called
MOST_BYTES = 16 << 30


def is_idx(path: Path) -> bool:
    """Whether `path` is such a file of images, or a folder with one for training."""
    return bool(IMAGES.search(path.name)) if not path.is_dir() else _of(path, "train") is not None


def _of(folder: Path, part: str) -> Path | None:
    for below in (folder, folder / "raw", folder / "MNIST" / "raw"):
        for dot in "-.":
            for end in ("", ".gz"):
                path = below / f"{part}-images{dot}idx3-ubyte{end}"
                if os.path.isfile(path):  # noqa: PTH113 - pathlib raises where the folder is closed
                    return path
    return None


def scan(path: Path, data: DataConfig, seed: int) -> Index:
    """The images of a folder's train pair, with its other pair as the validation part; or of one pair, split.

    Raises:
        DataError: a file is not there, or is none of this format.
    """
    pairs = [(TRAIN, _of(path, "train") or path)] if path.is_dir() else [(TRAIN, path)]
    if data.val_data:
        pairs.append((VAL, user_path(data.val_data)))
    elif path.is_dir() and (held_out := next(filter(None, (_of(path, name) for name in HELD_OUT)), None)):
        pairs.append((VAL, held_out))
    read = [(part, *_pair(images)) for part, images in pairs]
    shapes = {pixels.shape[1:] for _, pixels, _ in read}
    if len(shapes) > 1:
        raise DataError(f"{display(path)}: the images of the two parts are of different sizes.")
    pixels = np.concatenate([pixels for _, pixels, _ in read])
    labels = np.concatenate([labels for *_, labels in read])
    parts = np.concatenate([np.full(len(labels), part, np.uint8) for part, _, labels in read])
    classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    return index_of_pictures(path, ArrayPictures(pixels), labels, parts, classes, data, seed, given=len(read) > 1)


def index_of_pictures(
    root: Path,
    pictures: ArrayPictures,
    labels: npt.NDArray[np.generic],
    parts: npt.NDArray[np.uint8],
    classes: Sequence[str],
    data: DataConfig,
    seed: int,
    *,
    given: bool,
) -> Index:
    """An index of images that are no files: their names are numbers, each part counted from 0."""
    if data.task not in (None, CLASSIFICATION):
        raise ConfigError(f"task = {data.task}: this dataset has one class an image, which is classification.")
    words = ("train", "val")
    names = [f"{words[part]}/{i}".encode() for part in (TRAIN, VAL) for i in range(int((parts == part).sum()))]
    index = Index(
        root=root,
        names=Names.of(names),
        targets=labels.astype(np.int32),
        parts=parts,
        classes=tuple(classes),
        task_reason="one class an image",
        inputs=pictures,
        content=hashlib.sha256(pictures.hashed().data).digest(),
    )
    return index if given else split(index, data.val_fraction, seed)[0]


def _pair(images: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    stem = name.removesuffix(".gz")
    labels = next(
        (images.with_name(one) for one in (name, stem, f"{stem}.gz") if images.with_name(one).is_file()), None
    )
    if labels is None:
        raise DataError(f"{display(images)} has no labels: put {display(name)} beside it.")
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        raise DataError(f"{display(images)} has {len(pixels)} images, but {len(numbers)} labels.")
    return pixels, numbers


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of uint8.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if head[:2] != b"\0\0" or head[2:] != bytes((8, dimensions)):
                raise DataError(f"{display(path)} is not an IDX file of {dimensions} dimension(s) of bytes.")
            shape = [int.from_bytes(file.read(4), "big") for _ in range(dimensions)]
            size = int(np.prod(shape, dtype=object))
            if size > MOST_BYTES:
                raise DataError(f"{display(path)} claims {size:,} bytes: more than is read into memory.")
            values = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"Cannot read {display(path)}: {display(error, 100)}.") from None
    if len(values) != size or not size:
        raise DataError(f"{display(path)} is damaged: its header says {size:,} bytes, it has {len(values):,}.")
    return np.frombuffer(values, np.uint8).reshape(shape)
