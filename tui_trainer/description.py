"""What a weight file says of itself beside the tensors: all that a prediction needs."""

from __future__ import annotations

import json

from tui_trainer.config import Config
from tui_trainer.data.batches import Data
from tui_trainer.data.index import Own, Rows, Stream
from tui_trainer.results.preprocessing import Preprocessing, Targets, to_metadata
from tui_trainer.user_code import absolute


def describe(config: Config, data: Data) -> dict[str, str]:
    """Model, task, classes, how a sample becomes an input, and of numbers to predict names and scale."""
    index = data.index
    rows = index.inputs if isinstance(index.inputs, Rows | Stream) else None
    metadata: dict[str, str] = to_metadata(
        task=index.task,
        model=absolute(config.model.model),
        model_args=config.model.model_args,
        classes=index.classes,
        preprocessing=Preprocessing(
            spec=data.spec,
            mean=data.mean,
            std=data.std,
            inputs=rows.names if rows else (),
            encoding=rows.encoding if rows else (),
            shape=index.inputs.shape if isinstance(index.inputs, Own) else (),
        ),
        targets=Targets(names=index.target_names, unit=index.unit, mean=data.target_mean, std=data.target_std),
    )
    return {**metadata, "hidden_sizes": json.dumps(config.model.hidden_sizes)}
