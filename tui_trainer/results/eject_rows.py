"""The plain script of a run on the rows of a table, which the multilayer perceptron has learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.config import Config
from tui_trainer.data import batches
from tui_trainer.data.index import CLASSIFICATION, Index, Rows
from tui_trainer.data.statistics import target_statistics
from tui_trainer.errors import ConfigError
from tui_trainer.events import RunStarted
from tui_trainer.results import pieces, script_rows
from tui_trainer.results import script_training as training
from tui_trainer.text import display


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a run as the script reads them."""

    index: Index
    rows: Rows

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What lies beside the script: inputs (M, F) float32, targets (M,) int64 of classes or (M, K) float32."""
        targets = self.index.targets
        wide = targets.astype(np.int64 if self.index.task == CLASSIFICATION else np.float32)
        return {"inputs": self.rows.features, "targets": wide}


def read(config: Config) -> Table:
    """The rows as the run had them.

    Raises:
        ConfigError: they are no rows of a table, or have several labels.
        DataError: the table is not there any more.
    """
    index = batches.scan(config)
    if not isinstance(index.inputs, Rows) or index.task == "multilabel":
        raise ConfigError(
            "A plain script does not cover tables of several labels: tui-trainer -c config.toml repeats the run."
        )
    return Table(index=index, rows=index.inputs)


def source(
    name: str, config: Config, started: RunStarted, table: Table, weights: Sequence[float], loaded: str, frozen: Any
) -> str:
    """The script; `loaded`: lines that load the starting weights, `frozen`: layers that stand still."""
    values, numbers = config.values(), table.index.task != CLASSIFICATION
    freeze, still = pieces.freezing(frozen)
    outputs = f"CLASSES = {list(started.classes)!r}"
    if numbers:
        mean, std = target_statistics(table.index)
        outputs = f"TARGETS = {list(started.targets)!r}\nTARGET_MEAN, TARGET_STD = {mean!r}, {std!r}"
    head = script_rows.HEAD.format(
        **{key: values[key] for key in ("seed", "epochs", "batch_size", "lr", "mean", "std")},
        name=display(name, 60),
        inputs=list(table.rows.names),
        outputs=outputs,
        device=started.device,
    )
    loss = (
        f"    loss_func = nn.{script_rows.LOSSES[config.recipe.loss]}()\n" if numbers else pieces.loss(values, weights)
    )
    each = training.EPOCH_LOADER.format(samples=started.train_samples, drop_last=config.loader.drop_last)
    main = training.MAIN.format(
        threads=config.recipe.threads or 1,
        samples=script_rows.SAMPLES.format(standardized=script_rows.STANDARDIZED if numbers else ""),
        model=training.MODEL.format(model="MLP()", load=loaded, frozen=freeze, layout=""),
        recipe=loss + pieces.optimizer(values),
        loaders=training.LOADERS.format(workers=config.loader.num_workers),
        epoch=each + pieces.epoch(values, still, script_rows.EPOCH if numbers else training.EPOCH),
        kept=pieces.kept(values),
    )
    functions = pieces.functions(values) + (script_rows.R2 if numbers else training.EVALUATE)
    parts = (head, pieces.order(values), _mlp(table, started, values["hidden_sizes"]), script_rows.NORMALIZE)
    made = "".join(parts) + functions + main
    made = made if "math." in made else made.replace("import math\n", "", 1)
    return made if "functional." in made else made.replace("from torch.nn import functional\n", "", 1)


def _mlp(table: Table, started: RunStarted, hidden: Any) -> str:
    outputs = len(started.classes) or len(started.targets)
    sizes = (len(table.rows.names), *hidden, outputs)
    names = [f"fc{i + 1}" for i in range(len(sizes) - 1)]
    layers = [
        f"        self.{name} = nn.Linear({before}, {after})\n"
        for name, before, after in zip(names, sizes, sizes[1:], strict=False)
    ]
    lines = [f"        x = torch.relu(self.{name}(x))\n" for name in names[:-1]]
    return script_rows.MLP.format(layers="".join(layers), hidden="".join(lines), last=names[-1])
