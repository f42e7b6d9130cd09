from __future__ import annotations

import pytest

from tui_trainer.weights import architectures
from tui_trainer.weights.architectures import class_heads, fingerprint, recognised
from tui_trainer.weights.match import match
from tui_trainer.weights.report import Facts

from .torchvision_shapes import names, shapes

SMALL = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d",
    "vgg11", "vgg11_bn", "vgg16", "alexnet", "swin_t", "swin_s", "swin_v2_t", "vit_b_16", "vit_b_32",
    "convnext_tiny", "convnext_small", "densenet121", "densenet169", "mobilenet_v3_small", "shufflenet_v2_x1_0",
    "regnet_y_400mf", "efficientnet_b0", "efficientnet_b1", "googlenet", "squeezenet1_0", "squeezenet1_1",
)  # fmt: skip


def wrong_greens(pairs):
    return [(file, model) for file, model in pairs if match(shapes(file), shapes(model)).verdict.colour == "green"]


@pytest.fixture
def by_structure_alone(monkeypatch):
    """The verdict without the table of fingerprints, as for networks that nobody knows."""
    monkeypatch.setattr(architectures, "TORCHVISION", {})


def unrecognised(chosen):
    return [name for name in chosen if recognised(shapes(name, 7)) != f"torchvision {name}"]


def not_green_with_other_classes(chosen):
    reports = {name: match(shapes(name), shapes(name, 7)) for name in chosen}
    return [name for name, report in reports.items() if report.verdict.colour != "green"]


def test_classifiers_are_recognised_with_any_number_of_classes():
    assert unrecognised(SMALL) == []


def test_right_file_with_other_classes_is_green(by_structure_alone):
    assert not_green_with_other_classes(SMALL) == []


@pytest.mark.soak
def test_every_classifier_is_recognised_with_any_number_of_classes():
    assert unrecognised(names()) == []


@pytest.mark.soak
def test_every_right_file_with_other_classes_is_green(by_structure_alone):
    assert not_green_with_other_classes(names()) == []


def test_there_are_enough_classifiers():
    assert len(names()) >= 60
    assert len({fingerprint(shapes(name)) for name in SMALL}) == len(SMALL)


def test_no_wrong_file_is_green_among_relatives(by_structure_alone):
    pairs = [(file, model) for file in SMALL for model in SMALL if file != model]
    assert wrong_greens(pairs[::3]) == []


@pytest.mark.soak
def test_no_wrong_file_is_green_in_all_pairs(by_structure_alone):
    assert wrong_greens((file, model) for file in names() for model in names() if file != model) == []


@pytest.mark.parametrize(("file", "model"), [("resnet34", "resnet18"), ("resnet152", "resnet50"), ("swin_s", "swin_t")])
def test_all_names_there_and_the_wrong_file_all_the_same(file, model):
    report = match(shapes(file), shapes(model))
    assert report.totals.tensors == report.totals.model_tensors
    assert report.verdict.colour != "green"
    assert report.verdict.sentence == f"this is torchvision {file}, and the model is torchvision {model}"


def test_recognised_below_a_prefix_and_a_wrapper():
    file = {f"module.backbone.{name}": facts for name, facts in shapes("resnet18").items()}
    report = match(file, shapes("resnet18", 7))
    assert report.verdict.looks_like == "torchvision resnet18"
    assert report.verdict.colour == "green"


def test_heads_are_the_layers_with_a_row_for_each_class():
    assert class_heads(shapes("inception_v3")) == {"AuxLogits.fc", "fc"}
    assert class_heads(shapes("googlenet")) == {"aux1.fc2", "aux2.fc2", "fc"}
    assert class_heads(shapes("resnet18")) == {"fc"}
    assert class_heads({"a.bias": Facts(shape=(3,), dtype="float32")}) == frozenset()


def test_recognised_for_pictures_with_other_channels():
    tensors = dict(shapes("resnet18"))
    for channels in (1, 4):
        tensors["conv1.weight"] = Facts(shape=(64, channels, 7, 7), dtype="float32")
        assert recognised(tensors) == "torchvision resnet18"
        assert "this is torchvision resnet34, and the model is torchvision resnet18" in (
            match(shapes("resnet34"), tensors).verdict.sentence
        )
