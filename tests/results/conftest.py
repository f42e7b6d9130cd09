"""One short run of three digits, which the tests of this folder share and do not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import copy_digits


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of LeNet on sixty digits in three classes."""
    from tui_trainer.config import build
    from tui_trainer.session import LocalSession

    data = copy_digits(tmp_path_factory.mktemp("data") / "digits", classes=3, each=20)
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = {"data": str(data), "epochs": 3, "batch_size": 8, "threads": 1, "device": "cpu"}
    list(LocalSession(build({**settings, "output_dir": str(folder)})).events())
    return folder
