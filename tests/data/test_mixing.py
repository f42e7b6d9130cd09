import torch

from tui_trainer.data.mixing import build_mix

IMAGES = torch.arange(4 * 1 * 8 * 8, dtype=torch.float32).reshape(4, 1, 8, 8) + 1
CLASSES = torch.tensor([0, 1, 2, 0])


def test_nothing_is_built_for_nothing() -> None:
    assert build_mix(mixup=0.0, cutmix=0.0, classes=3, seed=0) is None


def test_what_is_mixed_depends_on_its_address_alone_and_leaves_the_generator() -> None:
    mix = build_mix(mixup=0.4, cutmix=1.0, classes=3, seed=1)
    assert mix is not None
    before = torch.get_rng_state()
    images, shares = mix(IMAGES, CLASSES, 2, 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = mix(IMAGES, CLASSES, 2, 5)
    assert torch.equal(images, again[0])
    assert torch.equal(shares, again[1])
    assert not torch.equal(images, mix(IMAGES, CLASSES, 2, 6)[0])
    assert torch.allclose(shares.sum(1), torch.ones(4))


def test_mixup_gives_images_and_targets_the_same_shares() -> None:
    mix = build_mix(mixup=1.0, cutmix=0.0, classes=3, seed=1)
    assert mix is not None
    images, shares = mix(IMAGES, CLASSES, 0, 1)
    part = float((images[1] - IMAGES[0]).mean() / (IMAGES[1] - IMAGES[0]).mean())
    assert abs(float(shares[1, 1]) - part) < 1e-5
    rows, _ = mix(IMAGES[:, 0, 0], CLASSES, 0, 1)
    assert rows.shape == (4, 8)


def test_erasing_leaves_targets_as_they_are() -> None:
    erase = build_mix(mixup=0.0, cutmix=0.0, classes=3, seed=1, erasing=1.0)
    assert erase is not None
    images, targets = erase(IMAGES, CLASSES, 0, 1)
    assert targets is CLASSES
    gone = (images == 0).flatten(1).sum(1)
    assert (gone > 0).all()
    assert (gone < 64).all()
