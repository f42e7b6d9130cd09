"""What people train with instead, each as its documentation shows: from ImageFolder to saved weights, for runs.py.

A process of its own each; nothing of the package is imported but LeNet and the door to torchvision, so that no side
waits for another's imports. timm's train.py is no part of timm's package: `timm` makes its calls, in its order
(create_model, create_optimizer_v2, create_dataset, create_loader, CheckpointSaver, then train_one_epoch and validate
with their AverageMeters), with the options --no-aug --opt momentum --sched none --workers 2.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks import made
from tui_trainer import vision
from tui_trainer.models import catalog

SIDE, BATCH, LR, MOMENTUM, DECAY = 32, 32, 0.01, 0.9, 5e-4
MEAN = STD = (0.5, 0.5, 0.5)
TIMM_LOG_EVERY = 50  # batches: --log-interval


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return catalog.build("lenet", num_classes=made.CLASSES, channels=3, image_size=SIDE, args=())


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)


def loaders(folder: Path, workers: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """ImageFolder with torchvision's transforms."""
    datasets = vision.datasets()
    from torchvision import transforms

    change = transforms.Compose(
        [transforms.Resize((SIDE, SIDE)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    train, val = (datasets.ImageFolder(str(folder / part), change) for part in ("train", "val"))
    stay = workers > 0
    return (
        DataLoader(train, BATCH, shuffle=True, num_workers=workers, persistent_workers=stay),
        DataLoader(val, BATCH, num_workers=workers, persistent_workers=stay),
    )


def script(data: Path, place: Path, epochs: int, seed: int) -> float:
    """The tutorial's loop; ends with torch.save."""
    train, val = loaders(data, 2)
    model, loss_func = network(seed), nn.CrossEntropyLoss()
    optimizer, top1 = sgd(model), 0.0
    for _ in range(epochs):
        model.train()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss = loss_func(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()
        model.eval()
        right = seen = 0
        with torch.no_grad():
            for inputs, targets in val:
                right += int((model(inputs).argmax(1) == targets).sum())
                seen += len(targets)
        top1 = right / seen
    torch.save(model.state_dict(), place / "model.pth")
    return top1


def lightning(data: Path, place: Path, epochs: int, seed: int) -> float:
    """Trainer.fit with its checkpoints."""
    train, val = loaders(data, 2)
    import lightning as lit

    class Module(lit.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_func = network(seed), nn.CrossEntropyLoss()

        def training_step(self, batch: Any, index: int) -> Any:
            outputs = self.net(batch[0])
            loss = self.loss_func(outputs, batch[1])
            self.log("train_loss", loss)
            self.log("train_acc", (outputs.argmax(1) == batch[1]).float().mean())
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_acc", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return sgd(self)

    trainer = lit.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=place,
    )  # fmt: skip
    trainer.fit(Module(), train, val)
    return float(trainer.callback_metrics["val_acc"])


def fastai(data: Path, place: Path, epochs: int, seed: int) -> float:
    """Learner.fit and Learner.save."""
    train, val = loaders(data, 2)
    import fastai.callback.progress  # noqa: F401 - adds no_bar to Learner
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.optimizer import SGD

    learner = Learner(
        DataLoaders(train, val), network(seed), loss_func=nn.CrossEntropyLoss(), metrics=accuracy, path=place,
        opt_func=lambda params, lr, **_: SGD(params, lr=lr, mom=MOMENTUM, wd=DECAY),
    )  # fmt: skip
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs, LR)
    learner.save("model")
    return float(learner.recorder.values[-1][-1])


def aiforge(data: Path, place: Path, epochs: int, seed: int) -> float:
    """AIForge Studio's Trainer over ImageFolder; it takes no worker processes."""
    train, val = loaders(data, 0)
    trainer: Any = importlib.import_module("aiforge.trainer")
    spec: Any = importlib.import_module("aiforge.spec").ModelSpec(name="lenet", input_shape=[3, SIDE, SIDE])
    config = trainer.TrainConfig(
        epochs=epochs, batch_size=BATCH, lr=LR, optimizer="SGD", weight_decay=DECAY, device="cpu"
    )
    model = nn.Sequential(network(seed))
    told = trainer.Trainer(spec, model, train.dataset, val.dataset, config, on_log=lambda text: None).run()
    torch.save(model.state_dict(), place / "model.pth")
    return float(told["epochs"][-1]["val_acc"])


# timm -----------------------------------------------------------------------------------------------------------------


def bench_lenet(pretrained: bool = False, num_classes: int = 0, *, seed: int, **_: Any) -> nn.Module:
    """The entry point that create_model finds by its name."""
    assert not pretrained
    assert num_classes == made.CLASSES
    return network(seed)


def timm(data: Path, place: Path, epochs: int, seed: int) -> float:
    """train.py from its model to its last checkpoint."""
    vision.torchvision()  # timm imports it
    data_of, models, optim, utils = (importlib.import_module(f"timm.{name}") for name in TIMM_PARTS)
    models.register_model(bench_lenet)
    utils.setup_default_logging()
    logging.getLogger().setLevel(logging.INFO)
    model = models.create_model("bench_lenet", num_classes=made.CLASSES, seed=seed)
    optimizer = optim.create_optimizer_v2(
        model, opt="momentum", lr=LR, weight_decay=DECAY, momentum=MOMENTUM, filter_bias_and_bn=False
    )
    train, val = (_timm_loader(data_of, data, part) for part in ("train", "val"))
    loss_func = nn.CrossEntropyLoss()
    args = SimpleNamespace(model="bench_lenet")
    out = utils.get_outdir(str(place), "timm")
    saver = utils.CheckpointSaver(model, optimizer, args, checkpoint_dir=out, recovery_dir=out, max_history=10)
    told: dict[str, float] = {}
    for epoch in range(epochs):
        trained = _timm_epoch(utils, epoch, model, train, optimizer, loss_func)
        told = _timm_validate(utils, model, val, loss_func)
        utils.update_summary(epoch, trained, told, f"{out}/summary.csv", lr=LR, write_header=epoch == 0)
        saver.save_checkpoint(epoch, metric=told["top1"])
    return told["top1"] / 100


TIMM_PARTS = ("data", "models", "optim", "utils")


def _timm_loader(data_of: Any, data: Path, part: str) -> Any:
    """A part with its prefetcher."""
    training = part == "train"
    dataset = data_of.create_dataset("", root=str(data), split=part, is_training=training, batch_size=BATCH)
    return data_of.create_loader(
        dataset, input_size=(3, SIDE, SIDE), batch_size=BATCH, is_training=training, no_aug=True, mean=MEAN, std=STD,
        interpolation="bilinear", crop_pct=1.0, num_workers=2, device=torch.device("cpu"),
    )  # fmt: skip


def _timm_epoch(utils: Any, epoch: int, model: nn.Module, train: Any, optimizer: Any, loss_func: Any) -> Any:
    """The calls of `train_one_epoch`."""
    times, waits, losses = utils.AverageMeter(), utils.AverageMeter(), utils.AverageMeter()
    model.train()
    ended = time.time()
    for number, (inputs, targets) in enumerate(train):
        waits.update(time.time() - ended)
        loss: Tensor = loss_func(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(inputs))
        optimizer.zero_grad()
        times.update(time.time() - ended)
        if number % TIMM_LOG_EVERY == 0:
            told = f"Train: {epoch} [{number}/{len(train)}] Loss: {losses.val:#.3g} ({losses.avg:#.3g}) Time: "
            told += f"{times.val:.3f}s, {len(inputs) / times.val:.2f}/s LR: {LR:.3e} Data: {waits.val:.3f}"
            logging.info(told)
        ended = time.time()
    return {"loss": losses.avg}


@torch.no_grad()
def _timm_validate(utils: Any, model: nn.Module, val: Any, loss_func: Any) -> dict[str, float]:
    """The means of `validate` over the part."""
    losses, top1, top5 = utils.AverageMeter(), utils.AverageMeter(), utils.AverageMeter()
    model.eval()
    for inputs, targets in val:
        outputs = model(inputs)
        loss = loss_func(outputs, targets)
        one, five = utils.accuracy(outputs, targets, topk=(1, 5))
        losses.update(loss.item(), len(inputs))
        top1.update(one.item(), len(inputs))
        top5.update(five.item(), len(inputs))
    return {"loss": losses.avg, "top1": top1.avg, "top5": top5.avg}


ALL: dict[str, Callable[[Path, Path, int, int], float]] = {
    "script": script, "lightning": lightning, "fastai": fastai, "timm": timm, "aiforge": aiforge,
}  # fmt: skip
