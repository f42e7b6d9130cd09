"""What there is to learn from: the one door to every kind of dataset. No torch here.

Each kind has a module of its own that makes an `Index`; a new kind adds a module and a line in `open_source`.
"""

from __future__ import annotations

from pathlib import Path

from tui_trainer.data import folders, tables
from tui_trainer.data.index import CLASSIFICATION, Index
from tui_trainer.data.table_file import ARRAYS, TEXT_TABLES
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path


def open_source(data: DataConfig, seed: int) -> Index:
    """The samples that the settings name, split into parts.

    Raises:
        DataError: there is nothing to train on, or it cannot be read.
        ConfigError: the settings do not go together.
    """
    path = user_path(data.data)
    if is_table(path):
        return tables.scan(path, data, seed)
    val_root = user_path(data.val_data) if data.val_data else None
    index = folders.scan(path, val_root, data.val_fraction, seed)
    if data.task not in (None, CLASSIFICATION):
        raise ConfigError(f"task = {data.task}: class folders hold one class an image, which is classification.")
    return index


def is_table(path: Path) -> bool:
    """Whether `path` is a file of rows."""
    return path.suffix.lower() in (*TEXT_TABLES, *ARRAYS) and not path.is_dir()


def require(data: DataConfig) -> None:
    """Refuse at once what plainly is not there.

    Raises:
        DataError: it is not.
    """
    for path in (user_path(given) for given in (data.data, data.val_data) if given):
        if not is_table(path):
            folders.require_folder(path)
        elif not path.is_file():
            raise DataError(f"{display(path)} does not exist: give a table, or a folder of images.")
