import os
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tui_trainer.data import pipeline
from tui_trainer.data.datasets import EpochOrder, ImageDataset, Spec, collate
from tui_trainer.data.folders import scan
from tui_trainer.data.index import Index
from tui_trainer.data.jpeg import decoded_part

SPEC = Spec(image_size=16, channels=3, resize="squash")


@pytest.fixture(scope="module")
def index(colour24: Path) -> Index:
    return scan(colour24, None, 0.25, 0)


def order(seed: int, epoch: int, *, shuffle: bool = True, start: int = 0, length: int = 50) -> list[int]:
    made = EpochOrder(torch.arange(100, 150), shuffle=shuffle, seed=seed, length=length)
    made.epoch, made.start = epoch, start
    addresses = list(made)
    assert len(addresses) == len(made)
    assert {address[0] for address in addresses} <= {epoch}
    return [address[1] for address in addresses]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert order(0, 0) == first
    assert sorted(first) == list(range(100, 150))
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_asking_for_an_order_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    order(0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_order_can_be_entered_and_left_early() -> None:
    whole = order(5, 2)
    assert order(5, 2, start=17) == whole[17:]
    assert order(5, 2, length=40) == whole[:40]
    assert order(5, 2, start=50) == []


def test_without_shuffle_it_is_the_order_on_disk() -> None:
    assert order(5, 2, shuffle=False) == list(range(100, 150))


def test_a_sample_is_a_square_with_its_target_and_name(index: Index) -> None:
    dataset = ImageDataset(index, SPEC)
    assert len(dataset) == 24
    sample = dataset[0, 13]
    assert sample.image is not None
    assert sample.image.shape == (16, 16, 3)
    assert sample.image.dtype == torch.uint8
    assert (sample.target, sample.name, sample.reason) == (1, index.name(13), "")
    means = sample.image.float().mean((0, 1))
    assert means[0] > means[1] + 50  # of class "red", in RGB
    assert means[0] > means[2] + 50


@pytest.mark.parametrize("augment", ["none", "light"])
def test_a_sample_does_not_depend_on_which_others_are_read(index: Index, augment: str) -> None:
    dataset = ImageDataset(index, SPEC, augment, seed=4)
    alone = dataset[3, 7].image
    together = [dataset[3, i].image for i in range(24)][7]
    backwards = [dataset[3, i].image for i in reversed(range(24))][-8]
    assert torch.equal(alone, together)
    assert torch.equal(alone, backwards)
    assert torch.equal(alone, dataset[4, 7].image) is (augment == "none")


def test_a_file_that_cannot_be_read_is_named_and_left_out(index: Index, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bad.png").write_bytes(b"<html>")
        (tmp_path / name / "good.png").write_bytes(Path(os.fsdecode(index.path(1))).read_bytes())
    dataset = ImageDataset(scan(tmp_path, None, 0.5, 0), SPEC)
    batch = collate([dataset[0, i] for i in range(4)])
    assert batch.inputs.shape == (2, 16, 16, 3)
    assert batch.targets.tolist() == [0, 1]
    assert batch.bad == [
        (b"a/bad.png", "an HTML page, which is not read"),
        (b"b/bad.png", "an HTML page, which is not read"),
    ]
    nothing = collate([dataset[0, 0]])
    assert (len(nothing.targets), len(nothing.inputs), len(nothing.bad)) == (0, 0, 1)


def test_a_dataset_that_was_sent_to_a_worker_gives_the_same(index: Index) -> None:
    import pickle

    dataset = ImageDataset(index, SPEC, "standard", seed=1)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[1, 2].image, dataset[1, 2].image)


def of_jpegs(root: Path, damage: bool) -> ImageDataset:
    """Eight noisy photos of two classes; `damage`: some bytes are missing in the middle of each."""
    rng = np.random.default_rng(3)
    for number in range(8):
        path = root / str(number % 2) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".jpg", rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))[1].tobytes()
        path.write_bytes(data[: len(data) * 3 // 4] + data[len(data) * 3 // 4 + 1000 * damage :])
    return ImageDataset(scan(root, None, 0.25, 0), SPEC, "light", training=True, least=0.1)


def test_a_damaged_photo_is_bad_in_every_epoch_however_little_of_it_is_needed(tmp_path: Path) -> None:
    dataset = of_jpegs(tmp_path, damage=True)
    bad = [{name for name, _ in dataset.read([(epoch, i) for i in range(8)]).bad} for epoch in range(6)]
    assert bad[0]
    assert bad == bad[:1] * 6


def test_once_decoded_whole_a_photo_is_decoded_as_far_as_its_crop_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")
    parts = list[bool]()

    def spy(*given: Any) -> Any:
        parts.append((found := decoded_part(*given)) is not None)
        return found

    monkeypatch.setattr(pipeline, "decoded_part", spy)
    dataset = of_jpegs(tmp_path, damage=False)
    dataset.read([(0, i) for i in range(8)])
    assert parts == []
    addresses = [(epoch, i) for epoch in range(1, 5) for i in range(8)]
    in_parts = dataset.read(addresses).inputs
    assert sum(parts) > 8
    del parts[:]
    in_a_worker = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(torch.cat([in_a_worker.read([address]).inputs for address in addresses[:8]]), in_parts[:8])
    assert parts == []
    monkeypatch.setattr(pipeline, "decoded_part", lambda *_: None)
    assert torch.equal(dataset.read(addresses).inputs, in_parts)
