from __future__ import annotations

import pytest
import torch

from tests.weights.test_match import lenet, prefixed
from tui_trainer.config import ModelConfig
from tui_trainer.errors import WeightsError
from tui_trainer.start_weights import fit
from tui_trainer.weights.branches import choose_branch, question_of
from tui_trainer.weights.fingerprint import BLOCK, BLOCKS, fingerprint_of
from tui_trainer.weights.reader import list_weights


def listed(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    return list_weights(tmp_path / "w.pth")


def names(file, model=None, wanted=""):
    branch, found = choose_branch(file, model or lenet(), wanted)
    return branch.name, [other.name for other in found]


def test_the_group_that_fits_is_found_without_a_question(tmp_path):
    big = {f"x{index}.weight": torch.zeros(500, 500) for index in range(3)}
    file = listed(tmp_path, {"teacher": big, "student": lenet()})
    assert file.chosen.path == "teacher"
    assert names(file) == ("student", ["student"])
    assert question_of(file, choose_branch(file, lenet(), "")[1]) == ""


def test_model_and_moving_average_are_a_question(tmp_path):
    file = listed(tmp_path, {"model": lenet(), "ema": lenet()})
    assert names(file) == ("ema", ["ema", "model"])
    assert names(file, wanted="model")[0] == "model"
    assert "several weights that fit the model equally well: ema or model" in question_of(
        file, choose_branch(file, lenet(), "")[1]
    )


def test_the_same_tensors_under_two_names_are_no_question(tmp_path):
    state = lenet()
    assert len(names(listed(tmp_path, {"model": state, "state_dict": state}))[1]) == 1


def test_two_encoders_are_a_question_and_either_is_the_answer(tmp_path):
    file = listed(tmp_path, prefixed("encoder_q.", lenet()) | prefixed("encoder_k.", lenet()))
    assert set(names(file)[1]) == {"encoder_q", "encoder_k"}
    for wanted in ("encoder_q", "encoder_k"):
        branch, _ = choose_branch(file, lenet(), wanted)
        assert (branch.name, branch.rule.strip) == (wanted, wanted)


def test_the_encoder_that_is_not_meant_is_not_left_over(tmp_path):
    file = listed(tmp_path, prefixed("encoder_q.", lenet()) | prefixed("encoder_k.", lenet()))
    for wanted in ("", "encoder_k"):
        assert fit(file, lenet(), ModelConfig(pretrained_group=wanted)).matched.verdict.colour == "green"
    more = {f"decoder.{at}.weight": torch.zeros(3, 3) for at in range(9)}
    file = listed(tmp_path, prefixed("encoder_q.", lenet()) | prefixed("encoder_k.", lenet()) | more)
    assert "layers of the file" in fit(file, lenet(), ModelConfig()).matched.verdict.sentence


def test_two_places_in_the_model_are_a_question(tmp_path):
    model = prefixed("left.", lenet()) | prefixed("right.", lenet())
    file = listed(tmp_path, lenet())
    assert set(names(file, model)[1]) == {"left", "right"}
    assert choose_branch(file, model, "right")[0].rule.add == "right"


def test_a_group_that_fits_less_may_be_asked_for(tmp_path):
    small = {"conv1.weight": lenet()["conv1.weight"], "conv1.bias": lenet()["conv1.bias"]}
    file = listed(tmp_path, {"model": lenet(), "stem": small})
    assert names(file) == ("model", ["model"])
    assert names(file, wanted="stem")[0] == "stem"


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path):
    file = listed(tmp_path, {"model": lenet(), "ema": lenet()})
    with pytest.raises(WeightsError, match=r"no weights called \\x1b: it has ema, model"):
        choose_branch(file, lenet(), "\x1b")


def test_a_fingerprint_is_of_the_bytes(tmp_path):
    file = tmp_path / "f"
    small = bytes(range(256)) * 40
    seen = set()
    for content in (b"", b"a", small, small[:-1] + b"x", b"x" + small[1:], small + b"\0"):
        file.write_bytes(content)
        seen.add(fingerprint_of(file))
        assert fingerprint_of(file) in seen
    assert len(seen) == 6
    large = bytearray(BLOCK * BLOCKS * 3)
    file.write_bytes(large)
    before = fingerprint_of(file)
    large[::64] = b"\x01" * len(large[::64])  # numbers everywhere, as after a step of training
    file.write_bytes(large)
    assert fingerprint_of(file) != before
    with pytest.raises(WeightsError, match="cannot be read"):
        fingerprint_of(tmp_path / "none")
