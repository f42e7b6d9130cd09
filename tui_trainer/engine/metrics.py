"""Running sums that become metrics. Letters: N images in a batch, C classes."""

from __future__ import annotations

import torch
from torch import Tensor

TOP_K = 5


class Sums:
    """Sums over samples of loss and hits, kept on the device; reading them is a sync point.

    Means are over samples, not over batches, so that a short last batch does not count double.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch: `loss` its mean (), `outputs` (N, C), `targets` (N,)."""
        count = targets.shape[0]
        hits = (outputs.detach().argmax(1) == targets).sum()
        self._sums += torch.stack([loss.detach() * count, hits, torch.full_like(loss, count)]).to(self._sums)

    def read(self) -> tuple[float, float, int]:
        """Sum of losses, hits, samples; a sync point."""
        loss, hits, count = self._sums.tolist()
        return loss, hits, int(count)

    def reset(self, values: tuple[float, float, int] = (0.0, 0.0, 0)) -> None:
        """Start again, or at the sums of a checkpoint."""
        self._sums.copy_(torch.tensor(values, dtype=self._sums.dtype))


class Confusion:
    """Counts of (true class, predicted class), with what top-5 needs; kept on the device."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        self._in_top_k = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a batch: `outputs` (N, C), `targets` (N,)."""
        classes = self._counts.shape[0]
        cells = targets * classes + outputs.argmax(1)
        self._counts += torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)
        ranked = outputs.topk(min(TOP_K, outputs.shape[1]), dim=1).indices
        self._in_top_k += (ranked == targets[:, None]).any(1).sum()

    def metrics(self) -> dict[str, float]:
        """top1 and top5 over all samples, f1 averaged over the classes that occur (macro)."""
        counts = self._counts.double().cpu()
        hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        present = (true + predicted) > 0
        f1 = 2 * hits[present] / (true + predicted)[present]
        total = counts.sum().item()
        top5 = {"top5": self._in_top_k.item() / total} if len(counts) > TOP_K else {}  # else it is always 1
        return {"top1": hits.sum().item() / total, **top5, "f1": f1.mean().item()}
