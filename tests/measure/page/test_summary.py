"""The leaderboard as text never shows a mean alone, and says what its numbers mean."""

import pytest

from pipeline.measure.page.summary import INTERVALS, leaderboard_rows, leaderboard_text, markdown_table, notes


def test_rows_are_ranked_and_the_noise_floor_stands_below(story):
    rows = leaderboard_rows(story, "digits")
    assert [row["rank"] for row in rows] == [*map(str, range(1, 10)), "–"]
    noise = story.noise.set_index("dataset").loc["digits"]
    assert rows[-1]["verdict"] == "noise floor"
    assert rows[-1]["mean IoU"] == f"{noise['score']:.3f}"
    assert rows[-1]["difference"] == f"{noise['mean']:+.3f}"


def test_numbers_are_those_of_the_tables(story):
    row = leaderboard_rows(story, "streets")[0]
    best = story.leaderboard[story.leaderboard["dataset"] == "streets"].iloc[0]
    keys = ["dataset", "loss", "strategy"]
    change = story.differences.set_index(keys).loc[tuple(best[keys])]
    assert (row["loss"], row["strategy"], row["n"]) == (best["loss"], best["strategy"], str(best["n"]))
    assert row["interval"] == f"[{best['miou_low']:.3f}, {best['miou_high']:.3f}]"
    assert row["its interval"] == f"[{change['low']:+.3f}, {change['high']:+.3f}]"
    assert row["verdict"] == change["verdict"]


def test_the_control_is_compared_with_nothing(story):
    (control,) = [row for row in leaderboard_rows(story, "digits") if row["verdict"] == "control"]
    assert control["difference"] == control["its interval"] == control["P(better)"] == ""


def test_what_did_not_finish_has_a_remark_and_where_all_did_there_is_no_such_column(story, tell, sizes):
    remarks = [row["remark"] for row in leaderboard_rows(story, "digits") if row["remark"]]
    assert remarks == ["seed 1 diverged at iteration 480"]
    assert "remark" not in leaderboard_rows(tell(sizes(2, 1, 2)), "digits")[0]


@pytest.mark.parametrize("interval", INTERVALS)
def test_notes_say_how_intervals_are_made_what_does_not_matter_and_at_which_size(story, interval):
    said = notes(story._replace(rules=story.rules._replace(interval=interval, rope=0.02)))
    assert INTERVALS[interval] in said
    assert "within ±0.02." in said
    assert "digits at prepared size, streets at prepared size" in said
    assert "checkpoint rule: best_validation_miou." in said


def test_markdown_has_a_verdict_and_a_table_for_each_dataset(story):
    text = leaderboard_text(story)
    for dataset in story.datasets:
        part = text.partition(f"## {dataset}\n\n")[2]
        assert part.startswith(f"On {dataset}, with this budget")
        assert markdown_table(leaderboard_rows(story, dataset)) in part
