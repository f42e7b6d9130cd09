import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tui_trainer import vision
from tui_trainer.data import augment
from tui_trainer.data.augment import build_change, random_box
from tui_trainer.data.transforms import Random

PRESETS = ("standard", "trivial", "rand")


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(0.01, 1), st.integers(0, 99))
def test_a_crop_lies_in_the_image(height: int, width: int, least: float, index: int) -> None:
    box = random_box(height, width, least, Random(0, 0, index))
    assert 0 <= box.top <= box.top + box.height <= height
    assert 0 <= box.left <= box.left + box.width <= width
    assert box.height >= 1
    assert box.width >= 1


def test_crops_are_distributed_as_torchvisions() -> None:
    v2 = vision.transforms()
    theirs = v2.RandomResizedCrop(8, scale=(0.08, 1.0))
    torch.manual_seed(0)
    image = torch.empty(3, 300, 400)
    wanted = [theirs.make_params([image]) for _ in range(3000)]
    boxes = [random_box(300, 400, 0.08, Random(0, 0, index)) for index in range(3000)]
    for name in ("top", "left", "height", "width"):
        a = np.array([getattr(box, name) for box in boxes])
        b = np.array([params[name] for params in wanted])
        assert np.quantile(a, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(b, [0.1, 0.5, 0.9]), abs=14)
    assert np.mean([box.flip for box in boxes]) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_is_a_function_of_its_address(preset: str, channels: int) -> None:
    change = build_change(preset)
    assert change is not None
    image = torch.randint(0, 256, (channels, 24, 24), dtype=torch.uint8)
    before, given = torch.get_rng_state(), image.clone()
    made = [change(image, Random(1, 2, index)) for index in range(30)]
    assert all(torch.equal(change(image, Random(1, 2, index)), made[index]) for index in range(30))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(image, given)
    assert {(m.dtype, m.shape) for m in made} == {(torch.uint8, image.shape)}
    assert len({bytes(m.flatten().tolist()) for m in made}) > 8


def test_light_and_none_change_nothing_but_the_crop() -> None:
    assert build_change("light") is None
    assert build_change("none") is None


def test_every_operation_is_torchvisions() -> None:
    v2 = vision.transforms()
    for theirs in (v2.TrivialAugmentWide(), v2.RandAugment()):
        assert len(theirs._AUGMENTATION_SPACE) == len(augment._SPACE)
    image = torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8)
    for name in augment._SPACE:
        assert augment._applied(name, image, 0.5, Random(0, 0, 0)).shape == image.shape
