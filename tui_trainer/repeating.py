"""The configuration that a run leaves behind: what repeats it from anywhere."""

from __future__ import annotations

from tui_trainer import run_folder, user_code
from tui_trainer.config import Config
from tui_trainer.data import sources
from tui_trainer.start_weights import IMAGENET
from tui_trainer.text import user_path


def repeatable(config: Config) -> Config:
    """What `tui-trainer -c config.toml` needs to repeat the run from anywhere, in a folder of its own."""
    data = config.data
    paths = {"data_root": data.data_root, "targets": data.targets}
    absolute = {name: str(user_path(path)) if path else "" for name, path in paths.items()}
    if config.model.pretrained not in ("", IMAGENET):
        absolute["pretrained"] = str(run_folder.path_or_run(config.model.pretrained))
    absolute |= {"data": sources.absolute(data.data), "val_data": sources.absolute(data.val_data)}
    code = {"model": user_code.absolute(config.model.model), "loss": user_code.absolute(config.recipe.loss)}
    hooks = ("sampler", "batch_sampler", "collate_fn", "worker_init_fn")
    code |= {name: user_code.absolute(getattr(config.loader, name)) for name in hooks}
    return config.replace(**absolute, **code, output_dir="", name="", resume="", trust_code=False)
