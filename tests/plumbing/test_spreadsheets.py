"""A text never begins like a formula, and every text comes back as it was."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.tables.gradients import COLUMNS, read_gradients, write_gradients
from pipeline.plumbing.files import read_csv, write_csv
from pipeline.plumbing.prepared import Original, read_test_images, write_test_images
from pipeline.plumbing.spreadsheets import harmless, harmless_table, original, original_table

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1.5",
    "-",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "''=1",
    "-3.png",
    '=a,b"c',
]
TABLED = [text for text in FORMULAS if "\r" not in text]  # pandas does not quote it, and classes have none
PLAIN = ["", "background", "'quoted'", "'", "''", "a=b", "1", "0-1", " =1", "nan", "ü", "a\nb", "\x1b[2J"]


def assert_no_formula(file: Path) -> None:
    """As a spreadsheet sees it: what is no number begins with none of the characters."""
    for column in pd.read_csv(file, keep_default_na=False).select_dtypes(exclude="number"):
        cells = pd.read_csv(file, keep_default_na=False, dtype=str)[column]
        assert not cells.str.match(r"[=+\-@\t\r\n]").any()


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe_and_loses_it_again(text):
    """The characters are those that OWASP names, and a line end."""
    assert harmless(text) == f"'{text}"
    assert harmless(text)[0] not in "=+-@\t\r\n"
    assert original(harmless(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_are_written_as_they_are(text):
    assert harmless(text) == original(text) == text


@pytest.mark.parametrize("number", [-1, -1.5, -np.inf, np.float64(-2), np.int64(-3), None, True])
def test_numbers_are_left_alone(number):
    assert harmless(number) is number


def test_a_csv_file_gives_back_its_texts_and_its_numbers(tmp_path):
    rows = [{"name": text, "number": -1.5} for text in [*FORMULAS, *PLAIN]]
    write_csv(tmp_path / "t.csv", rows, ["name", "number"])
    assert [row["name"] for row in read_csv(tmp_path / "t.csv")] == [*FORMULAS, *PLAIN]
    assert (pd.read_csv(tmp_path / "t.csv", dtype={"name": str})["number"] == -1.5).all()
    assert_no_formula(tmp_path / "t.csv")


def test_a_table_gives_back_its_texts_and_keeps_its_types():
    table = pd.DataFrame(
        {
            "name": [*TABLED, *PLAIN],
            "score": -0.5,
            "mixed": [None, -1, "=1", *["x"] * (len(TABLED + PLAIN) - 3)],
            "whole": pd.array([-1, None] + [3] * (len(TABLED + PLAIN) - 2), dtype="Int64"),
            "=of a class": 1,
        }
    )
    written = harmless_table(table)
    assert written.columns[-1] == "'=of a class"
    assert written["mixed"].tolist()[1:3] == [-1, "'=1"]
    pd.testing.assert_frame_equal(written[["score", "whole"]], table[["score", "whole"]])
    file = io.StringIO(written.to_csv(index=False, float_format="%.6f"))
    read = original_table(pd.read_csv(file, dtype={"name": str}, keep_default_na=False, na_values={"whole": [""]}))
    assert read["name"].tolist() == table["name"].tolist()
    assert read["score"].tolist() == table["score"].tolist()
    assert read.columns.tolist() == table.columns.tolist()


def test_a_table_without_formulas_is_written_to_the_same_bytes():
    """An object column of numbers would else become one of another type."""
    table = pd.DataFrame({"a": pd.Series([1, None, 3], dtype=object), "b": ["x", None, "y"], "c": [1.0, np.nan, -2.0]})
    assert harmless_table(table).to_csv() == table.to_csv()
    assert harmless_table(table[:0]).to_csv() == table[:0].to_csv()


def test_test_images_have_their_names_and_groups_after_all(tmp_path):
    images = [Original(text, other, 3, 4) for text, other in zip(FORMULAS, reversed(FORMULAS), strict=True)]
    write_test_images(tmp_path, images)
    assert read_test_images(tmp_path) == images
    assert_no_formula(tmp_path / "test_images.csv")


def test_gradients_of_a_class_that_is_called_like_a_formula_are_found(tmp_path):
    place = {"dataset": "digits", "model": "unet", "loss": "dice", "at": "start"}
    rows = {
        "norms": [{**place, "state": "", **dict.fromkeys(COLUMNS.norms[5:], -1.0)}],
        "classes": [{**place, "class_name": text, "pixel_share": 0.1, "gradient_share": -0.1} for text in TABLED],
        "cosines": [],
    }
    write_gradients(tmp_path / "gradients", rows)
    axes = {"dataset": ["digits"], "model": ["unet"], "loss": ["dice"]}
    read = read_gradients(tmp_path / "gradients", axes)
    assert read.classes["class_name"].tolist() == TABLED
    assert read.classes["gradient_share"].tolist() == [-0.1] * len(TABLED)
    assert read.norms["cosine"].tolist() == [-1.0]
    assert_no_formula(tmp_path / "gradients" / "classes.csv")
