import itertools

from tui_trainer.engine.lr_range import HIGH, LOW, Point, lr_range, suggest

from ..conftest import make_job


def test_the_rate_grows_until_the_loss_blows_up() -> None:
    points = list(lr_range(make_job(), 60))
    rates = [point.lr for point in points]
    assert rates[0] == LOW
    assert all(a < b for a, b in itertools.pairwise(rates))
    assert rates[-1] <= HIGH
    best = suggest(points)
    assert best is not None
    assert 1e-3 < best < 1, "what trains this job"


def test_it_can_be_given_up_between_two_steps() -> None:
    job = make_job()
    points = list(itertools.islice(lr_range(job, 1000), 3))
    assert len(points) == 3


def test_no_rate_is_suggested_where_the_loss_never_falls() -> None:
    assert suggest([Point(10.0**-i, 1.0) for i in range(20)]) is None
    assert suggest([]) is None
