"""The page holds every result, loads nothing, and is readable in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.page import write_page
from pipeline.measure.page.summary import sentence

VOID_ELEMENTS = {"meta", "img", "br"}
LOADING = {"src", "srcset", "poster", "data", "action", "background"}
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # with all of these, the browser would still look for updates
]
MEASURE = """<script>addEventListener("load", () => parent.postMessage({
  window: innerWidth, page: document.documentElement.scrollWidth,
  images: document.images.length, decoded: [...document.images].filter(image => image.naturalWidth > 0).length,
}, "*"))</script>"""
WRAPPER = """<!doctype html><body><pre></pre><script>addEventListener("message",
  event => document.querySelector("pre").append(JSON.stringify(event.data) + "\\n"))</script>
<iframe src="measured.html" style="border: 0; width: 375px; height: 800px"></iframe>
<iframe src="measured.html" style="border: 0; width: 1280px; height: 800px"></iframe></body>"""


class Page(HTMLParser):
    """Checks that tags are balanced, and collects texts, attributes and ids."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.texts, self.attributes, self.tags = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else, at {self.getpos()}"

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def directory(story, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("report") / "report"
    write_page(where, story)
    return where


@pytest.fixture(scope="module")
def page(directory) -> Page:
    return Page((directory / "index.html").read_text(encoding="utf-8"))


def test_verdict_comes_before_everything_else(page, story):
    first = page.text.index(sentence(story, next(iter(story.datasets))).split(";")[0])
    assert first < page.text.index("Partial:") < page.text.index("Leaderboard")


def test_every_experiment_has_its_row(directory, story):
    html = (directory / "index.html").read_text(encoding="utf-8")
    board = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", html)]
    shown = [(row[0], row[1], row[3]) for row in board if len(row) == 10]
    wanted = [(row["loss"], row["strategy"], f"{row['miou']:.3f}") for row in story.leaderboard.to_dict("records")]
    assert shown == wanted


def test_says_what_diverged_and_what_is_missing(page):
    assert "seed 1 diverged at iteration 480" in page.text
    assert "1 of 54 cells are missing: streets-unet_tiny-focal-oversample-2." in page.text
    assert "54 cells: 52 finished, 1 diverged, 1 missing." in page.text


def test_explains_metrics_and_provenance(page, story):
    for name, metric in METRICS.items():
        assert f"{metric.title} {name} {metric.formula} {metric.averages}" in page.text
    for fact in ("2.13.0", "cpu: x86_64", "0123abc", "digest-of-streets", "CC BY 4.0", "Someone & Other (2020)"):
        assert fact in page.text


def test_names_are_escaped(page, directory):
    html = (directory / "index.html").read_text(encoding="utf-8")
    assert "tree &lt;tall&gt;" in html
    assert "sky &amp; cloud" in html
    assert "tree <tall>" in page.text


def test_loads_nothing_and_has_no_script(page, directory):
    loaded = [value for name in LOADING for value in page.values(name)]
    assert loaded
    assert all(value.startswith("data:image/png;base64,") for value in loaded)
    assert all(value.startswith("#") for value in page.values("href"))
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"@import|url\(", (directory / "index.html").read_text(encoding="utf-8"))


def test_links_and_alternative_texts(page):
    assert {value.removeprefix("#") for value in page.values("href")} == set(page.values("id"))
    assert len(page.values("id")) == len(set(page.values("id")))
    assert len([text for text in page.values("alt") if text]) == page.tags.count("img")


def test_figures_lie_beside_the_page(directory):
    gradients = ("gradient-norms-{}", "gradient-classes-{}", "gradient-cosines-{}")
    kinds = ("heatmap-{}", "effects-{}", "curves-{}", "classes-{}", *gradients, "gallery-{}-0", "gallery-{}-1")
    wanted = {f"{kind.format(f'{dataset}-unet_tiny')}.png" for kind in kinds for dataset in ("digits", "streets")}
    wanted.add("rates-digits-unet_tiny.png")  # no search was made for the other
    assert {file.name for file in (directory / "figures").iterdir()} == wanted


