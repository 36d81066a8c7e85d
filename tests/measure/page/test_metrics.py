"""All metrics stand in tables that fit, each once."""

import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.metrics import WIDEST, metric_groups

NAMES = ["loss", "strategy", "n"]


@pytest.fixture(scope="module")
def groups(story):
    return metric_groups(story, "digits")


def test_every_metric_has_one_column_and_no_table_is_too_wide(groups):
    columns = [[title for title in group.rows[0] if title not in NAMES] for each in groups.values() for group in each]
    assert max(map(len, columns)) <= WIDEST
    titles = [title for each in columns for title in each]
    assert len(titles) == len(set(titles)) == len(METRICS)


def test_experiments_stand_in_the_order_of_the_leaderboard(groups, story):
    board = story.leaderboard[story.leaderboard["dataset"] == "digits"]
    expected = list(board[["loss", "strategy"]].itertuples(index=False, name=None))
    for group in (group for each in groups.values() for group in each):
        assert [(row["loss"], row["strategy"]) for row in group.rows] == expected


def test_numbers_have_digits_that_count_and_memory_is_in_mebibytes(story):
    """1.5 GiB is 1536 MiB."""
    columns = {"peak_memory": 1.5 * 2**30, "peak_memory_std": 2**20, "seconds": 0.01234, "seconds_std": 0.00012}
    ends = {f"{name}_{end}": float("nan") for name in ("peak_memory", "seconds") for end in ("low", "high")}
    board = story.leaderboard.assign(**columns, **ends)
    (group,) = metric_groups(story._replace(leaderboard=board), "digits")["cost"]
    assert group.rows[0]["peak memory (MiB)"] == "1536 ± 1"
    assert group.rows[0]["total time (seconds)"] == "0.0123 ± 0.0001"
