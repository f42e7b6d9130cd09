"""One pass gives what two give, for any batch, and is left where it does not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tui_trainer.data import one_pass
from tui_trainer.data.block import Block
from tui_trainer.data.one_pass import OnePass, build_one_pass
from tui_trainer.data.transforms import Normalize

MEAN, STD, CPU = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu")
rng = np.random.default_rng(4)


def batch(count: int, size: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8))


def built(channels: int = 3) -> OnePass:
    scale = torch.tensor([1 / (255 * s) for s in STD[:channels]])
    made = build_one_pass(scale, torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=False)][:channels]))
    if made is None:
        pytest.skip("not on this processor, or with this torch")
    return made


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 64, 224])
def test_it_is_the_formula_for_any_batch(size: int, channels: int) -> None:
    images, made = batch(3, size, channels), built(channels)
    out = made(images)
    mean, std = (torch.tensor(values[:channels], dtype=torch.float64) for values in (MEAN, STD))
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert ((images.double() / 255 - mean) / std - out).abs().max() < 5e-7
    assert torch.equal(made(images[1:]), out[1:])
    torch.set_num_threads(2)
    try:
        assert torch.equal(made(images), out)
    finally:
        torch.set_num_threads(1)


def test_large_batches_take_it_and_those_that_do_not_fit_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    built()
    taken: list[int] = []
    once = OnePass.__call__

    def counted(self: OnePass, images: torch.Tensor) -> torch.Tensor:
        taken.append(len(images))
        return once(self, images)

    monkeypatch.setattr(OnePass, "__call__", counted)
    normalize = Normalize(MEAN, STD, CPU, channels_last=True)
    images = batch(2, 224)
    out, wanted = normalize(images), Normalize(MEAN, STD, CPU)(images)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, wanted.contiguous(memory_format=torch.channels_last), rtol=0, atol=5e-7)
    assert taken[-1] == 2
    taken.clear()
    for other in (batch(2, 225), images[:0], batch(2, 32), images[:, :, :220]):  # no whole lanes, or too few values
        assert normalize(other).shape == other.permute(0, 3, 1, 2).shape
    assert not taken


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "size"), [(5, 16), (4, 33), (32, 28), (32, 32), (8, 128)])
def test_a_batch_of_a_block_is_what_it_is_alone(count: int, size: int, channels: int, channels_last: bool) -> None:
    images = batch(3 * count, size, channels)
    block = Block(images, torch.zeros(3 * count), count)
    normalize = Normalize(MEAN[:channels], STD[:channels], CPU, channels_last=channels_last)
    for place in (2, 0, 1):
        alone = normalize(images[place * count : (place + 1) * count])
        of_it = normalize.part(block, place)
        assert torch.equal(of_it, alone)
        assert of_it.stride() == alone.stride()
        assert of_it.data_ptr() != alone.data_ptr()


def wrong(*given: Any) -> torch.Tensor:
    """One unit in the last place too much."""
    return torch.ops.onednn.qconv2d_pointwise(*given).nextafter(torch.tensor(torch.inf))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "found",
    [
        SimpleNamespace(),
        SimpleNamespace(qconv_prepack=torch.ops.onednn.qconv_prepack, qconv2d_pointwise=wrong),
        SimpleNamespace(qconv_prepack=torch.ops.aten.add),
    ],
)
def test_a_torch_that_computes_something_else_is_noticed(found: object, monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(2, 224)
    monkeypatch.setattr(one_pass, "_OPS", found)
    normalize = Normalize(MEAN, STD, CPU, channels_last=True)
    assert torch.equal(normalize(images), Normalize(MEAN, STD, CPU)(images))
    assert normalize._one_pass is None
