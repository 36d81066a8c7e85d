"""How far the stages of a run have come."""

import pytest

from pipeline.running.matrix import Matrix
from pipeline.running.stage import Result

STAGES = [f"train@cell-{number}" for number in range(5)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def matrix(clock) -> Matrix:
    return Matrix(STAGES, clock)


def result(seconds: float = 10.0, **facts) -> Result:
    return Result(**{"code": 0, "ran": True, "diverged": False, "log": ""} | facts, seconds=seconds)


def progress(iteration: int) -> dict:
    return {"kind": "progress", "iteration": iteration, "iterations": 100, "images_per_second": 8.0}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "done"),
        ({"ran": False}, "restored"),
        ({"diverged": True}, "diverged"),
        ({"code": 1}, "failed"),
        ({"code": 255, "diverged": True}, "failed"),
    ],
)
def test_states(matrix, facts, state):
    assert matrix.counts() == {"waiting": 5}
    matrix.tell(STAGES[1], {"kind": "begin"})
    assert matrix.stages("running") == [STAGES[1]]
    matrix.tell(STAGES[1], {"kind": "gone"})
    matrix.end(STAGES[1], result(**facts))
    assert matrix.counts() == {"waiting": 4, state: 1}
    assert matrix.stages(state) == [STAGES[1]]


def test_a_stage_that_begins_again_has_not_come_anywhere(matrix, clock):
    """After its worker died."""
    matrix.tell(STAGES[0], {"kind": "begin"})
    matrix.tell(STAGES[0], progress(50))
    clock.now = 30.0
    matrix.tell(STAGES[0], {"kind": "begin"})
    row = matrix.rows[STAGES[0]]
    assert (row.iteration, row.began, row.left(31.0)) == (0, 30.0, None)


def test_time_left_of_a_training_is_that_at_its_speed_so_far(matrix, clock):
    """20 iterations of 100 in 10 s leave 80, and libraries that load before the first do not count."""
    matrix.tell(STAGES[0], {"kind": "begin"})
    clock.now = 7.0
    matrix.tell(STAGES[0], progress(0))
    assert matrix.rows[STAGES[0]].left(clock.now) is None
    clock.now = 17.0
    matrix.tell(STAGES[0], progress(20))
    assert matrix.rows[STAGES[0]].left(clock.now) == pytest.approx(40.0)


def test_a_training_that_goes_on_from_a_checkpoint_is_not_taken_for_a_fast_one(matrix, clock):
    matrix.tell(STAGES[0], {"kind": "begin"})
    matrix.tell(STAGES[0], progress(60))
    clock.now = 10.0
    matrix.tell(STAGES[0], progress(80))
    assert matrix.rows[STAGES[0]].left(clock.now) == pytest.approx(10.0)


def test_time_left_of_all(matrix, clock):
    """One has taken 20 s, one runs and will take 50: those that wait take 35, two at a time."""
    assert matrix.left() is None
    matrix.tell(STAGES[0], {"kind": "begin"})
    matrix.tell(STAGES[1], {"kind": "begin"})
    clock.now = 20.0
    matrix.end(STAGES[0], result(20.0))
    matrix.tell(STAGES[1], progress(25))
    matrix.tell(STAGES[2], {"kind": "begin"})
    clock.now = 30.0
    matrix.tell(STAGES[1], progress(50))
    one, other, wait = 20.0, 35.0 - 10.0, 2 * 35.0
    assert matrix.left() == pytest.approx((one + other + wait) / 2)


def test_what_was_restored_says_nothing_of_the_time_of_trainings(matrix, clock):
    matrix.tell(STAGES[0], {"kind": "begin"})
    matrix.tell(STAGES[1], {"kind": "begin"})
    matrix.end(STAGES[0], result(2.0, ran=False))
    assert matrix.left() is None
