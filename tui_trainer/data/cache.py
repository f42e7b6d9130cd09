"""Whether and where decoded images are kept, so that later epochs decode nothing.

What is kept of an image is a function of the settings alone, and so are the samples made of it: full or empty, in
memory or in a file, the same batches come out. Without `shrink` they are those of a run without a cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tui_trainer.config import Config
from tui_trainer.data.decode import BadImageError, Header, header, read_file
from tui_trainer.data.index import TRAIN, VAL, Index
from tui_trainer.data.pipeline import Pipeline
from tui_trainer.data.slots import FULL, LARGE, PAGE, FileSlots, MemorySlots, Slots
from tui_trainer.data.transforms import RESAMPLER
from tui_trainer.errors import DataError
from tui_trainer.loader_facts import SHARED_MEMORY, room_to_share, size_in_words

VERSION = 4
LOOKED_AT = 256  # images whose sizes decide that of a slot
MEMORY_SHARE, DISK_SHARE = 0.25, 0.5  # of what is free
MOST_PARTS = 0.9  # of the images must fit whole, or keeping them by itself is not worth it
UNUSED = 30 * 86_400  # seconds after which a file goes
OFF, MEMORY, DISK = "off", "memory", "disk"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where the images of each part are kept; None: nowhere. `told`: what is other than was asked for."""

    where: str
    reason: str
    train: Slots | None = None
    val: Slots | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """What would be kept of one part: `size` bytes for each image, 0 if too few can be kept."""

    pipeline: Pipeline
    number: int
    count: int
    size: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.count * self.size


def keep_images(config: Config, index: Index, train: Pipeline, val: Pipeline, *, processes: bool) -> Kept:
    """The cache that the settings ask for; auto: in memory, where that changes no sample and fits.

    Raises:
        DataError: the cache folder cannot be used.
    """
    asked, room = config.data.cache, _room(config, train, processes)
    if asked == OFF:
        return Kept(where=OFF, reason="given")
    if asked is None and config.recipe.epochs == 1:
        return Kept(where=OFF, reason="one epoch reads each image once")
    heads = _heads(index)
    parts = [_part(index, heads, train, TRAIN), _part(index, heads, val, VAL)]
    where, reason = (asked, "given") if asked else _chosen(config, parts, room)
    if where == OFF:
        return Kept(where=OFF, reason=reason)
    limit = _limit(config, where, room)
    told = _less(config, parts, limit) if asked else ()
    if where == MEMORY:
        kept = _in_memory(index, parts, limit, processes)
    else:
        kept, more = _in_files(index, parts, limit)
        told += more
    return Kept(where=where, reason=reason, train=kept[0], val=kept[1], told=told)


def _heads(index: Index) -> list[Header]:
    """Of some images, from all over the index."""
    found = []
    for sample in np.linspace(0, len(index) - 1, min(LOOKED_AT, len(index))).astype(np.int64).tolist():
        with contextlib.suppress(BadImageError):
            found.append(header(_encoded(index, sample)))
    return found


