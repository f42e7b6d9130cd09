"""What does not go with a model that is shared out among processes, before anything starts."""

from __future__ import annotations

from tui_trainer.config import Config
from tui_trainer.errors import ConfigError

FSDP = "fsdp"
WHOLE = ("adafactor", "muon", "rprop")  # optimizers for which torch has no way to update a matrix part by part


def require_apt(config: Config, processes: int) -> None:
    """Refuse what `strategy = fsdp` cannot do.

    Raises:
        ConfigError: a setting does not go with it.
    """
    recipe = config.recipe
    if config.run.strategy != FSDP:
        return
    if processes < 2:
        raise ConfigError(
            "strategy = fsdp shares the model out among processes: give --nproc 2 or more, or --strategy ddp."
        )
    unfit = {
        "compile": recipe.compile,
        "channels_last": recipe.channels_last and not config.run.resume,  # of a run in ddp; does without it from now on
        "model_ema": recipe.model_ema,
        "amp_dtype = fp16": recipe.amp and recipe.amp_dtype == "fp16",
        f"optimizer = {recipe.optimizer}": recipe.optimizer in WHOLE,
    }
    for name, given in unfit.items():
        if given:
            instead = {"amp_dtype": "take bf16", "optimizer": "take adamw"}.get(name.partition(" ")[0], "leave it out")
            raise ConfigError(f"{name} does not go with strategy = fsdp: {instead}, or use --strategy ddp.")
