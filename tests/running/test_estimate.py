"""What a run would do, in words."""

from pipeline.running.estimate import Cost, described

STAGES = [
    "tune@d-m-dice",
    "train@d-m-dice-none-0",
    "train@d-m-dice-none-1",
    "train@d-m-l1-none-0",
    "repeat@d-m-l1-none-7",
]


def test_stages_of_one_kind_are_counted_together():
    """Four cells of 100 s and a search of 20 s, two at a time; disk of all, and what runs at once of the rest."""
    costs = {stage: Cost(100.0, 3_000_000, 8_000_000) for stage in STAGES} | {STAGES[0]: Cost(20.0, 0, 0)}
    lines = described(STAGES, costs, 2)
    assert [" ".join(line.split()) for line in lines[:-1]] == [
        "tune d × m × dice 1 search, about 20 s",
        "train d × m × dice 2 cells, about 3 min",
        "train d × m × l1 1 cell, about 2 min",
        "repeat d × m × l1 1 repeat, about 2 min",
    ]
    assert lines[-1] == (
        "Estimate from a few steps of each kind: about 4 min, 2 at a time; about 12.0 MB of disk, and 16.0 MB more "
        "while they run."
    )


def test_it_takes_no_less_than_the_longest_stage():
    costs = dict(zip(STAGES, [Cost(600.0, 0, 0), *[Cost(1.0, 0, 0)] * 4], strict=True))
    assert "about 10 min, 5 at a time" in described(STAGES, costs, 5)[-1]
    assert "about 10 min, one after another" in described(STAGES, costs, 1)[-1]


def test_where_nothing_is_known_of_the_time_nothing_is_said_of_it():
    assert described(STAGES[:1], {}, 1) == ["tune    d × m × dice                                  1 search"]