def _part(index: Index, heads: list[Header], pipeline: Pipeline, number: int) -> Part:
    """Slots hold the largest image looked at, or half more than most do; a larger one is decoded each time."""
    kept = [pipeline.kept_size(head) for head in heads]
    sizes = [size[0] * size[1] * pipeline.channels for size in kept if size]
    count, size = int((index.parts == number).sum()), 0
    if sizes and len(sizes) >= MOST_PARTS * len(heads):
        size = min(max(sizes), int(1.5 * np.quantile(sizes, 0.95)))
        if pipeline.random and size >= LARGE:
            size = -(-size // PAGE) * PAGE  # no two share a page of a file: the second write to it took a fifth longer
    return Part(pipeline, number, count, size)


def _encoded(index: Index, sample: int) -> bytes:
    pictures = index.pictures
    return read_file(index.path(sample)) if pictures is None else pictures.encoded(sample)


def _chosen(config: Config, parts: list[Part], room: int) -> tuple[str, str]:
    """What auto becomes, and why. A number never depends on it: `shrink` is either given or not."""
    needed, limit = sum(part.bytes for part in parts), _limit(config, MEMORY, room)
    size, most = size_in_words(needed), size_in_words(limit)
    if not any(part.size for part in parts):
        return OFF, "each crop of such large photos is decoded at a part of their size; --cache-shrink keeps them"
    if needed <= limit:
        which = "decoded images" if all(part.size for part in parts) else "decoded validation images"
        return MEMORY, f"{size} of {which} fit into memory"  # how much is free varies, and equal runs say the same
    if config.data.cache_shrink:
        return DISK, f"{size} of decoded images are more than the {most} of memory that may be used for them"
    smaller = " and --cache-shrink makes them smaller" if parts[0].size > parts[0].pipeline.most_stored else ""
    why = f"{size} of decoded images are more than the {most} of memory that may be used"
    return OFF, f"{why}; --cache disk keeps them{smaller}"


def _limit(config: Config, where: str, room: int) -> int:
    """Bytes that may be used: as given, or a share of what is free; in memory at most `room`."""
    given = config.data.cache_limit
    if given is not None:
        return int(min(given * 1e9, room) if where == MEMORY else given * 1e9)
    if where == MEMORY:
        return int(MEMORY_SHARE * min(available_memory() / config.run.nproc, room))
    folder = cache_folder()
    return int(DISK_SHARE * (shutil.disk_usage(folder).free + sum(map(_used, _files(folder)))))


def _room(config: Config, pipeline: Pipeline, processes: bool) -> int:
    """Bytes that each process can keep: what worker processes share lies beside their batches."""
    return room_to_share(config.loader, config.run.nproc, pipeline.most_stored) if processes else sys.maxsize


def available_memory() -> int:
    """Bytes that can be taken without swapping, within the limit of the container."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text("ascii"))  # "max" where there is none
        free = min(free, most - int((group / "memory.current").read_text("ascii")))
    return max(0, free)


def _less(config: Config, parts: list[Part], limit: int) -> tuple[str, ...]:
    """What to say when not all is kept."""
    told = []
    if not parts[0].size:
        told.append(
            "Training images are not kept: each crop of such large photos is decoded at a part of their size; "
            "--cache-shrink keeps them smaller."
        )
    needed = sum(part.bytes for part in parts)
    if needed > limit:
        full = limit < int((config.data.cache_limit or 0) * 1e9)  # less than was given
        why = f"{SHARED_MEMORY} has no room for more; --worker-type thread needs none" if full else "--cache-limit"
        told.append(
            f"The cache holds {size_in_words(limit)} of {size_in_words(needed)} of decoded images; the others are "
            f"decoded each epoch ({why})."
        )
    return tuple(told)


def _shares(parts: list[Part], limit: int) -> list[int]:
    """How many images of each part are kept: the same share of both."""
    share = min(1.0, limit / max(1, sum(part.bytes for part in parts)))
    return [int(part.count * share) if part.size else 0 for part in parts]


def _in_memory(index: Index, parts: list[Part], limit: int, processes: bool) -> list[Slots | None]:
    found: list[Slots | None] = []
    for part, most in zip(parts, _shares(parts, limit), strict=True):
        members = index.part(part.number)[:most]
        slots = MemorySlots(members, len(index), part.size, part.pipeline.channels, shared=processes) if most else None
        found.append(slots)
    return found


def _in_files(index: Index, parts: list[Part], limit: int) -> tuple[list[Slots | None], tuple[str, ...]]:
    """Two files, whose names say what is in them; the least recently used ones make room. And what is to be told.

    Raises:
        DataError: they cannot be made, and not because the disk is full.
    """
    folder = cache_folder()
    paths = [folder / f"{_key(index, part)}.images" for part in parts]
    found: list[Slots | None] = [None, None]
    try:
        limit -= _made_room(folder, sum(part.bytes for part in parts), limit, paths)
        for number, (part, path) in enumerate(zip(parts, paths, strict=True)):
            share = min(1.0, max(0, limit) / max(1, sum(one.bytes for one in parts)))
            most = len(index) if share == 1.0 else int(len(index) * share)
            args = path, len(index), part.size, part.pipeline.channels, most
            found[number] = FileSlots(*args) if part.size and most else None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in FULL:
            which = "validation images" if any(found) else "images"
            return found, (f"The disk of the cache is full: no {which} are kept; they are decoded each epoch.",)
        why = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot keep images in {folder}: {why}; use --cache memory, or off.") from None
    return found, ()


def _key(index: Index, part: Part) -> str:
    """A hash of the source and of all that decides what is kept; file by file a slot holds its size and time."""
    names = hashlib.sha256()
    index.names.feed(names)
    names.update(index.content)
    made_by = [VERSION, RESAMPLER, torch.__version__, cv2.__version__]
    told: list[Any] = [os.fspath(index.root.resolve()), names.hexdigest(), len(index), part.size, *made_by]
    return hashlib.blake2b(json.dumps([*told, *part.pipeline.keeps]).encode(), digest_size=12).hexdigest()


def cache_folder() -> Path:
    """Where the files lie.

    Raises:
        DataError: it cannot be made.
    """
    import platformdirs

    folder = platformdirs.user_cache_path("tui-trainer") / "images"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DataError(f"Cannot keep images in {folder}: {error.strerror}; use --cache memory, or off.") from None
    return folder


def _files(folder: Path) -> list[Path]:
    """Those that are there, the least recently used first."""
    found = []
    for path in folder.glob("*.images"):
        with contextlib.suppress(OSError):
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def _used(path: Path) -> int:
    """Bytes on the disk; slots that were never filled take none."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def _made_room(folder: Path, needed: int, limit: int, wanted: list[Path]) -> int:
    """Remove files that nobody uses until `needed` bytes fit, and what is old; bytes that others still hold."""
    others = [path for path in _files(folder) if path not in wanted]
    held, oldest = sum(map(_used, others)), time.time() - UNUSED
    for path in others:
        if held + needed <= limit and not _older(path, oldest):
            continue
        size = _used(path)
        if _removed(path):
            held -= size
    for path in folder.glob(".*.tmp"):  # left by a crash between two system calls
        if _older(path, oldest):
            with contextlib.suppress(OSError):
                path.unlink()
    return held


def _older(path: Path, moment: float) -> bool:
    """Whether a file was used before then only; not if another process has removed it."""
    try:
        return path.stat().st_mtime < moment
    except OSError:
        return False


def _removed(path: Path) -> bool:
    """Remove a file, unless somebody has it open; never made shorter, which would end who reads it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True
