"""What `publish` shows is seen in a real browser, on the pages of a real server to which it was published over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.exported_runs import exported
from tests.mlflow_pages import PAGES, PROGRAM, Site, browser_page
from tests.mlflow_server import Server

pytestmark = pytest.mark.xdist_group("miniature b")


@pytest.fixture(scope="module")
def server(finished, tmp_path_factory) -> Iterator[Server]:
    """A server with the finished workspace."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        finished.run("pipeline.publish", MLFLOW_TRACKING_URI=server.uri)
        yield server


@pytest.fixture(scope="module")
def page(server) -> Iterator[tuple[Page, Site]]:
    if not PROGRAM:
        pytest.skip("needs chromium")
    with browser_page() as page:
        yield page, Site.of(server.uri, "digits")


@pytest.mark.parametrize("look", PAGES.values(), ids=PAGES)
def test_a_page_shows_what_it_should(page, look):
    look(*page)


@pytest.fixture(scope="module")
def served(server, finished) -> dict[str, Any]:
    return exported(finished, MLFLOW_TRACKING_URI=server.uri)


def without_ids(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in run.items() if key != "id"} for run in found["runs"]]


def test_a_server_has_all_that_a_file_has_with_its_artifacts(served, server, finished):
    filed = exported(finished)
    assert without_ids(served) == without_ids(filed)
    assert [model["name"] for model in served["models"]] == [model["name"] for model in filed["models"]]
    assert [version["aliases"] for version in served["versions"]] == [["best"]]
    assert list((server.root / "served").rglob("cell.json")), "the server keeps them"


def test_publishing_again_to_a_server_changes_nothing(served, server, finished):
    finished.run("pipeline.publish", MLFLOW_TRACKING_URI=server.uri)
    assert exported(finished, MLFLOW_TRACKING_URI=server.uri) == served
