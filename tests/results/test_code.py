"""The code that the setup screens show: it is Python, it follows the settings, and it computes what a run computes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import DIGITS, ROOT
from tests.test_settings import values_of
from tui_trainer.config import SETTINGS, Config, build
from tui_trainer.errors import ConfigError
from tui_trainer.results.code import code_of
from tui_trainer.tui.keys import STEPS

SETUP = STEPS[:-1]
SHOWN = {  # setting -> a value, and what its step's code then says
    "image_size": (48, "SIZE = 48\n"),
    "resize": ("pad", "the rest is black"),
    "augment": ("standard", "def change(image, random)"),
    "batch_size": (7, "batch_size=7"),
    "num_workers": (3, "num_workers=3, persistent_workers=True"),
    "sampler": ("weighted", "WeightedRandomSampler(weights"),
    "collate_fn": ("mine.py:join", "from mine import join"),
    "drop_last": (True, "drop_last=True"),
    "shuffle": (False, "return members"),
    "model": ("resnet18", "models.get_model('resnet18'"),
    "pretrained": ("w.pth", "torch.load('w.pth'"),
    "freeze": (("conv1",), "name.startswith('conv1.')"),
    "lr_scheduler": ("cosine", "math.cos"),
    "optimizer": ("adamw", "torch.optim.AdamW"),
    "label_smoothing": (0.1, "label_smoothing=0.1"),
    "mixup": (0.2, "v2.MixUp(alpha=0.2"),
    "model_ema": (True, "AveragedModel(model"),
    "class_weights": (("balanced",), "class_weights = balanced"),
    "clip_grad_norm": (1.0, "clip_grad_norm_(model.parameters(), 1.0)"),
    "amp": (True, "# amp = true"),
}


def values(**changed: Any) -> dict[str, Any]:
    return Config().values() | {"data": str(DIGITS)} | changed


@pytest.mark.parametrize("name", SHOWN)
def test_it_follows_the_settings(name: str) -> None:
    value, expected = SHOWN[name]
    step = {"data": "data", "loader": "loader", "model": "weights", "recipe": "recipe"}[SETTINGS[name].table]
    assert expected not in code_of(step, values())
    code = code_of(step, values(**{name: value}))
    ast.parse(code)
    assert expected in code


CHANGES = st.dictionaries(st.sampled_from(sorted(SETTINGS)), st.none(), max_size=6).flatmap(
    lambda names: st.fixed_dictionaries({name: values_of(SETTINGS[name]) for name in names})
)


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_whatever_is_set_it_is_python(changed: dict[str, Any]) -> None:
    try:
        made = build(values() | changed).values()
    except ConfigError:
        return
    for step in SETUP:
        ast.parse(code_of(step, made))


def test_every_source_has_its_code() -> None:
    tables = {"numbers.csv": "TensorDataset", "digits_manifest.csv": "class Images(Dataset)"}
    sources = {str(ROOT / "sample_data" / name): text for name, text in tables.items()}
    more = {"torchvision:MNIST": "datasets.MNIST(", "my.py:Mine": "from my import Mine"}
    more |= {"sqlite:///a.db": "create_engine('sqlite:///a.db')", "shard-{0..3}.tar": "WebDataset('shard-{0..3}.tar'"}
    more |= {"log.jsonl.gz": "json.loads(line)"}
    for source, expected in (sources | more).items():
        code = code_of("data", values(data=source))
        ast.parse(code)
        assert expected in code


def test_the_pieces_together_train_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = sorted(folder.name for folder in DIGITS.iterdir())
    rows = [f"{image.relative_to(DIGITS)},{image.parent.name},{'val' if n % 5 == 0 else 'train'}"
            for n, image in enumerate(sorted(DIGITS.glob("*/*_00?.png")))]  # fmt: skip
    (tmp_path / "split.csv").write_text("\n".join(["path,target,part", *rows]) + "\n")
    given = values(channels=1, epochs=1, lr=0.05, mean=(0.5,), std=(0.5,))
    pieces = [code_of(step, given) for step in SETUP]
    globals_: dict[str, Any] = {"DEVICE": torch.device("cpu"), "epoch": 0}
    with torch.random.fork_rng(devices=[]):
        exec(pieces[0] + "train, val = list(train), list(val)\n" + "BATCH_SIZE = 32\n", globals_)
        globals_["normalize"] = lambda images: images.float() / 127.5 - 1
        for piece in pieces[1:]:
            exec(piece, globals_)
    assert globals_["CLASSES"] == classes
    assert 0 <= globals_["val_top1"] <= 1
    assert globals_["val_loss"] < 2.4


def test_it_is_there_before_torch() -> None:
    look = "import sys; from tui_trainer.results.code import code_of; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", look], check=True)
