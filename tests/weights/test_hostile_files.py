from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.text import display
from tui_trainer.weights.reader import list_weights

from .hostile_files import HOSTILE_NAMES, tensor_files
from .opcodes import written

TESTS = Path(__file__).parent.parent
NOTHING_IN_THEM = ["x_as_root", "x_as_key", "x_persistent_call", "x_extension", "x_bare0", "x_bare2", "x_bare4"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """(results by file name, canary): every file opened in a process of its own, which a crash may end."""
    folder = tmp_path_factory.mktemp("hostile")
    for step in ("write", "open"):
        command = [sys.executable, "-W", "error", "-m", "weights.hostile_run", step, str(folder)]
        done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((folder / "results.json").read_text())
    results.pop("(start)")
    return results, folder / "canary"


def test_no_payload_ran(opened):
    assert not opened[1].exists()


def test_there_are_enough_of_them(opened):
    assert len(opened[0]) >= 140


def test_nothing_but_sentences_is_raised(opened):
    assert {name: result["bug"] for name, result in opened[0].items() if result["bug"]} == {}


def test_what_is_refused_is_refused_with_what_where_and_what_to_do(opened):
    for name, result in opened[0].items():
        if not result["listed"]:
            assert result["message"].count(": ") >= 2, (name, result["message"])
            assert result["message"].endswith("."), name
            assert result["message"].isprintable(), name


def test_sound_tensors_beside_a_payload_are_read(opened):
    for name, result in opened[0].items():
        if name.startswith("x_") and name.endswith(".pth") and Path(name).stem not in NOTHING_IN_THEM:
            assert result["listed"], name
            assert result["read"] == 1 or name in ("x_as_shape.pth", "x_as_storage.pth"), name


def test_no_lying_tensor_is_read(opened):
    sound = ("t_empty_name.pth", "t_hostile_names.pth", "t_v3_wide.pth", "t_storage_of_os.pth")
    for name, result in opened[0].items():
        if name.startswith(("t_", "s_")) and name not in sound:
            assert result["read"] == 0, name


def test_each_thing_that_is_no_checkpoint_has_its_own_sentence(opened):
    sentences = {}
    for name, result in opened[0].items():
        if name.startswith("n_") and name not in ("n_one_byte.pth", "n_html_spaced.pth"):
            sentence = result["message"].partition(name)[2]
            assert sentence, name
            sentences.setdefault(sentence, []).append(name)
    assert {sentence: names for sentence, names in sentences.items() if len(names) > 1} == {}


def test_hostile_names_are_kept_as_they_are_and_safe_once_displayed(tmp_path):
    file = list_weights(written(tmp_path / "a.pth", tensor_files()["t_hostile_names.pth"]))
    assert [tensor.name for tensor in file.tensors] == list(HOSTILE_NAMES)
    assert all(display(tensor.name).isprintable() for tensor in file.tensors)
    assert all(note.isprintable() for note in file.notes)


def test_torch_itself_is_as_before(opened):
    """The process that opened the files changed nothing; nor does listing them in this one."""
    import torch._utils

    assert torch._utils._rebuild_tensor_v2.__defaults__ == (None,)
