from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tui_trainer.data import pipeline
from tui_trainer.data.augment import Box
from tui_trainer.data.decode import decode
from tui_trainer.data.header import Header
from tui_trainer.data.pipeline import Pipeline, Spec
from tui_trainer.data.transforms import make_square, resize_into, to_tensor

rng = np.random.default_rng(2)


def photo(height: int, width: int, ending: str = ".jpg") -> bytes:
    small = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.imencode(ending, cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def filled(made: Pipeline, data: bytes, epoch: int = 0, index: int = 0, size: int = 32) -> Tensor:
    row = torch.zeros(size, size, 3, dtype=torch.uint8)
    made.fill(data, row.numpy(), epoch, index)
    return row


def spec(resize: str = "squash", size: int = 32) -> Spec:
    return Spec(image_size=size, channels=3, resize=resize)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (300, 200), (20, 90)])
def test_evaluation_decodes_fully_and_changes_nothing(resize: str, height: int, width: int) -> None:
    data = photo(height, width)
    wanted = make_square(to_tensor(decode(data, 3)), 32, resize).permute(1, 2, 0)
    assert torch.equal(filled(Pipeline(spec(resize)), data), wanted)


@pytest.mark.parametrize("preset", ["none", "light", "standard"])
def test_training_decodes_no_more_than_the_result_shows(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, scales = photo(1200, 1600), []

    def spy(head: Header, data: bytes, channels: int, reduce: int = 1, *others: Any) -> object:
        scales.append(reduce)
        return decoded(head, data, channels, reduce, *others)

    decoded = pipeline.decoded
    monkeypatch.setattr(pipeline, "decoded", spy)
    scaled = filled(Pipeline(spec(), preset, scaled=True), data).float()
    whole = filled(Pipeline(spec(), preset), data).float()
    assert scales == [8, 1]
    assert (scaled - whole).abs().mean() < 4


@pytest.mark.parametrize("preset", ["light", "standard", "trivial", "rand"])
def test_a_result_is_a_function_of_its_address(preset: str) -> None:
    data = photo(90, 120)
    made = Pipeline(spec(), preset, 4, scaled=True)
    first = filled(made, data, 1, 2)
    assert torch.equal(filled(made, data, 1, 2), first)
    others = [filled(Pipeline(spec(), preset, 5), data, 1, 2), filled(made, data, 2, 2), filled(made, data, 1, 3)]
    assert not any(torch.equal(first, other) for other in others)


def test_about_half_of_the_crops_are_mirrored() -> None:
    pixels = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    data = cv2.imencode(".png", pixels)[1].tobytes()
    made = Pipeline(spec(), "light")
    falling = sum(bool(row[0, 0, 0] > row[0, -1, 0]) for row in (filled(made, data, 0, i) for i in range(200)))
    assert 70 < falling < 130


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(9, 11), (31, 33), (200, 90), (77, 333)])
def test_a_crop_is_mirrored_before_or_after_resampling_with_one_result(height: int, width: int, channels: int) -> None:
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    before = pixels.copy()
    made = Pipeline(Spec(image_size=32, channels=channels, resize="squash"), "light")
    rows = torch.zeros(2, 32, 32, channels, dtype=torch.uint8)
    made._cut(pixels, Box(1, 2, height - 3, width - 4, True), rows[0].numpy())
    mirrored = np.ascontiguousarray(pixels[1 : height - 2, 2 : width - 2][:, ::-1])
    resize_into(mirrored, rows[1].numpy())
    assert torch.equal(rows[0], rows[1])
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("preset", ["none", "light", "trivial"])
@pytest.mark.parametrize(("height", "width", "ending"), [(16, 24, ".jpg"), (63, 300, ".jpg"), (90, 120, ".png")])
def test_what_is_stored_gives_the_same(preset: str, height: int, width: int, ending: str) -> None:
    data, row = photo(height, width, ending), torch.zeros(32, 32, 3, dtype=torch.uint8)
    made = Pipeline(spec(), preset, scaled=True)
    stored = made.stored(data)
    assert stored is not None
    kept = stored.copy()
    for epoch in range(3):
        made.fill_from(kept, row.numpy(), epoch, 1)
        assert torch.equal(row, filled(made, data, epoch, 1))


def test_nothing_is_stored_of_which_crops_are_decoded_smaller() -> None:
    assert Pipeline(spec(), "light", scaled=True).stored(photo(64, 64)) is None


@pytest.mark.parametrize("preset", ["none", "light", "trivial"])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (240, 320), (3, 2000)])
def test_what_is_stored_gives_nearly_the_same(preset: str, height: int, width: int) -> None:
    data = photo(height, width)
    made = Pipeline(spec(), preset, scaled=True, shrinks=True)
    stored = made.stored(data)
    assert stored is not None
    assert stored.size <= max(made.most_stored, 32 * 32 * 3)
    row = torch.zeros(32, 32, 3, dtype=torch.uint8)
    kept = stored.copy()
    made.fill_from(stored, row.numpy(), 0, 1)
    assert np.array_equal(stored, kept)
    if (height, width) != (3, 2000):  # squashed to another shape, its crops are other parts
        assert (row.float() - filled(made, data, 0, 1).float()).abs().mean() < (0.01 if height < 32 else 12)
