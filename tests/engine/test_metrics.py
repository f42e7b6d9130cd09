import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_trainer.engine.metrics import (
    Classification,
    Confusion,
    Multilabel,
    Regression,
    average_precision,
)
from tui_trainer.engine.sums import Sums, _add_there

CPU = torch.device("cpu")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_means_are_over_samples_however_they_are_batched(sizes: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    outputs, targets = torch.randn(sum(sizes), 4, generator=draw), torch.randint(4, (sum(sizes),), generator=draw)
    sums = Sums(Classification(4), CPU)
    for out, target in zip(outputs.split(sizes), targets.split(sizes), strict=True):
        sums.add(torch.nn.functional.cross_entropy(out, target), out, target)
    loss, hits, count = sums.read()
    assert count == sum(sizes)
    assert loss / count == pytest.approx(torch.nn.functional.cross_entropy(outputs, targets).item(), rel=1e-5)
    assert hits == (outputs.argmax(1) == targets).sum().item()


@pytest.mark.parametrize("measure", [Classification(4), Multilabel(4), Regression([1.0] * 4)])
def test_sums_have_the_same_bits_whenever_they_are_read(measure: Classification | Multilabel | Regression) -> None:
    draw = torch.Generator().manual_seed(1)
    whole, read = Sums(measure, CPU), Sums(measure, CPU)
    interval, often = (
        Sums(measure, CPU, finite_only=True, within=whole),
        Sums(measure, CPU, finite_only=True, within=read),
    )
    for step in range(75):
        outputs = torch.randn(5 + step % 3 // 2, 4, generator=draw)
        targets = torch.rand(len(outputs), 4, generator=draw).round()
        targets = targets[:, 0].long() if isinstance(measure, Classification) else targets
        loss = torch.tensor(float("nan")) if step == 7 else torch.rand((), generator=draw)
        interval.add(loss, outputs, targets)
        often.add(loss, outputs, targets)
        if step % 4 == 0:
            assert often.read()[-1] == read.read()[-1] > 0
    assert whole.read() == read.read() == interval.read() == often.read()
    assert whole.count == sum(5 + step % 3 // 2 for step in range(75) if step != 7)
    there = torch.zeros(measure.size + 2)
    _add_there([there], [torch.ones(())] * 2, torch.ones(2, measure.size), 3, True)
    assert there.tolist() == [6.0, *[2.0] * measure.size, 6.0]


def test_sums_start_again_where_a_checkpoint_says() -> None:
    sums = Sums(Classification(4), CPU)
    sums.reset((1 / 3, 7.0, 9))
    assert sums.read() == (1 / 3, 7.0, 9)
    sums.reset()
    assert sums.read() == (0.0, 0.0, 0)


def test_a_count_beyond_what_float32_holds_is_exact() -> None:
    sums = Sums(Classification(4), CPU)
    sums.reset((0.0, 2.0**24, 2**24))
    sums.add(torch.tensor(0.0), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert sums.read() == (0.0, 2.0**24 + 1, 2**24 + 1)


def scores(rows: list[list[float]], targets: list[int]) -> dict[str, float]:
    confusion = Confusion(len(rows[0]), CPU)
    outputs, wanted = torch.tensor(rows), torch.tensor(targets)
    for at in range(len(targets)):  # batches of one
        confusion.add(outputs[at : at + 1], wanted[at : at + 1])
    return confusion.metrics()


def test_metrics_worked_out_by_hand() -> None:
    # true 0 0 1 1, predicted 0 1 1 1: class 0 has F1 2*1/(2+1), class 1 has 2*2/(2+3), class 2 does not occur
    metrics = scores([[9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 9, 0]], [0, 0, 1, 1])
    assert metrics == {"top1": 0.75, "f1": pytest.approx((2 / 3 + 4 / 5) / 2)}


def test_top5_counts_the_five_highest() -> None:
    row = [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert scores([row] * 4, [0, 4, 5, 6]) == {"top1": 0.25, "top5": 0.5, "f1": pytest.approx(0.4 / 4)}


def test_a_class_that_is_only_predicted_counts_in_f1() -> None:
    assert scores([[1, 0], [0, 1]], [0, 0])["f1"] == pytest.approx((2 / 3 + 0) / 2)


# Numbers and labels ---------------------------------------------------------------------------------------------------


@settings(deadline=None)  # scikit-learn is imported in the first example
@given(st.integers(2, 30), st.integers(1, 3), st.integers(0, 99))
def test_errors_of_numbers_are_those_of_scikit_learn(count: int, numbers: int, seed: int) -> None:
    from sklearn import metrics

    draw = torch.Generator().manual_seed(seed)
    targets = torch.randn(count, numbers, generator=draw).double()
    outputs = targets + torch.randn(count, numbers, generator=draw)
    scale = [10.0**k for k in range(numbers)]
    measure = Regression(scale)
    whole, sums = measure.whole(CPU), Sums(measure, CPU)
    for out, target in zip(outputs.split(7), targets.split(7), strict=True):
        whole.add(out, target)
        sums.add(torch.tensor(0.0), out, target)
    true, said = (targets * torch.tensor(scale)).numpy(), (outputs * torch.tensor(scale)).numpy()
    found = whole.metrics()
    assert found["r2"] == pytest.approx(metrics.r2_score(true, said), abs=1e-6)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(true, said), rel=1e-6)
    rmse = metrics.mean_squared_error(true, said, multioutput="raw_values") ** 0.5
    assert found["rmse"] == pytest.approx(rmse.mean(), rel=1e-6)
    assert sums.means("train")["train_r2"] == pytest.approx(found["r2"], abs=1e-9)


def test_numbers_that_do_not_vary_have_no_r2() -> None:
    whole = Regression((1.0,)).whole(CPU)
    whole.add(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [3.0]]))
    assert str(whole.metrics()["r2"]) == "nan"


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 99))
def test_scores_of_labels_are_those_of_scikit_learn(count: int, seed: int) -> None:
    from sklearn import metrics

    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randint(-3, 4, (count, 3), generator=draw) + 0.5  # with ties
    targets = torch.randint(0, 2, (count, 3), generator=draw).float()
    targets[0] = 1.0  # each label occurs
    measure = Multilabel(3)
    whole = measure.whole(CPU)
    for out, target in zip(outputs.split(7), targets.split(7), strict=True):
        whole.add(out, target)
    found = whole.metrics()
    assert found["f1"] == pytest.approx(metrics.f1_score(targets, outputs > 0, average="macro", zero_division=0))
    assert found["map"] == pytest.approx(metrics.average_precision_score(targets, outputs, average="macro"))
    assert average_precision(torch.tensor([1.0, 1.0]), torch.tensor([True, False])) == 0.5
