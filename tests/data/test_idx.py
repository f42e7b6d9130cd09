import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tui_trainer.data.arguments import arguments
from tui_trainer.data.idx import read_idx
from tui_trainer.data.index import TRAIN, VAL, Index
from tui_trainer.data.sources import open_source
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError

from ..conftest import DIGITS, Told


def idx_bytes(array: Any) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_pair(folder: Path, name: str, per_class: slice, *, packed: bool = False, size: int = 28) -> None:
    """Real digits as a pair of IDX files."""
    files = [path for digit in range(10) for path in sorted((DIGITS / str(digit)).glob("*.png"))[per_class]]
    images = np.stack([cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (size, size)) for path in files])
    labels = np.array([int(path.parent.name) for path in files])
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = idx_bytes(array)
        path = folder / f"{name}-{kind}-ubyte"
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data)) if packed else path.write_bytes(data)


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As MNIST lies on disk, with 700 and 200 images; do not write into it."""
    root = tmp_path_factory.mktemp("idx")
    write_pair(root / "MNIST" / "raw", "train", slice(0, 70))
    write_pair(root / "MNIST" / "raw", "t10k", slice(70, 90))
    return root


def opened(path: Path | str, **settings: Any) -> Index:
    return open_source(DataConfig(data=str(path), **settings), 0)


def test_a_folder_of_idx_files_has_its_test_pair_as_validation_part(mnist: Path) -> None:
    index = opened(mnist / "MNIST" / "raw")
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (700, 200)
    assert index.classes == tuple("0123456789")
    assert opened(mnist).fingerprint() == index.fingerprint()  # found below, as torchvision puts it


@pytest.mark.parametrize("packed", [False, True])
def test_one_pair_is_split(tmp_path: Path, packed: bool) -> None:
    write_pair(tmp_path, "train", slice(0, 10), packed=packed)
    index = opened(tmp_path / f"train-images-idx3-ubyte{'.gz' * packed}")
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (80, 20)
    write_pair(tmp_path, "other", slice(10, 13))
    index = opened(
        tmp_path / f"train-images-idx3-ubyte{'.gz' * packed}", val_data=str(tmp_path / "other-images-idx3-ubyte")
    )
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (100, 30)


def test_the_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    from tui_trainer.data.datasets import ImageDataset
    from tui_trainer.data.pipeline import Spec

    write_pair(tmp_path, "train", slice(0, 3), size=8)
    pixels = read_idx(tmp_path / "train-images-idx3-ubyte", 3)
    dataset = ImageDataset(opened(tmp_path), Spec(image_size=8, channels=1, resize="squash"))
    for i in range(len(pixels)):
        image = dataset[0, i].image
        assert image is not None
        assert np.array_equal(image.numpy()[:, :, 0], pixels[i])


def test_damaged_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    write_pair(tmp_path, "train", slice(0, 3))
    images, labels = (tmp_path / f"train-{name}-ubyte" for name in ("images-idx3", "labels-idx1"))
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="is damaged: its header says"):
        opened(images)
    images.write_bytes(b"\0\0\x0d\3" + whole[4:])
    with pytest.raises(DataError, match="is not an IDX file of 3"):
        opened(images)
    images.write_bytes(whole[:4] + b"\xff" * 12 + whole[16:])
    with pytest.raises(DataError, match="more than is read into memory"):
        opened(images)
    images.write_bytes(whole)
    labels.unlink()
    with pytest.raises(DataError, match="has no labels: put train-labels-idx1-ubyte beside it"):
        opened(images)


def test_the_recipe_of_the_tutorial_is_one_command(run_cli: Callable[..., Told], mnist: Path, tmp_path: Path) -> None:
    told = run_cli("--no-tui", "--json", mnist, "--epochs", 6, "--output-dir", tmp_path / "run")
    assert told.code == 0, told.err
    assert told.json["metrics"]["val_top1"] > 0.5
    assert "700 training and 200 validation images" in told.err
    again = run_cli("--no-tui", "--json", "-c", tmp_path / "run" / "config.toml", "--output-dir", tmp_path / "b")
    assert again.json["metrics"] == told.json["metrics"]
    assert run_cli("data", mnist, "--json").json["images"] == 900


def test_torchvision_finds_its_files_on_disk(mnist: Path, run_cli: Callable[..., Told], tmp_path: Path) -> None:
    from tui_trainer import vision

    if not hasattr(vision.datasets(), "MNIST"):
        pytest.skip("torchvision is not whole here")
    root = tmp_path / "root"
    shutil.copytree(mnist, root)
    for end in ("images-idx3-ubyte", "labels-idx1-ubyte"):  # torchvision asks for all four of MNIST's names
        assert (root / "MNIST" / "raw" / f"t10k-{end}").exists()
    index = opened("torchvision:MNIST", data_root=str(root))
    assert (len(index.part(TRAIN)), len(index.part(VAL))) == (700, 200)
    assert index.classes[0].startswith("0")
    words = ("--data", "torchvision:MNIST", "--data-root", root, "--epochs", 1, "--output-dir", tmp_path / "run")
    told = run_cli("--no-tui", "--json", *words)
    assert told.code == 0, told.err


def test_a_dataset_that_is_not_there_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from urllib.error import URLError

    from tui_trainer import vision

    def offline(self: Any) -> None:
        raise URLError("offline")

    monkeypatch.setattr(vision.datasets().MNIST, "download", offline)
    with pytest.raises(DataError, match=r"MNIST is neither in .* put train-images-idx3-ubyte.gz, .* into MNIST/raw"):
        opened("torchvision:MNIST", data_root=str(tmp_path))
    with pytest.raises(ConfigError, match="torchvision has no dataset MNISTT; did you mean MNIST"):
        opened("torchvision:MNISTT", data_root=str(tmp_path))


def test_arguments_are_read_as_toml() -> None:
    given = ("a=1", "b=true", "c=letters", 'd="x"', "e=[1, 2]")
    assert arguments(given) == {"a": 1, "b": True, "c": "letters", "d": "x", "e": [1, 2]}
    with pytest.raises(ConfigError, match="write NAME=VALUE"):
        arguments(("1a=2",))
