"""A trained model from its weight file alone: no dataset, no configuration, wherever the run folder lies now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.index import CLASSIFICATION, REGRESSION, TASKS
from tui_trainer.errors import ConfigError, WeightsError
from tui_trainer.models import catalog
from tui_trainer.results.preprocessing import Preprocessing, Targets, targets_of, texts, validation_preprocessing
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.text import display, user_path

WEIGHTS = ("best", "final")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model in eval with all that a prediction needs. `folder`: its run, if the weights lie in one."""

    path: Path
    folder: RunFolder | None
    name: str
    task: str
    classes: tuple[str, ...]
    targets: Targets
    preprocessing: Preprocessing
    model: nn.Module
    device: torch.device
    metadata: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False  # whether code of the user's own may run

    def __post_init__(self) -> None:
        self.model.requires_grad_(requires_grad=False).eval()

    @property
    def epoch(self) -> str:
        """How many epochs it was trained for, as its file says."""
        return self.metadata.get("epoch", "")

    @property
    def names(self) -> tuple[str, ...]:
        """What each output stands for."""
        return self.classes or self.targets.names

    @torch.inference_mode()
    def outputs(self, images: Tensor) -> Tensor:
        """Images (N, S, S, C) uint8, rows (N, F) or items (N, ...) to outputs (N, C) float32 on the CPU.

        Of numbers to predict they are in their own unit.

        Raises:
            WeightsError: one of them is not a finite number.
        """
        normalize = self.preprocessing.normalize(self.device)
        outputs: Tensor = self.model(normalize(images.to(self.device))).float().cpu()
        if not torch.isfinite(outputs).all():
            raise WeightsError(f"{display(self.path)} gives NaN or infinite outputs: test other weights of the run.")
        if self.task != REGRESSION:
            return outputs
        return outputs * torch.tensor(self.targets.std) + torch.tensor(self.targets.mean)


def weight_file(run: str, weights: str = "") -> tuple[Path, RunFolder | None]:
    """The file that a person means by a run's folder or name, or by a file; `weights` is best, final, or either.

    Raises:
        WeightsError: there is none.
        ConfigError: there is no such run.
    """
    path = user_path(run)
    if path.is_file():
        if weights:
            raise ConfigError(f"{display(path)} is a weight file already: leave out --weights.")
        inside = RunFolder(path.parent.parent)
        return path, inside if path.parent.name == "checkpoints" and inside.holds_a_run() else None
    folder = find_run(run)
    for name in (weights,) if weights else WEIGHTS:
        if (file := folder.checkpoints / f"{name}.safetensors").is_file():
            return file, folder
    asked = f"{weights} weights" if weights else "weights"
    raise WeightsError(f"{display(folder.path)} has no {asked} yet: they are written when an epoch is validated.")


def load_trained(run: str, weights: str = "", device: str = "cpu", *, trusted: bool = False) -> Trained:
    """The model of a run or of a weight file, ready to predict; `trusted`: code that it names may run.

    Raises:
        WeightsError: the file is damaged, or was not written by this program.
        ConfigError: there is no such run, or this machine has no such device.
    """
    path, folder = weight_file(run, weights)
    metadata, tensors = _read(path)
    if metadata.get("format") != "tui-trainer":
        raise WeightsError(f"{display(path)} was not written by tui-trainer: it does not say how to prepare an image.")
    try:
        preprocessing, targets = validation_preprocessing(metadata), targets_of(metadata)
        task, classes = _task(metadata), texts(metadata.get("classes", "[]"))
        model = _model(metadata, len(targets.names) if task == REGRESSION else len(classes), preprocessing, trusted)
        model.load_state_dict(tensors)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{display(path)} does not describe its model ({display(error, 120)}).") from None
    return Trained(
        path=path,
        folder=folder,
        name=metadata["model"],
        task=task,
        classes=classes,
        targets=targets,
        preprocessing=preprocessing,
        model=model.to(_device(device)),
        device=_device(device),
        metadata=metadata,
        trusted=trusted,
    )


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, UnicodeError) as error:
        raise WeightsError(f"{display(path)} is no whole safetensors file ({display(error, 100)}).") from None


def _task(metadata: Mapping[str, str]) -> str:
    task = metadata.get("task", CLASSIFICATION)
    if task not in TASKS:
        raise ValueError(f"task {task}")
    return task


def _model(metadata: Mapping[str, str], outputs: int, preprocessing: Preprocessing, trusted: bool) -> nn.Module:
    """The model with numbers to be replaced; torch's generator is left as it was."""
    if not outputs:
        raise ValueError("no classes")
    spec = preprocessing.spec
    with torch.random.fork_rng(devices=[]):
        return catalog.build(
            metadata["model"],
            num_classes=outputs,
            channels=spec.channels,
            image_size=spec.image_size,
            args=texts(metadata.get("model_args", "[]")),
            trusted=trusted,
            shape=preprocessing.shape,
            hidden_sizes=[int(size) for size in json.loads(metadata.get("hidden_sizes", "[]"))],
        )


def _device(name: str) -> torch.device:
    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device = {display(name, 40)}: there is none here; use auto or cpu.") from None
    return device
