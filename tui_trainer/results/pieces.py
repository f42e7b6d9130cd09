"""The pieces of the plain script, filled in with settings. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tui_trainer.results import script
from tui_trainer.results import script_training as training

SQUARES = {"squash": script.SQUASH, "crop": script.CROP, "pad": script.PAD}
Values = Mapping[str, Any]


def images(values: Values) -> str:
    """Decoding, resizing, random changes, and the Dataset."""
    augment = values["augment"]
    is_random = augment != "none"
    item = script.RANDOM_ITEM.format(changed="change(image, random)" if augment == "standard" else "image")
    dataset = script.DATASET.replace("{square}", SQUARES[values["resize"]].rstrip("\n") + "\n")
    parts = [
        script.RANDOM.replace("{least!r}", repr(values["crop_scale"])) if is_random else "",
        script.COLOURS if augment == "standard" else "",
        dataset.replace("{item}\n", item if is_random else script.ITEM),
    ]
    return "".join(parts)


def order(values: Values) -> str:
    """Randomness with an address, and with it the order of an epoch."""
    if not values["shuffle"]:
        return script.ADDRESS.format(order="return members")
    drawn = (
        "generator = torch.Generator().manual_seed(address(SEED, epoch, -1))\n"
        "    return [members[i] for i in torch.randperm(len(members), generator=generator)]"
    )
    return script.ADDRESS.format(order=drawn)


def freezing(frozen: Sequence[str]) -> tuple[str, str]:
    """The lines that freeze layers, and those that keep their statistics in each epoch."""
    if not frozen:
        return "", ""
    before = (
        f"    frozen = {list(frozen)!r}\n"
        "    for name, parameter in model.named_parameters():\n"
        '        parameter.requires_grad_(name.rpartition(".")[0] not in frozen)\n'
    )
    in_epoch = (
        "        for name in frozen:\n"
        "            model.get_submodule(name).eval()  # its BatchNorm statistics stand still too\n"
    )
    return before, in_epoch


def loss(values: Values, weights: Sequence[float]) -> str:
    """The loss function; class weights multiply the loss of a sample."""
    smoothing = values["label_smoothing"]
    if weights:
        more = f", label_smoothing={smoothing}" if smoothing else ""
        return training.WEIGHTED_LOSS.format(weights=list(weights), loss=more)
    return training.LOSS.format(loss=f"label_smoothing={smoothing}" if smoothing else "")


def optimizer(values: Values) -> str:
    """The optimizer over what is trained, and the average of the weights."""
    more = ", nesterov=True" if values["nesterov"] and values["optimizer"] == "sgd" else ""
    more += ", fused=True" if values["optimizer"] != "rmsprop" else ""  # the same arithmetic to the last bit
    made = training.OPTIMIZERS[values["optimizer"]].format(
        momentum=values["momentum"], weight_decay=values["weight_decay"], more=more
    )
    return training.OPTIMIZER.format(optimizer=made) + (training.EMA if values["model_ema"] else "")


def functions(values: Values) -> str:
    """What the loop calls of the recipe: schedule, mixing, averaging."""
    parts = [training.LEARNING_RATE.format(schedule=schedule(values))]
    kinds = [
        f"v2.{kind}(alpha={values[name]}, num_classes=len(CLASSES))"
        for name, kind in (("mixup", "MixUp"), ("cutmix", "CutMix"))
        if values[name]
    ]
    parts += [training.MIX.format(kinds=", ".join(kinds))] if kinds else []
    parts += [training.AVERAGE.format(decay=values["model_ema_decay"])] if values["model_ema"] else []
    return "".join(parts)


def schedule(values: Values) -> str:
    """The body of learning_rate."""
    warmup, gamma = values["warmup_epochs"], values["gamma"] or 0.1
    whole = max(values["epochs"] - warmup, 1e-9)
    step_size = values["step_size"] or whole / 3
    lines = training.SCHEDULES[values["lr_scheduler"]].format(
        warmup=warmup,
        gamma=gamma,
        step_size=step_size,
        last_step=max(0, math.ceil(whole / step_size - 1e-9) - 1),
        milestones=values["milestones"],
        done=f"max(0, epoch - {warmup}) / (EPOCHS - {warmup})" if warmup else "epoch / EPOCHS",
    )
    return (training.WARMUP.format(warmup=warmup) if warmup else "") + lines


def epoch(values: Values, still: str, piece: str = training.EPOCH) -> str:
    """One pass over the training part, and the validation after it."""
    mixes = values["mixup"] or values["cutmix"]
    ready = "normalize(images), targets.to(DEVICE)"
    clip = values["clip_grad_norm"]
    return piece.format(
        still=still,
        inputs=f"images, targets = mix({ready}, epoch, batch + 1)" if mixes else f"images, targets = {ready}",
        true="targets.argmax(1)" if mixes else "targets",
        clip=f"            nn.utils.clip_grad_norm_(model.parameters(), {clip})\n" if clip else "",
        after="            ema.update_parameters(model)\n" if values["model_ema"] else "",
        kept=kept(values),
    )


def kept(values: Values) -> str:
    """The network that is evaluated and saved."""
    return "ema.module" if values["model_ema"] else "model"


def imports(values: Values) -> str:
    """What of torchvision is imported."""
    lines = ["from torchvision import models"] * (values["model"] != "lenet")
    lines += ["from torchvision.transforms import v2"] * bool(
        values["augment"] == "standard" or values["mixup"] or values["cutmix"]
    )
    return "".join(f"{line}\n" for line in lines)
