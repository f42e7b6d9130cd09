"""Which recorders a run has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tui_trainer import tensorboard
from tui_trainer.config import Config
from tui_trainer.engine.job import Job
from tui_trainer.engine.metrics import Confusion
from tui_trainer.record import JsonLines, MetricsCsv, Recorder
from tui_trainer.run_folder import RunFolder


def recorders_of(folder: RunFolder, config: Config, job: Job) -> list[Recorder]:
    """The files of its folder, and what is configured besides."""

    def counts() -> npt.NDArray[np.int64] | None:
        whole = job.validated
        return whole.counts.numpy() if isinstance(whole, Confusion) else None

    found: list[Recorder] = [JsonLines(folder.events), MetricsCsv(folder.metrics)]
    if config.run.tensorboard:
        settings = tensorboard.hyperparameters(config)
        found.append(tensorboard.TensorBoard(folder.tensorboard, settings, counts))
    return found
