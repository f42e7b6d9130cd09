import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tui_trainer import vision
from tui_trainer.data.transforms import (
    Normalize,
    Random,
    address,
    make_square,
    resample,
    resize_into,
    resize_turned_into,
    shrink_turned_into,
    square_of,
    statistics,
    to_tensor,
)

rng = np.random.default_rng(3)


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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (61, 83), (500, 37), (1, 9), (32, 32)])
def test_resampling_into_a_row_is_the_same(height: int, width: int, channels: int) -> None:
    pixels = picture(height, width, channels)
    rows = torch.zeros(3, 32, 32, channels, dtype=torch.uint8)
    resize_into(pixels, rows[1].numpy())
    assert torch.equal(rows[1].permute(2, 0, 1), resample(to_tensor(pixels), 32, 32))
    assert not rows[0].any()
    assert not rows[2].any()


@pytest.mark.parametrize("channels", [1, 3])
@given(height=st.integers(1, 90), width=st.integers(1, 90), part=st.booleans())
@example(height=24, width=32, part=True)
@example(height=24, width=50, part=True)
@example(height=50, width=32, part=False)
def test_from_exchanged_rows_and_columns_the_same_comes_out(channels: int, height: int, width: int, part: bool) -> None:
    pixels = picture(height, width, channels)
    rows = torch.zeros(2, 3, 24, 32, channels, dtype=torch.uint8)
    room = np.zeros((width + 3, height + 5, channels), np.uint8)
    room[2 : 2 + width, 4 : 4 + height] = pixels.transpose(1, 0, 2)
    turned = room[2 : 2 + width, 4 : 4 + height]
    resize_into(pixels, rows[0, 1].numpy())
    resize_turned_into(turned if part else np.ascontiguousarray(turned), rows[1, 1].numpy())
    assert torch.equal(rows[0], rows[1])
    assert np.array_equal(turned, pixels.transpose(1, 0, 2))


@pytest.mark.parametrize("channels", [1, 3])
@given(height=st.integers(24, 90), width=st.integers(32, 90))
@example(height=24, width=32)
def test_an_exchanged_smaller_image_is_one_resampled_in_two_steps(channels: int, height: int, width: int) -> None:
    pixels = picture(height, width, channels)
    rows, turned = torch.zeros(24, 32, channels, dtype=torch.uint8), np.zeros((32, 24, channels), np.uint8)
    lower = torch.zeros(24, width, channels, dtype=torch.uint8)
    resize_into(pixels, lower.numpy())
    resize_into(lower.numpy(), rows.numpy())
    shrink_turned_into(pixels, turned)
    assert np.array_equal(turned, rows.numpy().transpose(1, 0, 2))


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


def test_crop_rounds_as_torchvision_does() -> None:
    assert square_of(375, 500, 224, "crop") == (224, 298)
    line = torch.arange(11, dtype=torch.uint8).expand(1, 6, 11)
    assert make_square(line, 6, "crop")[0, 0].tolist() == [2, 3, 4, 5, 6, 7]  # Python rounds halves to even


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


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalize_is_torchvisions(channels_last: bool) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    mine = Normalize(mean, std, torch.device("cpu"), channels_last=channels_last)(torch.from_numpy(pixels))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert mine.is_contiguous(memory_format=layout)
    v2 = vision.transforms()
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    wanted = torch.stack([theirs(Image.fromarray(image)) for image in pixels])
    assert mine.shape == (4, 3, 16, 16)
    assert mine.dtype == torch.float32
    torch.testing.assert_close(mine, wanted.as_subclass(torch.Tensor), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 30, 32, 65])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_both_layouts_hold_the_same_numbers_within_rounding(size: int, channels: int) -> None:
    images = torch.from_numpy(rng.integers(0, 256, (3, size, size, channels), dtype=np.uint8))
    args = (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels], torch.device("cpu")
    planes, last = Normalize(*args)(images), Normalize(*args, channels_last=True)(images)
    torch.testing.assert_close(planes, last.contiguous(), rtol=0, atol=5e-7)
    assert torch.equal(Normalize(*args)(images[:0]), planes[:0])
    assert torch.equal(Normalize(*args)(images[1:]), planes[1:])
    made = Normalize(*args)
    assert torch.equal(planes, torch.addcmul(made._shift, images.float(), made._scale).permute(0, 3, 1, 2))


def test_normalize_leaves_the_bytes_alone_and_takes_grey() -> None:
    images = torch.full((2, 4, 4, 1), 255, dtype=torch.uint8)
    out = Normalize((0.5,), (0.25,), torch.device("cpu"))(images)
    assert out.unique().tolist() == pytest.approx([2.0])
    assert images.unique().tolist() == [255]


def test_a_normalised_batch_stays_while_it_is_held_and_its_memory_is_used_again() -> None:
    normalize = Normalize((0.0,), (1.0,), torch.device("cpu"))
    first = normalize(torch.full((2, 4, 4, 1), 51, dtype=torch.uint8))
    second = normalize(torch.full((2, 4, 4, 1), 102, dtype=torch.uint8))
    assert first.unique().tolist() == pytest.approx([0.2])
    where = second.data_ptr()
    del second
    assert normalize(torch.zeros(1, 4, 4, 1, dtype=torch.uint8)).data_ptr() == where


def test_statistics_are_numpys() -> None:
    images = [picture(20, 20), picture(20, 20)]
    mean, std = statistics([torch.from_numpy(image) for image in images])
    together = np.stack(images).reshape(-1, 3) / 255
    assert mean == pytest.approx(together.mean(0), abs=1e-6)
    assert std == pytest.approx(together.std(0), abs=1e-6)


def test_a_constant_channel_has_a_deviation_that_can_divide() -> None:
    assert statistics([torch.full((4, 4, 1), 51, dtype=torch.uint8)]) == ((0.2,), (1.0,))


# Randomness with an address -------------------------------------------------------------------------------------------


def test_random_numbers_are_a_function_of_their_address_and_even() -> None:
    before = torch.get_rng_state()
    numbers = [Random(0, 1, index).uniform() for index in range(4000)]
    assert numbers == [Random(0, 1, index).uniform() for index in range(4000)]
    assert torch.equal(torch.get_rng_state(), before)
    one = Random(7, 0, 0)
    for drawn in (numbers, [one.uniform() for _ in range(4000)]):
        counts = np.histogram(drawn, 10, (0, 1))[0]
        assert counts.sum() == 4000
        assert (abs(counts - 400) < 100).all()
    assert {Random(1, 0, index).below(3) for index in range(50)} == {0, 1, 2}
    assert all(2 <= Random(1, 2, index).uniform(2, 5) < 5 for index in range(50))


def test_addresses_do_not_meet() -> None:
    seen = {
        address(seed, epoch, index) for seed in (0, 1, 2**32 - 1) for epoch in range(20) for index in range(-1, 300)
    }
    assert len(seen) == 3 * 20 * 301
    assert all(0 <= number < 2**63 for number in seen)
    bits = np.array([[number >> bit & 1 for bit in range(63)] for number in sorted(seen)])
    assert (np.abs(bits.mean(0) - 0.5) < 0.03).all()
