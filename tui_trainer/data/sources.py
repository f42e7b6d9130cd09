"""What there is to learn from: the one door to every kind of dataset. No torch here.

Each kind has a module of its own that makes an `Index`; a new kind adds a module and a line in `open_source`.
"""

from __future__ import annotations

from tui_trainer.data import folders
from tui_trainer.data.index import Index
from tui_trainer.data_config import DataConfig
from tui_trainer.text import user_path


def open_source(data: DataConfig, seed: int) -> Index:
    """The samples that the settings name, split into parts.

    Raises:
        DataError: there is nothing to train on, or it cannot be read.
    """
    val_root = user_path(data.val_data) if data.val_data else None
    return folders.scan(user_path(data.data), val_root, data.val_fraction, seed)


def require(data: DataConfig) -> None:
    """Refuse at once what plainly is not there.

    Raises:
        DataError: it is not.
    """
    for folder in filter(None, (data.data, data.val_data)):
        folders.require_folder(user_path(folder))
