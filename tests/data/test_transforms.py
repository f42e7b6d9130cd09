import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tui_trainer import vision
from tui_trainer.data.transforms import (
    Normalize,
    address,
    addressed,
    build_augment,
    make_square,
    resample,
    statistics,
    to_tensor,
)

rng = np.random.default_rng(3)
PRESETS = ("light", "standard", "trivial", "rand")


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth with edges and noise."""
    y, x = np.mgrid[:height, :width]
    waves = 127 + 80 * np.sin(x / 5)[..., None] * np.cos(y / 7)[..., None] * np.ones(channels)
    waves[height // 3 : height // 2] = 255
    return np.clip(waves + rng.normal(0, 20, (height, width, channels)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (60, 80), (200, 133), (500, 37), (1, 9), (32, 32)])
@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_resampler_is_pillows(height: int, width: int, size: int, channels: int) -> None:
    pixels = picture(height, width, channels)
    mine = resample(to_tensor(pixels), size, size).permute(1, 2, 0).numpy().astype(int)
    image = (
        Image.fromarray(pixels.squeeze() if channels == 1 else pixels, "L" if channels == 1 else "RGB")
        if height > 1 or channels == 3
        else Image.fromarray(pixels[:, :, 0])
    )
    theirs = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).astype(int).reshape(mine.shape)
    assert np.abs(mine - theirs).max() <= 1


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.sampled_from(["squash", "crop", "pad"]),
    st.sampled_from([1, 3]),
)
def test_every_shape_becomes_a_square_of_bytes(height: int, width: int, size: int, mode: str, channels: int) -> None:
    square = make_square(to_tensor(np.full((height, width, channels), 200, np.uint8)), size, mode)
    assert square.shape == (channels, size, size)
    assert square.dtype == torch.uint8
    if mode != "pad":
        assert (square == 200).all()


def halves(wide: bool) -> torch.Tensor:
    """40 x 20 or 20 x 40: four bands of 10, values 10, 100, 150, 240."""
    bands = torch.tensor([10, 100, 150, 240], dtype=torch.uint8).repeat_interleave(10)
    return bands.expand(1, 20, 40) if wide else bands[:, None].expand(1, 40, 20)


@pytest.mark.parametrize("wide", [True, False])
def test_squash_keeps_everything(wide: bool) -> None:
    square = make_square(halves(wide), 20, "squash")[0]
    line = square[10] if wide else square[:, 10]
    assert line.tolist()[2::5] == [10, 100, 150, 240]


@pytest.mark.parametrize("wide", [True, False])
def test_crop_keeps_the_centre(wide: bool) -> None:
    square = make_square(halves(wide), 20, "crop")[0]
    line = square[10] if wide else square[:, 10]
    assert line.tolist() == [100] * 10 + [150] * 10


@pytest.mark.parametrize("wide", [True, False])
def test_pad_keeps_everything_between_black_bars(wide: bool) -> None:
    square = make_square(halves(wide), 20, "pad")[0]
    along, across = (square[10], square[:, 1]) if wide else (square[:, 10], square[1])
    assert along.tolist()[2::5] == [10, 100, 150, 240]
    assert across.tolist() == [0] * 5 + [10] * 10 + [0] * 5


def test_a_square_of_the_right_size_is_not_touched() -> None:
    image = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)
    for mode in ("squash", "crop", "pad"):
        assert torch.equal(make_square(image, 32, mode), image)


def test_an_extreme_shape_keeps_a_pixel() -> None:
    assert make_square(torch.full((1, 1, 5000), 9, dtype=torch.uint8), 8, "pad").count_nonzero() == 8


def test_normalize_is_torchvisions() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    mine = Normalize(mean, std, torch.device("cpu"))(torch.from_numpy(pixels))
    v2 = vision.transforms()
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    wanted = torch.stack([theirs(Image.fromarray(image)) for image in pixels])
    assert mine.shape == (4, 3, 16, 16)
    assert mine.dtype == torch.float32
    torch.testing.assert_close(mine, wanted.as_subclass(torch.Tensor), rtol=1e-5, atol=1e-5)


def test_normalize_leaves_the_bytes_alone_and_takes_grey() -> None:
    images = torch.full((2, 4, 4, 1), 255, dtype=torch.uint8)
    out = Normalize((0.5,), (0.25,), torch.device("cpu"))(images)
    assert out.unique().tolist() == [2.0]
    assert images.unique().tolist() == [255]


def test_statistics_are_numpys() -> None:
    images = [picture(20, 20), picture(20, 20)]
    mean, std = statistics([torch.from_numpy(image) for image in images])
    together = np.stack(images).reshape(-1, 3) / 255
    assert mean == pytest.approx(together.mean(0), abs=1e-6)
    assert std == pytest.approx(together.std(0), abs=1e-6)


def test_a_constant_channel_has_a_deviation_that_can_divide() -> None:
    assert statistics([torch.full((4, 4, 1), 51, dtype=torch.uint8)]) == ((0.2,), (1.0,))


# Randomness with an address -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_augmentation_is_a_function_of_its_address(preset: str, channels: int) -> None:
    augment = build_augment(preset, 24)
    assert augment is not None
    image = to_tensor(picture(40, 30, channels))
    first = addressed(augment, image, 1, 2, 3)
    assert first.shape == (channels, 24, 24)
    assert first.dtype == torch.uint8
    torch.rand(5)  # what was drawn in between is of no consequence
    assert torch.equal(addressed(augment, image, 1, 2, 3), first)
    others = [addressed(augment, image, *at) for at in ((9, 2, 3), (1, 9, 3), (1, 2, 9))]
    assert not any(torch.equal(other, first) for other in others)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_global_generator_is_left_as_it_was(preset: str) -> None:
    augment = build_augment(preset, 24)
    assert augment is not None
    before = torch.get_rng_state()
    addressed(augment, to_tensor(picture(30, 30)), 1, 2, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_augmentation_is_none() -> None:
    assert build_augment("none", 24) is None


def test_addresses_do_not_meet() -> None:
    seen = {
        address(seed, epoch, index) for seed in (0, 1, 2**32 - 1) for epoch in range(20) for index in range(-1, 300)
    }
    assert len(seen) == 3 * 20 * 301
    assert all(0 <= number < 2**63 for number in seen)
    bits = np.array([[number >> bit & 1 for bit in range(63)] for number in sorted(seen)])
    assert (np.abs(bits.mean(0) - 0.5) < 0.03).all()
