import pytest
import torch
from torch import Tensor, nn

from tui_trainer.engine.losses import AUTO, TASKS, build_loss, class_weights
from tui_trainer.errors import ConfigError

OUTPUTS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]])
CLASSES = torch.tensor([0, 2])
NUMBERS = torch.tensor([1.0, -3.0])


def shares(smoothing: float) -> Tensor:
    """What label smoothing means (Szegedy et al., 2016)."""
    return nn.functional.one_hot(CLASSES, 3) * (1 - smoothing) + smoothing / 3


def test_cross_entropy_is_that_of_torch() -> None:
    loss = build_loss("auto", task="classification", label_smoothing=0.2)
    assert loss(OUTPUTS, CLASSES) == nn.CrossEntropyLoss(label_smoothing=0.2)(OUTPUTS, CLASSES)
    by_hand = -(shares(0.2) * OUTPUTS.log_softmax(1)).sum(1).mean()
    assert loss(OUTPUTS, CLASSES).item() == pytest.approx(by_hand.item())


def test_cross_entropy_takes_shares_of_classes() -> None:
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.5, 0.5]])
    by_hand = -(mixed * OUTPUTS.log_softmax(1)).sum(1).mean()
    assert build_loss("auto", task="classification")(OUTPUTS, mixed).item() == pytest.approx(by_hand.item())


def test_class_weights_multiply_the_loss_of_their_class() -> None:
    weights = torch.tensor([3.0, 1.0, 0.5])
    each = nn.CrossEntropyLoss(reduction="none")(OUTPUTS, CLASSES)
    loss = build_loss("auto", task="classification", class_weights=weights)
    assert loss(OUTPUTS, CLASSES).item() == pytest.approx((each[0].item() * 3 + each[1].item() * 0.5) / 2)


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_a_batch_in_two_parts_has_the_loss_of_the_whole(name: str) -> None:
    loss = build_loss(name, task="classification", label_smoothing=0.1, class_weights=torch.tensor([3.0, 1.0, 0.5]))
    parts = [loss(OUTPUTS[i : i + 1], CLASSES[i : i + 1]) for i in range(2)]
    assert torch.allclose(loss(OUTPUTS, CLASSES), torch.stack(parts).mean())


def test_bce_of_one_class_a_sample() -> None:
    loss = build_loss("bce", task="classification", label_smoothing=0.3)
    assert torch.allclose(loss(OUTPUTS, CLASSES), nn.BCEWithLogitsLoss()(OUTPUTS, shares(0.3)))


def test_bce_of_several_labels() -> None:
    labels = torch.tensor([[1, 1, 0], [0, 0, 0]])
    weights = torch.tensor([2.0, 1.0, 1.0])
    wanted = nn.BCEWithLogitsLoss(pos_weight=weights)(OUTPUTS, labels.float())
    assert build_loss("auto", task="multilabel", class_weights=weights)(OUTPUTS, labels) == wanted
    smooth = nn.BCEWithLogitsLoss()(OUTPUTS, labels * 0.8 + 0.1)
    assert torch.allclose(build_loss("auto", task="multilabel", label_smoothing=0.2)(OUTPUTS, labels), smooth)


@pytest.mark.parametrize(
    ("name", "wanted"), [("auto", (9 + 1) / 2), ("mse", (9 + 1) / 2), ("l1", (3 + 1) / 2), ("huber", (2.5 + 0.5) / 2)]
)
def test_numbers_are_compared_one_to_one(name: str, wanted: float) -> None:
    """(N, 1) and (N,) would otherwise be spread over (N, N) without a word."""
    loss = build_loss(name, task="regression")
    assert loss(torch.tensor([[4.0], [-2.0]]), NUMBERS).item() == pytest.approx(wanted)


def test_every_task_has_a_loss_of_its_own() -> None:
    for task, name in AUTO.items():
        assert task in TASKS[name]


@pytest.mark.parametrize(
    ("name", "task", "more", "sentence"),
    [
        ("mse", "classification", {}, "loss = mse is not for classification: use auto, cross_entropy, bce."),
        ("cross_entropy", "regression", {}, "is not for regression: use auto, mse, l1, huber."),
        ("hinge", "regression", {}, "loss = hinge: there are auto, cross_entropy, bce, mse, l1, huber"),
        ("l1", "regression", {"label_smoothing": 0.1}, "label_smoothing is for classes"),
        ("l1", "regression", {"class_weights": torch.ones(1)}, "class_weights are for classes"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, task: str, more: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build_loss(name, task=task, **more)


def test_weights_of_the_classes() -> None:
    assert class_weights((), [1, 2]) is None
    balanced = class_weights(("balanced",), [30, 10, 0])
    assert balanced is not None
    assert balanced[:2].tolist() == pytest.approx([40 / 3 / 30, 40 / 3 / 10])
    given = class_weights(("2", "0.5"), [30, 10])
    assert given is not None
    assert given.tolist() == [2.0, 0.5]
    with pytest.raises(ConfigError, match="class_weights has 1 numbers, but there are 2 classes"):
        class_weights(("2",), [30, 10])
