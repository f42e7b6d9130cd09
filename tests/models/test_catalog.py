import re

import pytest
import torch
from torch import nn

from tui_trainer import vision
from tui_trainer.errors import ConfigError
from tui_trainer.models import catalog

SOME = ("alexnet", "inception_v3", "lenet", "regnet_y_400mf", "resnet18", "vit_b_32")


def on_meta(name: str, channels: int) -> tuple[int, ...]:
    """The shape of what a model gives for two images, built without memory."""
    size = catalog.default_size(name)
    with catalog.without_memory(name):
        model = catalog.build(name, num_classes=7, channels=channels, image_size=size)
        return tuple(model(torch.empty(2, channels, size, size)).shape)


def test_every_classification_model_of_torchvision_is_there() -> None:
    models = vision.models()
    assert set(catalog.names()) == {"lenet", "mlp", *models.list_models(module=models)}
    assert len(catalog.names()) >= 80


@pytest.mark.parametrize("name", catalog.names())
def test_every_model_takes_grey_images_and_has_an_output_for_each_class(name: str) -> None:
    assert on_meta(name, channels=1) == (2, 7)


@pytest.mark.parametrize("name", SOME)
def test_colour_images_of_the_default_size_are_taken(name: str) -> None:
    catalog.check_takes(name, num_classes=7, channels=3, image_size=catalog.default_size(name))


@pytest.mark.soak
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", catalog.names())
def test_no_model_is_refused_with_images_of_its_size(name: str, channels: int) -> None:
    catalog.check_takes(name, num_classes=7, channels=channels, image_size=catalog.default_size(name))


SLOW = [pytest.param(name, size, marks=pytest.mark.soak) for name, size in (("maxvit_t", 100), ("densenet121", 8))]


@pytest.mark.parametrize(
    ("name", "size"),
    [("lenet", 9), ("alexnet", 20), ("inception_v3", 60), ("vit_b_32", 100), SLOW[0],
     SLOW[1], ("vgg11", 16), ("squeezenet1_1", 8)],
)  # fmt: skip
def test_a_size_that_does_not_do_is_refused_with_one_that_does(name: str, size: int) -> None:
    with pytest.raises(ConfigError) as caught:
        catalog.check_takes(name, num_classes=7, channels=3, image_size=size)
    found = re.fullmatch(
        rf"{name} cannot take images of {size}x{size} with 3 channel\(s\): use --image-size (\d+)\.", str(caught.value)
    )
    assert found
    catalog.check_takes(name, num_classes=7, channels=3, image_size=int(found[1]))


@pytest.mark.parametrize(("name", "needs"), [("lenet", False), ("resnet18", False), ("squeezenet1_1", False)])
def test_what_needs_two_images_a_step_at_its_size(name: str, needs: bool) -> None:
    size = catalog.default_size(name)
    assert catalog.check_takes(name, num_classes=3, channels=3, image_size=size) is needs


def test_batch_normalisation_over_one_pixel_needs_two_images() -> None:
    assert catalog.check_takes("resnet18", num_classes=3, channels=3, image_size=32) is True
    model = catalog.build("resnet18", num_classes=3, channels=3, image_size=32).train()
    with pytest.raises(ValueError, match="more than 1 value"):
        model(torch.zeros(1, 3, 32, 32))
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_a_real_model_for_grey_images_keeps_all_but_its_first_layer() -> None:
    colour = catalog.build("resnet18", num_classes=5, channels=3, image_size=64)
    grey = catalog.build("resnet18", num_classes=5, channels=1, image_size=64)
    shapes = [{name: tuple(t.shape) for name, t in model.state_dict().items()} for model in (colour, grey)]
    differ = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert differ == {"conv1.weight"}
    assert shapes[1]["conv1.weight"] == (64, 1, 7, 7)
    assert isinstance(grey.conv1, nn.Conv2d)
    assert grey.conv1.bias is None
    assert (grey.conv1.stride, grey.conv1.padding) == (colour.conv1.stride, colour.conv1.padding)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("resnet81", "; did you mean resnet18?"),
        ("LeNet", "; did you mean lenet?"),
        ("zzzz", "."),
        ("", "."),
        ("\x1b", "."),
    ],
)
def test_a_model_that_does_not_exist_is_refused(name: str, end: str) -> None:
    for act in (catalog.build, catalog.check_takes):
        with pytest.raises(ConfigError) as caught:
            act(name, num_classes=2, channels=3, image_size=32)
        assert str(caught.value).startswith("Unknown model ")
        assert str(caught.value).endswith(end)
        assert str(caught.value).isprintable()


def test_checking_a_model_draws_nothing_from_the_generator() -> None:
    before = torch.get_rng_state()
    catalog.check_takes("resnet18", num_classes=2, channels=1, image_size=64)
    assert torch.equal(torch.get_rng_state(), before)
