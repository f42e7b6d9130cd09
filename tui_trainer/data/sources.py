"""What there is to learn from: the one door to every kind of dataset. No torch here.

Each kind has a module of its own that makes an `Index`; a new kind adds a module and a line in `open_source`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tui_trainer import user_code
from tui_trainer.data import folders, idx, manifest, scan_cache, sql, stream_files, streams, tables
from tui_trainer.data.index import CLASSIFICATION, Index
from tui_trainer.data.table_file import ARRAYS, TEXT_TABLES, read_table
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

TORCHVISION = "torchvision:"
OF_STREAMS = ("query", "order_key", "stream", "follow")  # settings


def open_source(data: DataConfig, seed: int, *, trusted: bool = False, folder: Path | None = None) -> Index:
    """The samples that the settings name, split into parts; `trusted`: the user's own code may run.

    `folder`: of a run that goes on, which holds the plan of its stream.

    Raises:
        DataError: there is nothing to train on, or it cannot be read.
        ConfigError: the settings do not go together.
    """
    return replace(_opened(data, seed, trusted, folder), max_megapixels=data.max_megapixels)


def _opened(data: DataConfig, seed: int, trusted: bool, folder: Path | None) -> Index:
    if data.data.startswith(TORCHVISION):
        from tui_trainer.data import torchvision_sets  # imports torch

        return torchvision_sets.scan(data, seed)
    if is_own(data.data):
        from tui_trainer.data import own  # imports torch

        return own.scan(data, seed, trusted=trusted)
    if is_stream(data):
        return streams.scan(data, seed, folder)
    for name in OF_STREAMS:
        if getattr(data, name):
            raise ConfigError(f"{name} is for streams, and {display(data.data, 80)} is none: leave it out.")
    path = user_path(data.data)
    if is_table(path):
        return _open_table(path, data, seed)
    if idx.is_idx(path):
        return idx.scan(path, data, seed)
    if data.targets:
        folders.require_folder(path)
        return manifest.scan_targets(path, data, seed)
    val_root = user_path(data.val_data) if data.val_data else None
    index = scan_cache.scan(path, val_root, data.val_fraction, seed)
    if data.task not in (None, CLASSIFICATION):
        raise ConfigError(
            f"task = {data.task}: class folders hold one class an image; --targets FILE gives each image others."
        )
    return index


def _open_table(path: Path, data: DataConfig, seed: int) -> Index:
    """A table that names images is a manifest; else its rows are what is learned from."""
    columns = read_table(path, data.header)
    paths = manifest.path_column(columns, data, path)
    if paths is None:
        return tables.scan(path, columns, data, seed)
    root = user_path(data.data_root) if data.data_root else path.parent
    return manifest.scan(path, columns, paths, root.resolve(), data, seed)


def is_table(path: Path) -> bool:
    """Whether `path` is a file of rows."""
    return path.suffix.lower() in (*TEXT_TABLES, *ARRAYS) and not path.is_dir()


def is_stream(data: DataConfig) -> bool:
    """Whether the settings name a database, tar shards, or JSON lines that are not loaded whole."""
    return streams.is_stream(data.data, True if data.follow else data.stream)


def is_own(source: str) -> bool:
    """Whether `source` names a dataset in Python: `path/to/file.py:Name` or `package.module:name`."""
    place, colon, name = source.rpartition(":")
    dotted = place.endswith(".py") or all(part.isidentifier() for part in place.split("."))
    known = source.startswith(TORCHVISION) or user_path(source).exists() or streams.is_stream(source)
    return bool(colon and place and dotted and not known and all(part.isidentifier() for part in name.split(".")))


def absolute(source: str) -> str:
    """The same from any folder."""
    if is_own(source):
        return user_code.absolute(source)
    if sql.is_database(source):
        return sql.absolute(source)
    return source if not source or source.startswith(TORCHVISION) else stream_files.absolute(source)


def require(data: DataConfig) -> None:
    """Refuse at once what plainly is not there.

    Raises:
        DataError: it is not.
    """
    for given in (data.data, data.val_data, data.targets):
        path = user_path(given)
        if not given or given.startswith(TORCHVISION) or is_own(given) or sql.is_database(given):
            continue
        if streams.is_stream(given, data.stream):
            stream_files.require(given)
            continue
        if not is_table(path) and not idx.IMAGES.search(path.name):
            folders.require_folder(path)
        elif not path.is_file():
            raise DataError(f"{display(path)} does not exist: give a table, or a folder of images.")
