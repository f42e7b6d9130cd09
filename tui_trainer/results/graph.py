"""A trained model as one graph that takes plain arrays. Letters: N images, S side, C channels, O outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tui_trainer.data.index import CLASSIFICATION, REGRESSION
from tui_trainer.data.transforms import Normalize
from tui_trainer.results.preprocessing import Preprocessing
from tui_trainer.results.trained import Trained


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What the graph does besides the model itself."""

    preprocessing: bool = False  # uint8 (N, S, S, C) in, instead of float32 (N, C, S, S); plain numbers of rows
    resize: bool = False  # images of any size (N, H, W, C), squashed to S x S
    probabilities: bool = False  # softmax, or sigmoid of labels

    def in_words(self, task: str) -> str:
        """What is inside, in a few words."""
        last = "sigmoid" if task == "multilabel" else "softmax"
        steps = [
            ("resize", self.resize),
            ("normalise", self.preprocessing),
            ("model", True),
            ("units of the targets", task == REGRESSION),
            (last, self.probabilities),
        ]
        return " -> ".join(name for name, there in steps if there)


class Graph(nn.Module):
    """The model with what is inside before and after it."""

    shift: Tensor
    scale: Tensor
    unit: Tensor
    zero: Tensor

    def __init__(self, trained: Trained, inside: Inside) -> None:
        super().__init__()
        self.model, self._inside, self._task = trained.model, inside, trained.task
        self._side = trained.preprocessing.spec.image_size
        self._kind = trained.preprocessing.kind
        if self._kind != "items":
            shift, scale = _normalization(trained.preprocessing)
            self.register_buffer("shift", shift)
            self.register_buffer("scale", scale)
        if trained.task == REGRESSION:
            self.register_buffer("unit", torch.tensor(trained.targets.std))
            self.register_buffer("zero", torch.tensor(trained.targets.mean))

    def forward(self, images: Tensor) -> Tensor:
        """(N, S, S, C) or (N, H, W, C) uint8, or (N, C, S, S) float32 normalised; to (N, O) float32.

        Of a table rows (N, F) float32; of the user's own dataset what it yields (N, ...).
        """
        if self._inside.preprocessing and self._kind == "rows":
            images = (images - self.shift) * self.scale
        elif self._inside.preprocessing and self._kind == "images":
            images = images.permute(0, 3, 1, 2)
            if self._inside.resize:
                images = interpolate(images, (self._side, self._side), mode="bilinear", antialias=True)
            images = (images.to(torch.float32) - self.shift) * self.scale
        outputs: Tensor = self.model(images)
        if self._task == REGRESSION:
            outputs = outputs * self.unit + self.zero
        if not self._inside.probabilities:
            return outputs
        return outputs.softmax(1) if self._task == CLASSIFICATION else outputs.sigmoid()


def _normalization(learned: Preprocessing) -> tuple[Tensor, Tensor]:
    """What is taken away and multiplied with: (C, 1, 1) each for images, (F,) for rows."""
    if learned.inputs:
        return torch.tensor(learned.mean), 1 / torch.tensor(learned.std)
    normalize = Normalize(learned.mean, learned.std, torch.device("cpu"))
    return normalize.shift, normalize.scale
