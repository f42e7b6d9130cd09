from __future__ import annotations

import pytest
import torch
from torch import nn

from tui_trainer.errors import WeightsError
from tui_trainer.weights.layer_names import Selection, layer_of, without_wrappers
from tui_trainer.weights.match import match
from tui_trainer.weights.report import Facts, PrefixRule, percent

from .good_files import Blocks, LeNet
from .torchvision_shapes import shapes


def statuses(report) -> dict[str, str]:
    return {layer.layer: layer.status for layer in report.layers}


def prefixed(prefix: str, tensors):
    return {prefix + name: value for name, value in tensors.items()}


def lenet():
    return LeNet().state_dict()


def only(shape=(2, 2), dtype="float32", problem=""):
    return Facts(shape=shape, dtype=dtype, problem=problem)


# Names


@pytest.mark.parametrize(
    "prefix",
    [
        "", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "_fsdp_wrapped_module.", "model.",
        "net.",
        "backbone.", "student.backbone.", "module.encoder.", "visual.trunk.",
    ],
)  # fmt: skip
def test_one_prefix_or_wrapper_never_hinders(prefix):
    report = match(prefixed(prefix, lenet()), lenet())
    assert set(statuses(report).values()) == {"renamed" if prefix else "load"}
    assert report.totals.tensors == 10
    assert report.summary == "10 of 10 tensors, 100 % of the numbers, 100 % of the file used; stays random: nothing"
    assert report.verdict.colour == "green"


def test_prefix_on_the_models_side():
    report = match(lenet(), prefixed("encoder.", lenet()))
    assert report.totals.tensors == 10
    assert str(report.rules[0]) == "(start) -> encoder"


def test_wrapper_in_the_middle_of_names():
    file = {name.replace("conv1.", "conv1._checkpoint_wrapped_module."): value for name, value in lenet().items()}
    assert match(file, lenet()).totals.tensors == 10


def test_module_stays_where_the_model_has_one():
    model = prefixed("module.", lenet())
    assert statuses(match(model, model))["module.conv1"] == "load"


def test_wrappers_stay_where_names_would_become_one():
    assert without_wrappers(["module.a", "a"], []) == {"module.a": "module.a", "a": "a"}


def test_two_subtrees_get_a_rule_each():
    head = {"weight": torch.zeros(64, 64), "bias": torch.zeros(64)}
    file = prefixed("backbone.", lenet()) | prefixed("head.", head)
    report = match(file, prefixed("encoder.", lenet()) | prefixed("classifier.", head))
    assert report.totals.tensors == 12
    assert [str(rule) for rule in report.rules] == ["backbone -> encoder", "head -> classifier"]


def test_rival_branches_are_a_question():
    file = prefixed("encoder_q.", lenet()) | prefixed("encoder_k.", lenet())
    report = match(file, lenet())
    assert {report.rules[0].strip, *(rule.strip for rule in report.rivals)} == {"encoder_q", "encoder_k"}
    assert "Which one is meant?" in report.question
    answered = match(file, lenet(), rule=PrefixRule(strip="encoder_k", add=""))
    assert {layer.file_layer.split(".")[0] for layer in answered.taken} == {"encoder_k"}


def test_rival_places_in_the_model_are_a_question():
    model = prefixed("left.", lenet()) | prefixed("right.", lenet())
    assert {rule.add for rule in match(lenet(), model).rivals} | {match(lenet(), model).rules[0].add} == {
        "left",
        "right",
    }


def test_renames_are_whole_segments_at_the_start():
    file = {name.replace("fc1.", "dense."): value for name, value in lenet().items()}
    assert statuses(match(file, lenet()))["fc1"] == "not in file"
    assert statuses(match(file, lenet(), renames=["dense=fc1"]))["fc1"] == "renamed"
    assert statuses(match(file, lenet(), renames=["den=fc1"]))["fc1"] == "not in file"
    with pytest.raises(WeightsError, match="OLD=NEW"):
        match(file, lenet(), renames=["dense"])


def test_old_words_for_weight_and_bias():
    file = {"norm.gamma": only((4,)), "norm.beta": only((4,)), "fc.weight": only(), "fc.bias": only((2,))}
    model = {"norm.weight": only((4,)), "norm.bias": only((4,)), "fc.weight": only(), "fc.bias": only((2,))}
    assert match(file, model).totals.tensors == 4


