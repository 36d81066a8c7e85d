"""The page in a real browser, on a desk and on a phone, and on paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.measure.page.headline import headline
from pipeline.measure.page.page import write_page

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PAPER = 718  # width of A4 less 10 mm on either side, at 96 dots per inch
everywhere = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])


class Visit(NamedTuple):
    """A page that was opened, and what happened meanwhile."""

    page: Page
    console: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("needs chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def report(story, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("browser") / "report"
    write_page(where, story)
    return where / "index.html"


@pytest.fixture
def visit(browser):
    """`visit(file, size, **options)`: open a file and wait until it is drawn."""
    contexts = []

    def visit(file: Path, size: dict[str, int], **options) -> Visit:
        contexts.append(browser.new_context(viewport=size, **options))
        found = Visit(contexts[-1].new_page(), [], [])
        found.page.on("console", lambda message: found.console.append(message.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(file.as_uri(), wait_until="load")
        return found

    yield visit
    for context in contexts:
        context.close()


@everywhere
def test_page_asks_for_nothing_complains_of_nothing_and_fits(visit, report, size):
    page, console, requests = visit(report, size)
    assert console == []
    assert [address for address in requests if not address.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images.length") > 10


def test_a_request_and_a_complaint_would_be_seen(visit, tmp_path):
    """Otherwise the test above could not fail."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('bad')</script>")
    _, console, requests = visit(bad, DESK)
    assert "bad" in console
    assert "http://127.0.0.1:9/x.png" in requests


def test_the_page_itself_forbids_requests(visit, report):
    page, console, _ = visit(report, DESK)
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    page.wait_for_function("document.images[document.images.length - 1].complete")
    assert any("Content Security Policy" in line for line in console)


@everywhere
def test_the_verdict_is_on_the_first_screen(visit, report, story, size):
    page = visit(report, size).page
    said = headline(story, next(iter(story.datasets)))
    for text in (said.setting, said.answer, said.reason):
        box = page.get_by_text(text).first.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size["height"]


def column(page: Page, title: str) -> list[str]:
    """The texts of a column of the first leaderboard."""
    return page.evaluate(
        """title => {
          const table = document.querySelector("table.sortable");
          const at = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === title);
          return [...table.tBodies[0].rows].map(row => row.cells[at].textContent);
        }""",
        title,
    )


def test_a_click_on_a_header_sorts_and_the_next_one_turns_the_order(visit, report):
    page = visit(report, DESK).page
    before = column(page, "mean IoU")
    header = page.locator("table.sortable").first.locator("th", has_text="mean IoU")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "mean IoU") == sorted(before) != before
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column(page, "mean IoU") == sorted(before, reverse=True)
    assert page.locator("table.sortable").first.locator("[aria-sort]").count() == 1


def test_a_key_sorts_words_and_what_is_not_known_stays_last(visit, report):
    page = visit(report, DESK).page
    table = page.locator("table.sortable").first
    table.get_by_role("button", name="loss").press("Enter")
    assert column(page, "loss") == sorted(column(page, "loss"))
    for order in ("ascending", "descending"):
        table.get_by_role("button", name="difference", exact=True).press("Space")
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
        numbers = [float(text) for text in column(page, "difference") if text]
        assert numbers == sorted(numbers, reverse=order == "descending")
        assert column(page, "difference")[-1] == ""  # the control


def test_the_table_is_complete_and_marked_as_sorted_without_script(visit, report, story):
    page = visit(report, DESK, java_script_enabled=False).page
    table = page.locator("table.sortable").first
    assert table.locator("th[aria-sort=ascending]").inner_text() == "rank"
    assert table.locator("button").count() == 0
    experiments = (story.leaderboard["dataset"] == "digits").sum()
    assert table.locator("tbody tr").count() == experiments + 1  # the noise floor


def test_the_strip_has_a_row_for_each_that_leads(visit, report):
    rows = visit(report, PHONE).page.locator(".strip").first.locator(".row:not(.head)")
    assert rows.count() == 6
    assert all(box["width"] > 200 for box in (row.locator("svg").bounding_box() for row in rows.all()))


def test_contents_stay_in_sight(visit, report):
    page = visit(report, PHONE, reduced_motion="reduce").page
    page.locator("nav.contents a", has_text="Provenance").click()
    assert page.locator("nav.contents").bounding_box()["y"] == 0
    assert page.locator("h2", has_text="Provenance").bounding_box()["y"] < PHONE["height"]


def test_paper_gets_everything_that_is_folded(visit, report):
    page = visit(report, DESK).page
    folded = page.locator("details:not([open]) table")
    assert folded.count() > 0
    assert not folded.first.is_visible()
    page.emulate_media(media="print")
    assert page.evaluate("[...document.querySelectorAll('details table')].every(each => each.checkVisibility())")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 0


def test_tables_fit_on_paper(visit, report):
    page = visit(report, {"width": PAPER, "height": 1000}).page
    page.emulate_media(media="print")
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('table')].map(each => each.scrollWidth))")
    assert widest <= PAPER


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_either_scheme(visit, report, scheme):
    """The contrast that WCAG 2 asks for, of text and its background."""
    page = visit(report, DESK, color_scheme=scheme).page
    ratios = page.evaluate(
        """() => {
          const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
          const luminance = colour => {
            const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number).map(channel);
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
          };
          const behind = element => {
            const colour = getComputedStyle(element).backgroundColor;
            return /, 0\\)$/.test(colour) ? behind(element.parentElement) : colour;
          };
          return [...document.querySelectorAll("p, td, th, a, summary, .strip span, .claims b")].map(element => {
            const one = luminance(getComputedStyle(element).color), other = luminance(behind(element));
            return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
          });
        }"""
    )
    assert len(ratios) > 100
    assert min(ratios) >= 4.5
