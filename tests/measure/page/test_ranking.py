"""The words on the ranking say what its tables hold."""

import jinja2
import numpy as np
import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page import ranking as words  # pytest would take its `tests_chapter` for a test
from pipeline.measure.page.page import TEMPLATE
from pipeline.measure.tables.ranking import ALL
from tests.measure.tables.ranked import ladder, ranked_story, scores_of_values

PLACE = ("digits", "unet_tiny")


def story_of(values: np.ndarray, **others: float):
    return ranked_story({PLACE: scores_of_values(values, noise=0.01)}, **others)


def sentences(values: np.ndarray, **others: float) -> str:
    (paragraph,) = words.ranking_chapter(story_of(values, **others), "digits")["ranking_sentences"]
    return paragraph


def test_words_name_the_best_and_how_often_it_is_first():
    values = np.array([[0.5, 0.6, 0.7, 0.8]] * 3)
    assert sentences(values).startswith(
        "focal_tversky_2 with class_weights is first in 100 % of 400 resamples of seeds and test images and among the "
        "first 3 in 100 %. The order of a resample agrees with that of the leaderboard with Kendall's tau 1.00 "
        "[1.00, 1.00], where 1 is the same order"
    )


def test_words_name_the_metrics_that_agree_least_and_most():
    text = sentences(ladder(5, 3), mdice=1.0, hd95_image=1.0)
    assert f"tau from -1.00 ({METRICS['hd95_image'].title}) to +1.00 ({METRICS['mdice'].title})." in text


def test_one_seed_is_said_to_draw_test_images_alone():
    assert "resamples of test images (not of seeds: there is one)" in sentences(ladder(4, 1))


def test_the_top_three_of_three_are_not_worth_a_word():
    assert "among the first" not in sentences(ladder(3, 3))


@pytest.mark.parametrize("values", [ladder(1, 3), np.full((2, 3), np.nan)])
def test_nothing_is_ranked_without_two_experiments(values):
    assert sentences(values) == "There is nothing to rank: fewer than two experiments have finished."


def test_equal_experiments_are_said_to_tie():
    story = ranked_story({PLACE: scores_of_values(np.full((3, 4), 0.5))})
    chapter = words.ranking_chapter(story, "digits")
    assert chapter["ranking_sentences"][0].endswith("All experiments tie.")
    assert chapter["test_sentences"][0].startswith("4 experiments over 3 seeds tie in every one.")


def test_warning_stands_beside_the_tests():
    chapter = words.ranking_chapter(story_of(ladder(16, 3)), "digits")
    assert "3 seeds cannot reach p < 0.05" in chapter["test_warnings"][0]
    assert "Friedman's test finds chi-squared(15) = " in chapter["test_sentences"][0]
    assert chapter["test_sentences"][0].endswith("tells none of 120 pairs apart.")


def test_pairs_told_apart_are_counted():
    chapter = words.ranking_chapter(story_of(ladder(3, 12) + np.array([0.0, 1.0, 2.0])), "digits")
    assert chapter["test_warnings"] == []
    assert chapter["test_sentences"][0].endswith("tells 3 of 3 pairs apart.")


def test_tests_over_datasets_stand_in_no_chapter_of_one():
    scores = {(name, "unet_tiny"): scores_of_values(ladder(4, 3)) for name in ("digits", "streets")}
    story = ranked_story(scores)
    assert words.tests_chapter(story, "digits") == {"test_sentences": [], "test_warnings": []}
    assert words.tests_chapter(story, ALL)["test_sentences"][0].startswith("4 experiments over 2 datasets")


def test_several_models_are_named():
    scores = {("digits", model): scores_of_values(ladder(4, 3)) for model in ("unet_tiny", "unet_large")}
    chapter = words.ranking_chapter(ranked_story(scores), "digits")
    assert [text.split(":")[0] for text in chapter["ranking_sentences"]] == ["unet_tiny", "unet_large"]
    assert chapter["ranks"][0]["model"] == "unet_tiny"


def test_rows_are_readable():
    row = words.ranking_chapter(story_of(np.array([[0.5, 0.6, 0.7]] * 2)), "digits")["ranks"][0]
    assert row == {
        "loss": "focal_tversky_1",
        "strategy": "class_weights",
        "n": "2",
        "rank": "1",
        "mean rank": "1.0",
        "its interval": "[1, 1]",
        "first": "100 %",
        "top 3": "100 %",
    }


def test_template_shows_everything_and_escapes_it():
    chapter = words.ranking_chapter(story_of(ladder(16, 3), mdice=1.0), "digits") | {"dataset": "a & b", "pictures": []}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    story = story_of(ladder(16, 3))
    page = environment.get_template("page.ranking.html.j2").render(chapter=chapter, story=story, metric=METRICS["miou"])
    assert str(jinja2.filters.escape(chapter["test_warnings"][0])) in page
    assert "Ranks of a &amp; b" in page
    assert page.count("<tr") == 1 + 16 + 1 + 1