def test_weight_norm_in_both_spellings():
    old = {"0.bias": only((2,)), "0.weight_g": only((2, 1)), "0.weight_v": only((2, 3))}
    new = {
        "0.bias": only((2,)),
        "0.parametrizations.weight.original0": only((2, 1)),
        "0.parametrizations.weight.original1": only((2, 3)),
    }
    assert match(old, new).totals.tensors == match(new, old).totals.tensors == 3
    assert layer_of("0.parametrizations.weight.original0") == "0"


def test_order_is_offered_and_off_until_asked_for():
    file = {}
    for index, layer in enumerate(("conv1", "conv2", "fc1", "fc2", "fc3")):
        file |= {f"body{index}.{leaf}": lenet()[f"{layer}.{leaf}"] for leaf in ("weight", "bias")}
    report = match(file, lenet())
    assert set(statuses(report).values()) == {"guess"}
    assert (report.totals.tensors, report.verdict.colour) == (0, "amber")
    assert report.verdict.sentence == "no name fits; 5 of 5 layers would fit by their order and shape"
    assert any("guess" in note for note in report.notes)
    assert match(file, lenet(), by_order=True).totals.tensors == 10
    assert match(file, lenet(), picks={"fc2": True}).totals.tensors == 2


def test_order_skips_what_only_one_side_has():
    file = {"a.weight": only((3, 3)), "b.weight": only((4, 3)), "c.weight": only((5, 4))}
    model = {"x.weight": only((3, 3)), "y.weight": only((9, 9)), "z.weight": only((5, 4))}
    report = match(file, model, by_order=True)
    assert {layer.layer: layer.file_layer for layer in report.taken} == {"x": "a", "z": "c"}


# Layers are one unit


def test_a_bias_never_goes_without_its_weight():
    model = lenet()
    file = lenet() | {"fc1.weight": torch.zeros(120, 100)}
    report = match(file, model)
    assert statuses(report)["fc1"] == "shape differs"
    assert report.totals.tensors == 8


def test_half_a_layer_is_off_until_picked():
    file = {name: value for name, value in lenet().items() if name != "fc2.bias"}
    report = match(file, lenet())
    layer = next(layer for layer in report.layers if layer.layer == "fc2")
    assert (layer.status, layer.taken, layer.detail) == ("half a layer", False, "the file has no bias for it")
    assert match(file, lenet(), picks={"fc2": True}).totals.tensors == 9


def test_a_weight_without_place_for_its_bias_is_half_a_layer():
    model = {name: value for name, value in lenet().items() if name != "fc2.bias"}
    assert statuses(match(lenet(), model))["fc2"] == "half a layer"


def test_batch_counter_may_be_missing():
    file = {name: value for name, value in Blocks().state_dict().items() if "num_batches" not in name}
    report = match(file, Blocks().state_dict())
    assert statuses(report)["norm"] == "load"
    assert report.random == ()


def test_damaged_and_missing_and_additional_layers():
    file = {name: only(tuple(value.shape)) for name, value in lenet().items() if not name.startswith("fc3")}
    file |= {"fc2.weight": only((84, 120), problem="cut off"), "aux.weight": only((1, 1))}
    found = statuses(match(file, lenet()))
    assert (found["fc2"], found["fc3"], found["aux"]) == ("damaged", "not in file", "not in model")


def test_numbers_of_another_kind_do_not_fit():
    file = {"a.weight": only(dtype="complex64"), "b.weight": only(dtype="float16"), "c.weight": only(dtype="int8")}
    model = {"a.weight": only(), "b.weight": only(), "c.weight": only()}
    report = match(file, model)
    assert statuses(report) == {"a": "shape differs", "b": "load", "c": "shape differs"}
    assert report.layers[1].detail == "numbers turned from float16 to float32"


# Selection


def ten_fully_connected():
    return {f"fc{index}.weight": only() for index in range(1, 12)} | {"enc.fc1.weight": only(), "xfc1.weight": only()}


def test_a_name_chooses_whole_segments():
    report = match(ten_fully_connected(), ten_fully_connected(), exclude=["fc1"])
    assert {layer.layer for layer in report.layers if layer.status == "left out"} == {"fc1"}
    report = match(ten_fully_connected(), ten_fully_connected(), exclude=["**.fc1"])
    assert {layer.layer for layer in report.layers if layer.status == "left out"} == {"fc1", "enc.fc1"}


