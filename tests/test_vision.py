import torch

from tui_trainer import vision


def test_the_three_rooms_behind_the_door() -> None:
    package = vision.torchvision()
    assert vision.models() is package.models
    assert vision.datasets() is package.datasets
    assert vision.transforms().__name__ == "torchvision.transforms.v2"
    assert vision.torchvision() is package


def test_models_and_transforms_work_whatever_torchvision_was_built_for() -> None:
    model = vision.models().get_model("squeezenet1_1", weights=None, num_classes=3)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    flip = vision.transforms().RandomHorizontalFlip(p=1.0)
    assert flip(torch.arange(3, dtype=torch.uint8).reshape(1, 1, 3)).flatten().tolist() == [2, 1, 0]


def test_the_names_in_the_source_are_those_of_the_package() -> None:
    models = vision.models()
    assert sorted(vision.names_in_source()) == models.list_models(module=models)


def test_the_schemas_are_declared_at_most_once() -> None:
    vision.torchvision()
    for name in vision._SCHEMAS:
        assert hasattr(torch.ops.torchvision, name)
    assert len(vision._declared) <= 1
