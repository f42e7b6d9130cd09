"""What the loop works on: the parts of a run, its state, and the few acts that are not a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.commands import Command
from tui_trainer.engine import checkpoint
from tui_trainer.engine.compiling import Compiled
from tui_trainer.engine.ema import Ema
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.guard import Guard
from tui_trainer.engine.keeping import Keeping
from tui_trainer.engine.loader import Batch, Loader
from tui_trainer.engine.metrics import Classification, Measure, Whole
from tui_trainer.engine.optim import load_state, set_lr
from tui_trainer.engine.pace import Pace
from tui_trainer.engine.precision import Precision
from tui_trainer.engine.random_states import random_states, set_random_states
from tui_trainer.engine.ranks import Alone, Moment, Ranks, states_of
from tui_trainer.engine.schedule import Schedule
from tui_trainer.engine.shards import filled
from tui_trainer.engine.state import State, know_lengths, lengths_of
from tui_trainer.engine.step import Scored, no_mix
from tui_trainer.engine.sums import Sums
from tui_trainer.metric_names import less_is_better

if TYPE_CHECKING:
    from tui_trainer.engine.sharding import Sharded


class Commands(Protocol):
    """Where commands come from; `take` returns at once, `wait` sleeps until one may have come."""

    def take(self) -> list[Command]:
        """What has arrived since the last look."""

    def wait(self, seconds: float) -> None:
        """Sleep at most so long."""


class NoCommands:
    """Nobody steers."""

    def take(self) -> list[Command]:
        """Nothing."""
        return []

    def wait(self, seconds: float) -> None:
        """Nothing to wait for."""


@dataclass(kw_only=True)
class Job:
    """The parts of one run.

    `prepare` takes a batch to the device: images (N, C, S, S) float32. `mix` mixes samples of a batch (mixup, cutmix).
    `compiled` is the model in another form, which shares its weights. `grad_accum_steps` batches make a step.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_func: Callable[[Tensor, Tensor], Tensor]
    train_loader: Loader
    val_loader: Loader
    prepare: Callable[[Batch], tuple[Tensor, Tensor]]
    classes: tuple[str, ...]
    device: torch.device
    epochs: int
    lr: float
    lr_schedule: Schedule = Schedule()  # noqa: RUF009 - it is frozen
    grad_accum_steps: int = 1
    clip_grad_norm: float = 0.0
    mix: Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]] = no_mix
    precision: Precision = None  # type: ignore[assignment]  # float32 on `device`
    compiled: Compiled | None = None
    ema: Ema | None = None
    sharded: Sharded | None = None  # `model` is shared out among the ranks
    patience: int = 0
    min_delta: float = 0.0
    min_epochs: int = 0
    max_seconds: float = 0.0
    monitor: str = "val_top1"
    task: str = "classification"
    target_names: tuple[str, ...] = ()  # of the numbers to predict
    unit: str = "images"  # what a sample is called
    bad: tuple[int, int] = (0, 0)  # samples of train and val that are known to be left out
    measure: Measure = None  # type: ignore[assignment]  # of `classes`
    log_every: int = 1
    keeping: Keeping = field(default_factory=Keeping)
    ranks: Ranks = field(default_factory=Alone)
    checkpoints: Path | None = None
    model_name: str = ""
    frozen: Frozen = field(default_factory=Frozen)
    weights_metadata: Mapping[str, str] = field(default_factory=dict)
    checkpoint_extra: Mapping[str, Any] = field(default_factory=dict)
    state: State = field(default_factory=State)
    validated: Whole | None = None  # the last evaluation
    ending: str = ""  # the outcome of a run that is to end after this step

    def __post_init__(self) -> None:
        self.paused = self.evaluating = False
        self.torn = False  # the weights are those of no whole step
        self.asked = False  # for an evaluation, which has not been answered yet
        self.in_passing = False  # evaluating for no other reason: a pause waits until it is done
        self.precision = self.precision or Precision(self.device)
        self.pace = Pace(self.state.seconds)
        self.guard = Guard(self.model, self.optimizer)
        self.measure = self.measure or Classification(len(self.classes))
        usual = self.train_loader.batch_size * self.grad_accum_steps  # samples of a step
        self.trained = self.ranks.wrap(self.model, self.forward, usual, self.sharded)
        if self.ranks.size > 1:
            self.keeping.now = lambda: self.ranks.clock(self.clock)
        self.sums = Sums(self.measure, self.device, self.ranks)  # of the epoch so far
        # And since the last Progress:
        self.interval = Sums(self.measure, self.device, self.ranks, finite_only=True, within=self.sums)
        self.sums.reset(self.state.sums)
        self.interval.reset(self.state.interval)

    def pause(self) -> None:
        """Wait from now on; the time does not count."""
        if not self.paused:
            self.paused = True
            self.pace.pause()

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self.pace.resume()

    @property
    def goes_on(self) -> bool:
        """Whether there are epochs left and nothing ends the run."""
        return self.state.epoch < self.epochs and not self.ending

    @property
    def position(self) -> tuple[int, int, int]:
        """Epochs, batches of the next one, and steps that are trained."""
        return self.state.epoch, self.state.batch, self.state.step

    @property
    def steps_per_epoch(self) -> int:
        """Updates of the weights in a whole epoch, 0 if nobody knows; the last may have fewer batches."""
        return -(-self.train_loader.batches // self.grad_accum_steps)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (N, ...) of the network that is trained; `trained` is the same with gradients shared by the ranks."""
        outputs: Tensor = self.model(inputs) if self.compiled is None else self.compiled(inputs)
        return outputs

    @property
    def kept(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged one, if there is one."""
        return self.ema.model if self.ema else self.model

    def in_evaluation_mode(self) -> None:
        """The network as it is evaluated, the same on all ranks."""
        self.kept.eval()
        self.ranks.same_buffers(self.kept)
        self.pace.begin()

    def in_training_mode(self) -> None:
        """The network as it trains."""
        self.model.train()
        self.frozen.apply(self.state.epoch)

    def groups(self) -> Iterator[list[Batch]]:
        """What is left of this epoch, the batches of one step at a time, in training mode."""
        self.in_training_mode()
        self.pace.begin(self.sums.count)
        batches = self.pace.waiting(self.train_loader.epoch(self.state.epoch, self.state.batch))
        while group := list(islice(batches, self.grad_accum_steps)):
            yield group

    def begin(self, group: Sequence[Batch]) -> bool:
        """Whether there is something to learn in the batches of a step."""
        return self.ranks.begin(sum(batch.targets.shape[0] for batch in group), self.pace.waited, self.clock)

    def clock(self) -> Moment:
        """What the time says."""
        over = bool(self.max_seconds) and self.pace.here >= self.max_seconds
        return self.keeping.moment()._replace(over=over)

    def schedule(self) -> float:
        """Set the learning rate of the step to come, and return it."""
        step, steps = self.state.batch // self.grad_accum_steps, self.steps_per_epoch
        position = self.state.epoch + (min(1.0, step / steps) if steps else 0.0)
        lr = self.lr_schedule.lr(self.lr, position, self.epochs, self.state.reductions)
        set_lr(self.optimizer, lr)
        return lr

    def count(self, number: int, scored: Iterable[Scored]) -> None:
        """Move the state on by one step, which ended with batch `number`; a loss that is not finite is in no mean."""
        for loss, outputs, targets in scored:
            self.interval.add(loss, outputs, targets)
        self.state.step += 1
        self.state.batch = number
        self.torn = False
        if self.max_seconds and self.ranks.clock(self.clock).over:
            self.ending = self.ending or "out_of_time"

    def finish_epoch(self, metrics: Mapping[str, float]) -> bool:
        """Move the state on by one epoch; whether this one is the best so far."""
        better = self._is_better(metrics[self.monitor])
        self.state.epochs_without_better = 0 if better else self.state.epochs_without_better + 1
        if better:
            self.state.best, self.state.best_epoch = metrics[self.monitor], self.state.epoch
        self.state.epoch, self.state.batch = self.state.epoch + 1, 0
        self.sums.reset()
        self.interval.reset()
        self._look_at_plateau(better)
        waited = self.state.epoch >= self.min_epochs and self.state.epochs_without_better >= self.patience
        if self.patience and waited and not self.ending:
            self.ending = "early_stopped"
        return better

    def _look_at_plateau(self, better: bool) -> None:
        """Reduce lr after more than so many epochs without a better value (torch's ReduceLROnPlateau)."""
        self.state.plateau_epochs = 0 if better else self.state.plateau_epochs + 1
        if self.lr_schedule.shape == "plateau" and self.state.plateau_epochs > self.lr_schedule.patience:
            self.state.plateau_epochs, self.state.reductions = 0, self.state.reductions + 1

    def _is_better(self, value: float) -> bool:
        if self.state.best is None or math.isnan(value):
            return not math.isnan(value)
        gain = self.state.best - value if less_is_better(self.monitor) else value - self.state.best
        return gain > self.min_delta

    def weights(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The weights alone, with what stands beside them in a file."""
        metadata = {**self.weights_metadata, "step": str(self.state.step), "epoch": str(self.state.epoch)}
        return self.sharded.weights() if self.sharded else self.kept.state_dict(), metadata

    def save_weights(self, name: str) -> None:
        """Write the weights alone, as `name`.safetensors."""
        weights = self.weights()  # of all ranks
        if self.checkpoints is not None:
            checkpoint.save_weights(self.checkpoints / f"{name}.safetensors", *weights)

    @torch.no_grad()
    def take_part(self) -> None:
        """Where the network is shared out, a rank without samples is needed in the forward pass of the others."""
        if self.sharded:
            with self.precision.autocast():
                self.sharded.take_part()

    def to_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, in types that torch.load(weights_only=True) takes."""
        self.state.seconds = self.pace.seconds
        self.state.sums, self.state.interval = self.sums.read(), self.interval.read()
        self.state.left_out, self.state.lengths = self.guard.read(), lengths_of((self.train_loader, self.val_loader))
        rng, *others = self.ranks.gathered(random_states(self.device))
        return {
            "state": dict(vars(self.state)),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.state_dict(),
            "ema": self.ema.state_dict() if self.ema else {},
            "live": {"lr": self.lr, "epochs": self.epochs, "patience": self.patience},
            "rng": rng,
            **({"rng_of_ranks": others} if others else {}),
            "classes": list(self.classes),
            **self.checkpoint_extra,
        }

    def load_dict(self, saved: Mapping[str, Any]) -> None:
        """Be where the run was when `saved` was made."""
        saved = filled(saved, self.model, self.optimizer)
        self.state = State(**saved["state"])
        know_lengths((self.train_loader, self.val_loader), self.state.lengths)
        self.keeping.last = self.position
        self.guard.reset(self.state.left_out)
        self.model.load_state_dict(saved["model"])
        load_state(self.optimizer, saved["optimizer"])
        self.precision.load_state_dict(saved.get("scaler", {}))
        if self.ema and saved.get("ema"):
            self.ema.load_state_dict(saved["ema"])
        self.pace = Pace(self.state.seconds)
        self.sums.reset(self.state.sums)
        self.interval.reset(self.state.interval)
        if states := states_of(saved, self.ranks.rank, self.ranks.size):
            set_random_states(states, self.device)
