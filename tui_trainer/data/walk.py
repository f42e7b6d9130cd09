"""The images below a folder, as a block of names for each folder. No torch here.

A folder that holds images only is one `listdir` and a few passes over its joined names, with no
Python for a single file: most of the time is the kernel's. Only names are looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from tui_trainer.data.names import END
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
_IGNORED = (b".", b"__MACOSX", b"@eaDir")  # hidden, and what archivers and file servers leave behind


class Stamp(NamedTuple):
    """A folder as it was just before it was listed; it changes with the names in the folder."""

    path: bytes
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass
class Walk:
    """What was listed so far, and what could not be."""

    folders: list[Stamp] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    complete: bool = True  # every folder could be read
    above: set[tuple[int, int]] = field(default_factory=set)  # device and inode of folders that hold the classes


@dataclass(frozen=True)
class Listed:
    """The images of some folders: of each a block, which is a group of `Names`, and how many there are."""

    blocks: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Images in all."""
        return sum(self.counts)


def stamp(path: bytes) -> Stamp:
    """The state of a folder.

    Raises:
        OSError: there is none.
    """
    status = os.stat(path)
    return Stamp(path, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_ignored(name: bytes) -> bool:
    """Whether a name is none of a person's."""
    return name.startswith(_IGNORED)


def is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Whether it is one, links followed."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def images_below(folder: bytes, prefix: bytes, walk: Walk) -> Listed:
    """Image files at any depth as `prefix` + name, sorted in each folder; links in a loop or to above are cut."""
    stack, seen, found = [(folder, prefix)], set(walk.above), Listed()
    while stack:
        current, start = stack.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            walk.folders.append(Stamp(current, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
            names = os.listdir(current)
            names.sort()
            block = _images_alone(names)
            if block is None:
                names, below = _sorted_out(current)
                block = END + END + END.join((*names, b""))
                stack += [(os.path.join(current, name), start + name + b"/") for name in reversed(below)]
        except OSError as error:
            walk.complete = False
            walk.warnings.append(f"Cannot read the folder {display(current)}: {error.strerror}; it is left out.")
            continue
        if names:
            found.blocks.append(start + block)
            found.counts.append(len(names))
    return found


def _images_alone(names: list[bytes]) -> bytes | None:
    """The block of sorted names, if every one is that of an image; a folder with such a name is a bad image."""
    if not names:
        return None
    first, last, joined = names[0], names[-1], END.join(names)
    common, ending = _beginning(first, last), first[first.rfind(b".") :]
    if common.startswith(b".") or (not common and END + b"." in END + joined):
        return None
    shared = len(common) + len(ending)
    if ending in EXTENSIONS and last.endswith(ending) and min(len(first), len(last)) >= shared:
        shorter = joined.replace(ending + END + common, END)
        if len(joined) - len(shorter) == shared * (len(names) - 1):
            return END.join((common, ending, shorter[len(common) : len(shorter) - len(ending)], b""))
    block = joined + END
    lower = block.lower()
    if sum(lower.count(one + END) for one in EXTENSIONS) != len(names):
        return None
    return END + END + block


def _beginning(one: bytes, other: bytes) -> bytes:
    """What both begin with."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return one[:at]
    return min(one, other, key=len)


def _sorted_out(folder: bytes) -> tuple[list[bytes], list[bytes]]:
    """The images and the folders among the entries."""
    images, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_IGNORED):
                continue
            if is_folder(entry):
                folders.append(entry.name)
            elif entry.name.lower().endswith(EXTENSIONS):
                images.append(entry.name)
    return sorted(images), sorted(folders)
