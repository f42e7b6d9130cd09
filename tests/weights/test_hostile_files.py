from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tui_trainer.text import display
from tui_trainer.weights.reader import list_weights

from .hostile_files import HOSTILE_NAMES, tensor_files, write_all
from .opcodes import written

TESTS = Path(__file__).parent.parent
NOTHING_IN_THEM = ["x_as_root", "x_as_key", "x_persistent_call", "x_extension", "x_bare0", "x_bare2", "x_bare4"]


def opened_in_a_process(folder, scale):
    """(results by file name, canary): every file opened in a process of its own, which a crash may end."""
    (folder / "files").mkdir()
    paths = write_all(folder / "files", folder / "canary", scale)
    (folder / "paths.json").write_text(json.dumps([str(path) for path in paths]))
    command = [sys.executable, "-W", "error", "-m", "weights.hostile_run", str(folder), str(scale)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "results.json").read_text()), folder / "canary"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Floods, and the limits that stop them, at a tenth of their size."""
    return opened_in_a_process(tmp_path_factory.mktemp("hostile"), 10)


@pytest.mark.soak
def test_at_full_size_all_ends_as_with_smaller_limits(opened, tmp_path):
    results, canary = opened_in_a_process(tmp_path, 1)
    assert not canary.exists()
    assert {name: result["bug"] for name, result in results.items() if result["bug"]} == {}
    told = {name: (result["listed"], result["read"]) for name, result in results.items()}
    assert told == {name: (result["listed"], result["read"]) for name, result in opened[0].items()}


FLOODS_END_IN = {
    "list_copies_kept": "makes more than",
    "list_copies_dropped": "makes more than",
    "dict_copies_dropped": "makes more than",
    "wide_tensors": "makes more than",
    "text_flood": "makes more than",
    "long_prefixes": "one of its names has more than",
    "long_paths": "one of its names has more than",
    "doubled_long_names": "one of its names has more than",
    "long_key_of_many": "one of its names has more than",
    "long_path_of_many": "its names have more than",
    "legacy_floods": "opcodes",
}


def test_what_a_few_bytes_would_have_made_of_them_is_counted(opened):
    by_stem = {Path(name).stem: result for name, result in opened[0].items()}
    for name, words in FLOODS_END_IN.items():
        assert words in by_stem[f"d_{name}"]["message"], name
    assert by_stem["d_long_class_names"]["classes"] == 0


def test_no_payload_ran(opened):
    assert not opened[1].exists()


def test_there_are_enough_of_them(opened):
    assert len(opened[0]) >= 285


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
