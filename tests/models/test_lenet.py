import pytest
import torch

from tui_trainer.models.lenet import LeNet

TUTORIAL = {
    "conv1.weight": (6, 1, 3, 3), "conv1.bias": (6,), "conv2.weight": (16, 6, 3, 3), "conv2.bias": (16,),
    "fc1.weight": (120, 16 * 6 * 6), "fc1.bias": (120,), "fc2.weight": (84, 120), "fc2.bias": (84,),
    "fc3.weight": (10, 84), "fc3.bias": (10,),
}  # fmt: skip


def test_names_and_shapes_are_the_tutorials() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in LeNet().state_dict().items()}
    assert shapes == TUTORIAL
    assert list(shapes) == list(TUTORIAL)
    assert [name for name, _ in LeNet().named_children()] == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]


def test_it_computes_what_the_tutorial_computes() -> None:
    model, x = LeNet(), torch.randn(2, 1, 32, 32)
    y = torch.nn.functional.max_pool2d(torch.relu(model.conv1(x)), 2, 2)
    y = torch.nn.functional.max_pool2d(torch.relu(model.conv2(y)), 2, 2)
    y = torch.relu(model.fc2(torch.relu(model.fc1(y.reshape(2, -1)))))
    assert torch.equal(model(x), model.fc3(y))
    assert model(x).shape == (2, 10)


@pytest.mark.parametrize(("classes", "channels"), [(2, 1), (7, 3)])
def test_classes_and_channels(classes: int, channels: int) -> None:
    assert LeNet(classes, channels)(torch.zeros(1, channels, 32, 32)).shape == (1, classes)
