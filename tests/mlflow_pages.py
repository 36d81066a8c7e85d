"""The pages of MLflow that people open, in a real browser over a real server: for tests, and for the pictures in docs.

`python -m tests.mlflow_pages FOLDER` opens each page of the `mlflow.db` here and takes a picture of it.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

from tests.mlflow_server import Server

PROGRAM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1360, "height": 860}
PATIENCE = 600_000  # milliseconds; the pages are large, and other work may go on
NAME = "attributes.`Run Name`"  # the first column of the table of runs
AS_IF_USED_BEFORE = """
localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');  // the switch at the top left
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");  // a panel that opens only once
"""


class Site(NamedTuple):
    """A server, the experiment of a dataset there, and its runs by name, best first."""

    uri: str
    dataset: str
    experiment: str
    runs: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, uri: str, dataset: str) -> "Site":
        found = _ask(uri, "experiments/get-by-name", experiment_name=dataset)["experiment"]["experiment_id"]
        order = ["metrics.`test/miou` DESC"]
        runs = _ask(uri, "runs/search", post=True, experiment_ids=[found], max_results=1000, order_by=order)["runs"]
        return cls(uri, dataset, found, {run["info"]["run_name"]: run for run in runs})

    def tags(self, name: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.runs[name]["data"]["tags"]}

    def of_kind(self, kind: str) -> list[str]:
        """Names of the current runs of this kind."""
        wanted = {"kind": kind, "state": "current"}.items()
        return [name for name in self.runs if wanted <= self.tags(name).items()]

    def id_of(self, name: str) -> str:
        return self.runs[name]["info"]["run_id"]

    def metric(self, name: str, key: str) -> float:
        return next(each["value"] for each in self.runs[name]["data"]["metrics"] if each["key"] == key)

    def address(self, place: str) -> str:
        return f"{self.uri}/#/{place}"


def _ask(uri: str, what: str, post: bool = False, **about: Any) -> dict[str, Any]:
    address = f"{uri}/api/2.0/mlflow/{what}"
    answer = requests.post(address, json=about, timeout=60) if post else requests.get(address, about, timeout=60)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page in a browser of its own, set to what MLflow calls model training."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS) as browser,
    ):
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.add_init_script(AS_IF_USED_BEFORE)
        yield page


def open_view(page: Page, site: Site, name: str) -> None:
    """The runs, in the saved view of that name, as a person finds it."""
    page.goto("about:blank")
    page.goto(site.address(f"experiments/{site.experiment}/runs"))
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menu").get_by_text(name, exact=True).click()


def rows_of(page: Page, column: str) -> list[str]:
    """What stands in a column of the table that is drawn, from top to bottom."""
    return page.evaluate(
        """column => [...document.querySelectorAll(`.ag-row [col-id="${column}"]`)]
             .map(cell => [+cell.closest(".ag-row").getAttribute("row-index"), (cell.querySelector("a") ?? cell).innerText.trim()])
             .sort((one, other) => one[0] - other[0]).map(each => each[1])""",
        column,
    )


def wait_for_rows(page: Page, names: list[str]) -> None:
    """Until the table has these runs: at first it shows all."""
    until = time.monotonic() + PATIENCE / 1000
    while sorted(rows_of(page, NAME)) != sorted(names):
        assert time.monotonic() < until, f"{rows_of(page, NAME)} are shown, not {names}"
        page.wait_for_timeout(200)


def scroll(page: Page, pixels: int) -> None:
    """Show what stands so far to the right in the table."""
    page.locator(".ag-center-cols-viewport").evaluate(f"table => table.scrollLeft = {pixels}")


def as_charts(page: Page) -> None:
    expect(page.locator(".ag-row a").first).to_be_visible()  # before that, the view that was chosen may yet undo it
    page.locator("label", has=page.locator("input[name=runs-view-mode][value=CHART]")).click()


def leaderboard(page: Page, site: Site) -> None:
    """The experiments in the order of the report, with what it says of them."""
    open_view(page, site, "Leaderboard")
    summaries = site.of_kind("summary")
    wait_for_rows(page, summaries)
    scores = [site.metric(name, "test/miou") for name in summaries]
    assert [float(text) for text in rows_of(page, "metrics.`test/miou`")] == pytest.approx(scores, abs=1e-5)
    scroll(page, 900)  # columns that are out of sight are not drawn
    page.wait_for_function("document.querySelector('.ag-row [col-id=\"tags.`verdict`\"]')")
    assert set(rows_of(page, "tags.`verdict`")) == {site.tags(name)["verdict"] for name in summaries}
    scroll(page, 0)


def seeds(page: Page, site: Site) -> None:
    """The cells below their experiment."""
    open_view(page, site, "Experiments with their seeds")
    summaries = site.of_kind("summary")
    wait_for_rows(page, summaries)
    first = rows_of(page, NAME)[0]
    page.locator(f".ag-row [col-id='{NAME}'] button").first.click()
    below = [name for name in site.of_kind("cell") if site.tags(name)["mlflow.parentRunId"] == site.id_of(first)]
    for name in below:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    assert sorted(rows_of(page, NAME)[1 : 1 + len(below)]) == sorted(below)


def charts(page: Page, site: Site) -> None:
    """Bars of the primary metric and of the difference from the control, and what the former cost."""
    open_view(page, site, "Leaderboard")
    as_charts(page)
    for title in ("test/miou", "control/difference", "cost/seconds vs. test/miou"):
        expect(page.get_by_text(title, exact=True).first).to_be_visible()
    expect(page.get_by_text(f"{len(site.of_kind('summary'))} matching runs")).to_be_visible()
    bars = page.locator(".plot-container").first.locator(".bars path")
    expect(bars).to_have_count(len(site.of_kind("summary")))


def curves(page: Page, site: Site) -> None:
    """A line per training over the iterations."""
    open_view(page, site, "Curves")
    as_charts(page)
    for title in ("val/miou", "train/loss"):
        expect(page.get_by_text(title, exact=True).first).to_be_visible()
    expect(page.locator(".plot-container .scatterlayer .js-line").first).to_be_attached()


def predictions(page: Page, site: Site) -> None:
    """The pictures of the cells side by side."""
    open_view(page, site, "Predictions")
    as_charts(page)
    pictures = page.locator("img[src*='get-artifact?path=images%2Fpredictions']")
    expect(pictures.first).to_be_visible()
    page.wait_for_function(
        "[...document.images].some(each => each.src.includes('predictions') && each.naturalWidth > 100)"
    )
    assert pictures.count() == min(10, len(site.of_kind("cell")))  # MLflow shows ten at most


def compare(page: Page, site: Site) -> None:
    """Two runs beside each other."""
    one, other = site.of_kind("cell")[:2]
    runs, places = (quote(json.dumps(each)) for each in ([site.id_of(one), site.id_of(other)], [site.experiment]))
    page.goto(site.address(f"compare-runs?runs={runs}&experiments={places}"))
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for name in (one, other):
        expect(page.get_by_text(name, exact=True)).to_be_visible()


def models(page: Page, site: Site) -> None:
    """The leaderboard once more, best first, with the registered model above it."""
    page.goto(site.address(f"experiments/{site.experiment}/models"))
    expect(page.get_by_text("v1", exact=True)).to_be_visible()
    entries = [name.replace(" · all seeds", "") for name in site.of_kind("summary")]
    for name in entries:
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    scroll(page, 820)
    expect(page.locator(".ag-header-cell", has_text="test/miou")).to_be_visible()


def report(page: Page, site: Site) -> None:
    """The page of the report, which MLflow draws."""
    (run,) = site.of_kind("report")
    page.goto(site.address(f"experiments/{site.experiment}/runs/{site.id_of(run)}/artifacts/index.html"))
    title = page.frame_locator("iframe").get_by_text("Which loss, and which treatment of class imbalance?")
    expect(title).to_be_visible()
    page.get_by_text("Path:").evaluate("line => line.style.visibility = 'hidden'")  # it is of one machine


def registry(page: Page, site: Site) -> None:
    """The best cell of the dataset."""
    page.goto(site.address(f"models/{site.dataset}"))
    expect(page.get_by_role("link", name="Version 1", exact=True)).to_be_visible()
    expect(page.get_by_text("@ best")).to_be_visible()


PAGES: dict[str, Callable[[Page, Site], None]] = {
    each.__name__: each for each in (leaderboard, seeds, charts, curves, predictions, compare, models, report, registry)
}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with Server(Path.cwd()) as server, browser_page() as page:
        site = Site.of(server.uri, sys.argv[2] if len(sys.argv) > 2 else "digits")
        for name, look in PAGES.items():
            look(page, site)
            page.screenshot(path=folder / f"{name}.png")
            print(name)


if __name__ == "__main__":
    main()