@pytest.mark.parametrize(
    ("pattern", "name", "chosen"),
    [
        ("fc1", "fc1", True), ("fc1", "fc10", False), ("fc1", "fc1.sub", True), ("fc1", "enc.fc1", False),
        ("**.fc1", "enc.fc1.sub", True), ("fc1", "enc.fc1_norm", False),
        ("layer[34]", "layer3.0.conv1", True), ("layer[34]", "layer2.0", False),
        ("layer4.*.conv1", "layer4.0.conv1", True),
        ("layer4.*.conv1", "layer4.conv1", False), ("0.conv1", "layer4.0.conv1", False),
        ("**.0.conv1", "layer4.0.conv1", True), ("*", "a", True),
        ("fc?", "fc1", True), ("fc?", "fc10", False), ("FC1", "fc1", False),
    ],
)  # fmt: skip
def test_patterns(pattern, name, chosen):
    assert Selection([pattern]).matches(name) is chosen


def test_include_then_exclude_then_picks():
    report = match(lenet(), lenet(), include=["conv1", "fc*"], exclude=["fc1"], picks={"fc1": True, "fc3": False})
    assert [layer.layer for layer in report.taken] == ["conv1", "fc1", "fc2"]
    assert report.random == ("conv2", "fc3")


def test_a_pattern_that_names_nothing_is_told_with_what_is_similar():
    report = match(lenet(), lenet(), exclude=["conv3"])
    assert report.notes[0].startswith("No layer is named by exclude conv3; similar: conv")


def test_leaving_layers_out_does_not_make_it_the_wrong_file():
    assert match(lenet(), lenet(), exclude=["conv1", "conv2", "fc1"]).verdict.colour == "green"


def test_nothing_in_common():
    report = match({"a.weight": only((7, 7))}, lenet())
    assert report.verdict.colour == "red"
    assert report.verdict.sentence == "nothing in this file fits the model"
    assert report.taken == ()
    assert match({}, lenet()).verdict.colour == match(lenet(), {}).verdict.colour == "red"


# Shapes that differ


def test_number_of_classes_differs():
    report = match(shapes("resnet18"), shapes("resnet18", 7))
    assert statuses(report)["fc"] == "shape differs"
    assert report.summary == "120 of 122 tensors, 99.9 % of the numbers, 95.6 % of the file used; stays random: fc"


def test_first_fully_connected_layer_says_which_picture_size_would_fit():
    file = lenet()
    model = lenet() | {"fc1.weight": torch.zeros(120, 16 * 5 * 5)}
    layer = next(layer for layer in match(file, model).layers if layer.layer == "fc1")
    assert layer.detail == "6x6 cells there, 5x5 cells here: trained on pictures of another size"
    report = match(file, model, fitting_size=lambda layer, features: 32 if (layer, features) == ("fc1", 576) else None)
    layer = next(layer for layer in report.layers if layer.layer == "fc1")
    assert layer.detail.endswith("would fit at --image-size 32")


def test_footer_names_a_few_and_counts_the_rest():
    report = match(lenet(), lenet(), include=["nothing"])
    assert report.summary.endswith("stays random: conv1, conv2, fc1, fc2, fc3")
    many = ten_fully_connected()
    assert match(many, many, include=["x"]).summary.endswith("fc5, 8 more")


def test_percent_is_never_rounded_up_to_all():
    assert percent(999_999, 1_000_000) == "99.9 %"
    assert (percent(1, 1), percent(0, 5), percent(0, 0)) == ("100 %", "0.0 %", "0 %")


def test_a_report_says_how_it_was_made():
    report = match(lenet(), lenet(), exclude=["fc1"], adapters=["positions"])
    assert report.settings["exclude"] == ["fc1"]
    assert report.settings["adapters"] == ["positions"]


def test_hostile_names_do_no_harm_in_what_is_shown():
    file = {"\x1b[31m.weight": only((9, 9)), "[/].weight": only((8, 8))} | lenet()
    report = match(file, file | {"\x1b]0;x\x07.weight": only()}, exclude=["\x1b[0m"])
    for text in (report.summary, report.verdict.sentence, report.question, *report.notes):
        assert text.isprintable() or not text


def test_a_thousand_layers():
    big = nn.Sequential(*(nn.Linear(3, 3) for _ in range(1000))).state_dict()
    assert match(prefixed("model.", big), big).totals.tensors == 2000