def test_equal_stories_give_equal_bytes_and_old_files_go(directory, story, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.html").touch()
    write_page(tmp_path / "report", story)
    files = {file.relative_to(directory): file.read_bytes() for file in directory.rglob("*.*")}
    again = tmp_path / "report"
    assert files == {file.relative_to(again): file.read_bytes() for file in again.rglob("*.*")}
    assert sum(map(len, files.values())) < 6_000_000


def test_says_which_strategy_helps_which_loss(page, story):
    """The mean with its interval, the analysis, and every pair as a table."""
    assert page.text.count("Which strategy helps which loss Averaged over 3 losses, ") == 2
    main = story.factorial.main.set_index(["dataset", "level"]).loc[("streets", "oversample")]
    spread = f"{main['mean']:+.3f} [{main['low']:+.3f}, {main['high']:+.3f}] {main['p_holm']:.3f} {main['verdict']}"
    assert f"strategy oversample {main['n']} {spread}" in page.text
    line = story.factorial.two_way.set_index(["dataset", "effect"]).loc[("streets", "loss x strategy")]
    assert f"loss × strategy {line['n']} 4, {line['df_error']} {line['F']:.2f} {line['epsilon']:.2f}" in page.text
    pair = story.factorial.effects.set_index(["dataset", "loss", "strategy"]).loc[("streets", "dice", "oversample")]
    assert f"dice oversample {pair['n']} {pair['mean']:+.3f} [{pair['low']:+.3f}, " in page.text


def test_says_what_the_network_saw(page):
    assert "strategy cells three 0.4 % two 1.1 % one 2.5 % zero 6 % background 90 % none 9 0.4 % 1.1 %" in page.text
    assert "oversample 9 4.2 % 6.9 % 10 % 16 % 62 %" in page.text


def test_sections_of_which_nothing_is_known_are_absent(page, nothing_finished, tmp_path):
    assert "Decisions fitted on the validation split" not in page.text
    assert "-dial" not in page.values("id")
    write_page(tmp_path / "report", nothing_finished)
    assert "What the network saw" not in Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8")).text


@pytest.fixture(scope="module")
def dialled(tell, sizes, tmp_path_factory) -> Path:
    """The page of two positions of a dial, with strategies that only decide."""
    strategies = ["none", "class_weights", "class_thresholds"]
    where = tmp_path_factory.mktemp("dialled") / "report"
    write_page(where, tell({**sizes(2, 1, 3), "dataset": ["digits", "digits_rare"], "strategy": strategies}))
    return where


def test_the_dial_has_a_section_with_words_figure_and_table(dialled):
    page = Page((dialled / "index.html").read_text(encoding="utf-8"))
    assert "digits: three, from 0.4 % to 0.04 % of the pixels" in page.text
    assert "dataset share of pixels loss better worse digits 0.4 % cross_entropy " in page.text
    assert (dialled / "figures" / "dial-digits-unet_tiny.png").is_file()
    assert {value.removeprefix("#") for value in page.values("href")} == set(page.values("id"))


def test_decisions_stand_with_their_scores_and_what_shares_weights_is_said(dialled):
    page = Page((dialled / "index.html").read_text(encoding="utf-8"))
    head = "loss strategy n validation mIoU before after three two one zero background cross_entropy class_thresholds 3"
    assert head in page.text
    assert "and so too good" in page.text
    assert "Cells of class_thresholds judge the weights of none once more" in page.text
    assert "class_thresholds: nothing is trained." in page.text


def test_one_seed(one_seed, tmp_path):
    write_page(tmp_path / "report", one_seed)
    page = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert "it is the only experiment" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_nothing_finished(nothing_finished, tmp_path):
    write_page(tmp_path / "report", nothing_finished)
    page = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert "On digits, nothing has finished: " in page.text
    assert "16 of 16 cells are missing" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_two_models_are_told_apart(tell, sizes, tmp_path):
    write_page(tmp_path / "report", tell({**sizes(1, 2, 2), "model": ["unet_tiny", "unet_large"]}))
    page = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert page.text.count("unet_large cross_entropy none") == 4  # leaderboard and class table of two datasets
    assert (tmp_path / "report" / "figures" / "heatmap-digits-unet_large.png").is_file()


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """`browse(file, *options)`: standard output, console lines and requested addresses of a headless browser."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("needs chromium")

    def browse(file: Path, *options: str) -> tuple[str, list[str], list[str]]:
        new = tmp_path_factory.mktemp("browser")
        logs = [f"--log-net-log={new / 'net.json'}", f"--user-data-dir={new / 'profile'}"]
        command = [browser, *FLAGS, *logs, *options, file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        log = json.loads((new / "net.json").read_text())
        # Each request names the origin that caused it; those of the browser itself have none.
        requests = [event["params"] for event in log["events"] if "initiator" in event.get("params", {})]
        asked = [each["url"] for each in requests if each["initiator"] != "not an origin"]
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line], asked

    return browse


def test_browser_asks_for_nothing_and_complains_of_nothing(browse, directory, tmp_path):
    _, console, asked = browse(directory / "index.html", f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert console == []
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


def test_browser_would_show_a_request_and_a_complaint(browse, tmp_path):
    (tmp_path / "bad.html").write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('bad')</script>")
    _, console, asked = browse(tmp_path / "bad.html", "--dump-dom")
    assert console
    assert "http://127.0.0.1:9/x.png" in asked


@pytest.mark.parametrize("which", ["directory", "dialled"])
def test_fits_a_phone_and_a_desktop_and_shows_all_images(browse, which, request, tmp_path):
    html = (request.getfixturevalue(which) / "index.html").read_text(encoding="utf-8")
    (tmp_path / "measured.html").write_text(html.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    (tmp_path / "wrapper.html").write_text(WRAPPER, encoding="utf-8")
    dom, _, _ = browse(tmp_path / "wrapper.html", "--dump-dom", "--virtual-time-budget=5000")
    measured = sorted(
        (json.loads(line) for line in re.findall(r"\{.*images.*\}", dom)), key=lambda each: each["window"]
    )
    assert [each["window"] for each in measured] == [375, 1280]
    for each in measured:
        assert each["page"] <= each["window"]
        assert each["decoded"] == each["images"] == Page(html).tags.count("img")
