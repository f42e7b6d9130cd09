"""Which settings a form shows at once, and under which headings it folds the others away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.config import SETTINGS

OTHERS = "others"
WRITTEN = ("resume", "pretrained_fingerprint")  # by the program; no form asks for them


@dataclass(frozen=True)
class Group:
    """Settings of a form; those without a title are always in sight."""

    title: str
    names: tuple[str, ...]


DATA = (
    Group("", ("data", "val_data", "val_fraction", "task", "image_size", "channels", "resize", "augment")),
    Group("pixels", ("crop_scale", "normalize", "mean", "std", "max_megapixels", "max_bad")),
    Group("cache", ("cache", "cache_limit", "cache_shrink")),
    Group("tables", ("target", "features", "ignore_columns", "missing", "part_column", "header")),
    Group("manifests", ("path_column", "targets", "label_separator", "data_root", "data_args")),
    Group("streams", ("query", "order_key", "stream", "follow")),
)
LOADER = (
    Group("", ("batch_size", "shuffle", "num_workers", "worker_type", "prefetch_factor", "pin_memory", "drop_last")),
    Group("workers", ("persistent_workers", "timeout", "multiprocessing_context", "worker_init_fn")),
    Group("order and batches", ("sampler", "batch_sampler", "collate_fn", "steps_per_epoch", "shuffle_buffer")),
)
MODEL = (
    Group("", ("model", "pretrained", "pretrained_group", "include_layers", "exclude_layers", "freeze")),
    Group("more of both", ("model_args", "hidden_sizes", "freeze_epochs", "rename_layers", "adapters", "by_order")),
)
RECIPE = (
    Group("", ("epochs", "lr", "optimizer", "lr_scheduler", "warmup_epochs", "loss", "patience", "device", "name")),
    Group(
        "optimizer",
        ("momentum", "nesterov", "weight_decay", "decay_norm_bias", "backbone_lr_factor", "optimizer_args"),
    ),
    Group("gradients", ("clip_grad_norm", "grad_accum_steps")),
    Group(
        "more devices",
        ("nproc", "strategy", "sync_batchnorm", "lr_base_size", "lr_base_scale", "max_restarts", "auto_batch"),
    ),
    Group("schedule", ("step_size", "gamma", "milestones", "plateau_patience", "min_lr")),
    Group(
        "regularisation",
        ("class_weights", "label_smoothing", "mixup", "cutmix", "random_erasing", "model_ema", "model_ema_decay"),
    ),
    Group("when to stop", ("monitor", "min_delta", "min_epochs", "max_minutes")),
    Group("speed", ("amp", "amp_dtype", "channels_last", "compile", "threads", "seed", "deterministic")),
    Group("the run", ("output_dir", "branch", "log_every", "tensorboard", "allow_changed_data", "trust_code")),
    Group("checkpoints", ("checkpoint_every", "keep_checkpoints", "keep_every")),
)


def that_fit(groups: Iterable[Group], height: int) -> set[str]:
    """Titles of the groups that can stand open in so many rows, the first ones first."""
    groups = tuple(groups)
    opened, room = set[str](), height - sum(bool(group.title) for group in groups)
    for group in groups:
        if not group.title or len(group.names) <= room:
            opened.add(group.title)
            room -= len(group.names)
    return opened


def of_tables(groups: Sequence[Group], *tables: str) -> tuple[Group, ...]:
    """The settings of these tables in their groups; what is in none comes last, under a heading of its own."""
    names = [name for name, item in SETTINGS.items() if item.table in tables and name not in WRITTEN]
    placed = {name for group in groups for name in group.names}
    left = tuple(name for name in names if name not in placed)
    return (*groups, Group(OTHERS, left)) if left else tuple(groups)
