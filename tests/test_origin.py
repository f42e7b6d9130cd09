from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import resolve
from tui_trainer.errors import DataError, TooManyBadError
from tui_trainer.origin import naming_file


def test_a_path_that_a_file_gave_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[data]\ndata = "photos"\nval_data = "/none/val"\n')
    here = Path("photos").absolute()
    with pytest.raises(DataError) as refused, naming_file(resolve({}, file)):
        raise DataError(f"{here} does not exist.")
    assert str(refused.value) == f"{file}: data = photos: {here} does not exist."
    with pytest.raises(TooManyBadError) as refused, naming_file(resolve({}, file)):
        raise TooManyBadError("/none/val is empty.", 0.5)
    assert str(refused.value) == f"{file}: val_data: /none/val is empty."
    assert refused.value.allowed == 0.5


def test_a_path_of_a_flag_and_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[data]\ndata = "photos"\n')
    for flags, given in (({"data": "other"}, file), ({"data": "photos"}, None), ({}, file)):
        with pytest.raises(DataError, match=r"^other does not exist"), naming_file(resolve(flags, given)):
            raise DataError("other does not exist.")


def test_training_and_tuning_from_another_folder_say_which_file_it_was(
    tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[data]\ndata = "no/such/folder"\n')
    for words in (("--no-tui",), ("--dry-run",)):
        told = run_cli(*words, "-c", file)
        assert told.code == 3
        assert f"{file}: data = no/such/folder: " in told.err
    told = run_cli("tune", "-c", file)
    assert f"{file}: data = no/such/folder: " in told.err
