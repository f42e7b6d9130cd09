"""Class folders become an index of samples. No torch here.

root/class/**/image                     split into train and val by `val_fraction`
root/train/class/**/image               given parts: train, and val, valid, validation or test
root/val/class/**/image
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tui_trainer.data.index import TEST, TRAIN, VAL, Index, split
from tui_trainer.errors import DataError
from tui_trainer.text import display

EXTENSIONS = (
    b".jpg",
    b".jpeg",
    b".jpe",
    b".jfif",
    b".png",
    b".bmp",
    b".webp",
    b".tif",
    b".tiff",
    b".gif",
    b".avif",
)
VAL_FOLDERS = ("val", "valid", "validation", "test")
_IGNORED = (b".", b"__MACOSX", b"@eaDir")  # hidden, and what archivers and file servers leave behind


@dataclass
class _Found:
    """Class folders and their images while scanning."""

    names: dict[str, list[bytes]] = field(default_factory=dict)  # class -> paths relative to the root
    warnings: list[str] = field(default_factory=list)


def scan(root: Path, val_root: Path | None, val_fraction: float, seed: int) -> Index:
    """The index of a folder with its split.

    Raises:
        DataError: there is nothing to train on, or the parts do not go together.
    """
    require_folder(root)
    # Without links, because the names of validation images may begin with "../".
    root, val_root = root.resolve(), val_root.resolve() if val_root else None
    train_folder, given = _given_parts(root, val_root)
    found = _scan_classes(train_folder, root)
    classes = _require_classes(found, train_folder)
    warnings = list(found.warnings)
    index = _index(root, classes, [(name, found.names[name], TRAIN) for name in classes])
    if not given:
        index, lonely = split(index, val_fraction, seed)
        return replace(index, warnings=(*warnings, *lonely))
    for part, folder in given:
        others = _scan_classes(folder, root)
        warnings += others.warnings
        _require_known(others, classes, folder)
        index = _append(index, others, part)
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
        return any(_is_folder(entry) for entry in entries if not entry.name.startswith(_IGNORED))


def _scan_classes(folder: Path, root: Path) -> _Found:
    require_folder(folder)
    found, loose = _Found(), 0
    with os.scandir(os.fsencode(folder)) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.name.startswith(_IGNORED):
                continue
            if _is_folder(entry):
                name = os.fsdecode(entry.name)
                images = sorted(_images_below(entry.path, found.warnings))
                found.names[name] = [os.path.relpath(path, os.fsencode(root)) for path in images]
            elif entry.name.lower().endswith(EXTENSIONS):
                loose += 1
    if loose and any(found.names.values()):
        found.warnings.append(f"{loose} images directly in {display(folder)} have no class and are left out.")
    return found


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _images_below(folder: bytes, warnings: list[str]) -> Iterator[bytes]:
    """Image files at any depth; links are followed, and a loop of links is cut."""
    stack, seen = [folder], set[tuple[int, int]]()
    while stack:
        current = stack.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith(_IGNORED):
                        continue
                    if _is_folder(entry):
                        stack.append(entry.path)
                    elif entry.name.lower().endswith(EXTENSIONS):
                        yield entry.path
        except OSError as error:
            warnings.append(f"Cannot read the folder {display(current)}: {error.strerror}; it is left out.")


def _require_classes(found: _Found, root: Path) -> tuple[str, ...]:
    empty = [name for name, images in found.names.items() if not images]
    classes = tuple(name for name, images in found.names.items() if images)
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
        found.warnings.append(f"Folders without images are no classes: {display(', '.join(empty))}.")
    return classes


def _require_known(others: _Found, classes: Sequence[str], folder: Path) -> None:
    unknown = sorted(name for name, images in others.names.items() if images and name not in classes)
    if unknown:
        raise DataError(
            f"{display(folder)} has classes that the training part has not: {display(', '.join(unknown))}; "
            "rename or remove them."
        )


def _index(root: Path, classes: tuple[str, ...], groups: list[tuple[str, list[bytes], int]]) -> Index:
    names = [name for _, group, _ in groups for name in group]
    number = {name: i for i, name in enumerate(classes)}
    return Index(
        root=root,
        blob=b"".join(names),
        offsets=np.cumsum([0, *map(len, names)], dtype=np.int64),
        targets=np.repeat([number[c] for c, _, _ in groups], [len(g) for _, g, _ in groups]).astype(np.int32),
        parts=np.repeat([part for *_, part in groups], [len(g) for _, g, _ in groups]).astype(np.uint8),
        classes=classes,
    )


def _append(index: Index, found: _Found, part: int) -> Index:
    groups = [(name, images, part) for name, images in found.names.items() if images]
    more = _index(index.root, index.classes, groups)
    return replace(
        index,
        blob=index.blob + more.blob,
        offsets=np.concatenate([index.offsets, more.offsets[1:] + len(index.blob)]),
        targets=np.concatenate([index.targets, more.targets]),
        parts=np.concatenate([index.parts, more.parts]),
    )
