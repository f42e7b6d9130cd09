"""The configured data and model, to be measured and not trained."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from torch import Tensor

from tui_trainer.auto import (
    Choices,
    choose_computing,
    choose_inputs,
    choose_recipe,
    choose_rest,
    choose_task,
    device_of,
    model_arguments,
)
from tui_trainer.config import Config
from tui_trainer.data import batches, loader
from tui_trainer.data.batches import Data
from tui_trainer.data.index import TRAIN
from tui_trainer.engine.job import Job
from tui_trainer.engine.loader import Batch
from tui_trainer.engine.metrics import build_measure
from tui_trainer.engine.step import train_step
from tui_trainer.errors import DataError
from tui_trainer.idle import now
from tui_trainer.loader_facts import Facts
from tui_trainer.models import catalog
from tui_trainer.recipe import in_memory_format, parts_of
from tui_trainer.settings import Value

Step = Callable[[Batch], Tensor]  # a training step on a batch; its loss ()

WITHOUT_WORKERS: dict[str, Value] = {
    "prefetch_factor": None, "timeout": None, "worker_init_fn": "", "multiprocessing_context": "auto",
}  # fmt: skip


class Bench:
    """The configured data and model, with loaders of any number of workers.

    Raises:
        UserError: the data or the model does not do.
    """

    def __init__(self, config: Config, tell: Callable[[str], None] = lambda text: None) -> None:
        self._choices, self._since = Choices(config), now()
        self.device = device_of(config.recipe.device)
        tell("scanning the dataset")
        self.index = batches.scan(config)
        choose_task(self._choices, self.index)
        self._needs_two = choose_inputs(self._choices, self.index)
        self._spec = batches.spec_of(self.config.data, self.index)
        self.facts = Facts(
            images=self.index.size(TRAIN),
            image_size=self._spec.image_size,
            channels=self._spec.channels,
            needs_two=self._needs_two,
            unit=self.index.unit,
        )

    @property
    def config(self) -> Config:
        """The configuration with what was chosen."""
        return self._choices.config

    def set(self, **values: Value) -> None:
        """Go on with other settings of the loader."""
        self._choices.config = self._choices.config.replace(**({"num_workers": 1} | values))

    def with_workers(self, count: int) -> Config:
        """The configuration with so many workers; what only workers can do is left out for none."""
        return self.config.replace(num_workers=count, **({} if count else WITHOUT_WORKERS))

    def data(self, workers: int) -> Data:
        """Loaders with so many workers; the first call measures mean and standard deviation."""
        config = self.with_workers(workers)
        context = loader.worker_context(config)
        made = batches.build_batches(config, self.index, self._spec, needs_two=self._needs_two, context=context)
        choose_rest(self._choices, made)
        return made

    def prepare(self, data: Data) -> Callable[[Batch], tuple[Tensor, Tensor]]:
        """What takes a batch to the device, as in training."""
        return data.prepare(self.device, channels_last=bool(self.config.recipe.channels_last))

    def job(self, data: Data) -> Job:
        """A run over these loaders with the whole recipe, whose model learns nothing that is kept."""
        model = catalog.build(self.config.model.model, **model_arguments(self.config, self.index))
        choose_computing(self._choices, model, self.index, self.device, data.train.batches, self._since)
        choose_recipe(self._choices, self.device)
        model = in_memory_format(model, self.config).to(self.device)
        return Job(
            model=model,
            **parts_of(self.config, self.index, model, list(model.parameters())),
            train_loader=data.train,
            val_loader=data.val,
            prepare=self.prepare(data),
            classes=self.index.classes,
            device=self.device,
            task=self.index.task,
            measure=build_measure(self.index.task, len(self.index.classes), data.target_std),
        )

    def training_step(self, data: Data) -> Step:
        """One step of training on a batch, which returns the loss."""
        job = self.job(data)
        job.in_training_mode()
        return lambda batch: (train_step(job, [batch]) or ())[0].loss


def endless(of: loader.Loader, part: float = 0.0) -> Generator[loader.Batch, None, None]:
    """Epoch after epoch.

    `part` in [0, 1) tells where to begin, so that no worker count reads only files that one before
    it has brought into the memory of the system: in another epoch, and elsewhere in it.

    Raises:
        DataError: no image can be read.
    """
    epoch, start = round(part * 1000), int(part * of.batches)
    while True:
        readable = False
        for batch in of.epoch(epoch, start):
            if len(batch.targets):
                readable = True
                yield batch
        if not readable and start == 0:
            raise DataError("None of the training images can be read.")
        epoch, start = epoch + 1, 0


def first(of: loader.Loader) -> loader.Batch:
    """One batch, from its start, that is prepared each time that a step is taken on it."""
    stream = endless(of)
    try:
        return replace(next(stream), block=None)
    finally:
        stream.close()
