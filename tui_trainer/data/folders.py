"""Class folders become an index of samples. No torch here.

root/class/**/image                     split into train and val by `val_fraction`
root/train/class/**/image               given parts: train, and val, valid, validation or test
root/val/class/**/image
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tui_trainer.data.index import TEST, TRAIN, VAL, Index, split
from tui_trainer.data.names import Names
from tui_trainer.data.walk import EXTENSIONS, Listed, Walk, images_below, is_folder, is_ignored, stamp
from tui_trainer.errors import DataError
from tui_trainer.text import display

VAL_FOLDERS = ("val", "valid", "validation", "test")


@dataclass
class _Found:
    """Class folders and their images while scanning."""

    names: dict[str, Listed] = field(default_factory=dict)  # class -> paths relative to the root


def scan(root: Path, val_root: Path | None, val_fraction: float, seed: int, walk: Walk | None = None) -> Index:
    """The index of a folder with its split; `walk` learns which folders were listed.

    Raises:
        DataError: there is nothing to train on, or the parts do not go together.
    """
    require_folder(root)
    walk = walk or Walk()
    # Without links, because the names of validation images may begin with "../".
    root, val_root = root.resolve(), val_root.resolve() if val_root else None
    walk.folders.append(stamp(os.fsencode(root)))
    train_folder, given = _given_parts(root, val_root)
    found = _scan_classes(train_folder, root, walk)
    classes = _require_classes(found, train_folder, walk)
    warnings = walk.warnings
    groups = [(name, found.names[name], TRAIN) for name in classes]
    if not given:
        index, lonely = split(_index(root, classes, groups), val_fraction, seed)
        return replace(index, warnings=(*warnings, *lonely))
    for part, folder in given:
        others = _scan_classes(folder, root, walk)
        _require_known(others, classes, folder)
        groups += [(name, listed, part) for name, listed in others.names.items() if listed.count]
    index = _index(root, classes, groups)
    if TEST not in [part for part, _ in given] and given[0][1].name == "test":
        warnings.append("There is no val folder: test is used to validate each epoch.")
    if not (index.parts == VAL).any():
        raise DataError(f"{display(given[0][1])} holds no images: nothing to validate on.")
    return replace(index, warnings=tuple(warnings))


def require_folder(root: Path) -> None:
    """Refuse what is not a readable folder.

    Raises:
        DataError: it is not.
    """
    try:
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "does not exist"
            raise DataError(f"{display(root)} {what}: give a folder with one sub-folder of images a class.")
        os.listdir(root)
    except OSError as error:
        raise DataError(f"Cannot read the folder {display(root)}: {error.strerror}.") from None


def _given_parts(root: Path, val_root: Path | None) -> tuple[Path, list[tuple[int, Path]]]:
    """The training folder, and the other parts if the user has split the data already."""
    train = root / "train" if _is_split(root) else root
    if val_root is not None:
        return train, [(VAL, val_root)]
    if train == root:
        return root, []
    held_out = [root / name for name in VAL_FOLDERS if (root / name).is_dir()]
    if not held_out:
        return train, []
    parts = [(VAL, held_out[0])]
    if held_out[-1].name == "test" and len(held_out) > 1:
        parts.append((TEST, held_out[-1]))
    return train, parts


def _is_split(root: Path) -> bool:
    """Whether `train` is a part; alone and with images directly in it, it is a class of that name."""
    train = root / "train"
    if not train.is_dir():
        return False
    require_folder(train)
    if any((root / name).is_dir() for name in VAL_FOLDERS):
        return True
    with os.scandir(os.fsencode(train)) as entries:
        return any(is_folder(entry) for entry in entries if not is_ignored(entry.name))


def _scan_classes(folder: Path, root: Path, walk: Walk) -> _Found:
    require_folder(folder)
    found, loose, below = _Found(), 0, os.fsencode(os.path.relpath(folder, root))
    start = b"" if below == b"." else below + b"/"
    for above in (folder.resolve(), *folder.resolve().parents):
        status = above.stat()
        walk.above.add((status.st_dev, status.st_ino))
    walk.folders.append(stamp(os.fsencode(folder)))
    with os.scandir(os.fsencode(folder)) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if is_ignored(entry.name):
                continue
            if is_folder(entry):
                found.names[os.fsdecode(entry.name)] = images_below(entry.path, start + entry.name + b"/", walk)
            elif entry.name.lower().endswith(EXTENSIONS):
                loose += 1
    if loose and any(names.count for names in found.names.values()):
        walk.warnings.append(f"{loose} images directly in {display(folder)} have no class and are left out.")
    return found


def _require_classes(found: _Found, root: Path, walk: Walk) -> tuple[str, ...]:
    empty = [name for name, images in found.names.items() if not images.count]
    classes = tuple(name for name, images in found.names.items() if images.count)
    shape = "put the images of each class into a folder of their own, such as cat/1.jpg and dog/1.jpg"
    if not classes:
        loose = sum(entry.name.lower().endswith(EXTENSIONS) for entry in os.scandir(os.fsencode(root)))
        if loose:
            raise DataError(f"{display(root)} holds {loose} images but no class folders: {shape}.")
        raise DataError(f"{display(root)} holds no images: {shape}.")
    if len(classes) == 1:
        raise DataError(
            f"{display(root)} has one class only, {display(classes[0])}: a classifier needs two or more; {shape}."
        )
    if empty:
        walk.warnings.append(f"Folders without images are no classes: {display(', '.join(empty))}.")
    return classes


def _require_known(others: _Found, classes: Sequence[str], folder: Path) -> None:
    unknown = sorted(name for name, images in others.names.items() if images.count and name not in classes)
    if unknown:
        raise DataError(
            f"{display(folder)} has classes that the training part has not: {display(', '.join(unknown))}; "
            "rename or remove them."
        )


def _index(root: Path, classes: tuple[str, ...], groups: list[tuple[str, Listed, int]]) -> Index:
    number, counts = {name: i for i, name in enumerate(classes)}, [listed.count for _, listed, _ in groups]
    blocks = [block for _, listed, _ in groups for block in listed.blocks]
    return Index(
        root=root,
        names=Names.of_blocks(blocks, [count for _, listed, _ in groups for count in listed.counts]),
        targets=np.repeat(np.array([number[name] for name, *_ in groups], np.int32), counts),
        parts=np.repeat(np.array([part for *_, part in groups], np.uint8), counts),
        classes=classes,
    )
