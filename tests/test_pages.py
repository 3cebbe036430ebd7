"""The report and the site in a browser, at the widths of a desktop and of a phone."""

import base64
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from evaluation.report.compute_summary import summarize
from evaluation.report.page import write_report
from tests.evaluation.report.made_up import evaluation
from tests.pages import ROOT

WIDTHS = {1280: 800, 390: 844}  # A desktop, a phone.

# What reaches beyond the window, but for what lies in a box that scrolls: there it may.
BEYOND = """
const scrolls = element => element && element !== document.body && (
  ["auto", "scroll"].includes(getComputedStyle(element).overflowX)
  || getComputedStyle(element).position === "fixed" || scrolls(element.parentElement));
return [...document.querySelectorAll("body *")]
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
  .filter(element => !scrolls(element))
  .map(element => `${element.tagName} ${element.textContent.slice(0, 60)}`);
"""


def _programs() -> list[str | None]:
    return [shutil.which("chromium"), shutil.which("chromedriver")]


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in _programs(), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of [docs]")
    chromium, driver = _programs()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--disable-background-networking")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield running
    running.quit()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The site: WAVESTREAM_SITE, or built without the notebook's results."""
    if built := os.environ.get("WAVESTREAM_SITE"):
        return pathlib.Path(built).absolute()
    pytest.importorskip("sphinx", reason="needs sphinx, of [docs]")
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-n", "-q", "-D", "nb_execution_mode=off"]
    command = [sys.executable, "-m", "sphinx", *options, "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return folder


def _check(browser, page: pathlib.Path, pictures: pathlib.Path) -> None:
    """Takes a picture at each width; raises AssertionError for what is wrong with the page."""
    for width, height in WIDTHS.items():
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        wide, tall = browser.execute_script(
            "const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": min(tall, 8000), "scale": 1}
        shot = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        path = pictures / f"{page.parent.name}_{page.stem}_{width}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        assert wide <= width, f"{page}: {wide} pixels wide in a window of {width}, see {path}"
        assert not browser.execute_script(BEYOND), f"{page} at {width}, see {path}"
        assert not [entry["message"] for entry in browser.get_log("browser")]


def test_a_report(browser, tmp_path):
    found = evaluation()
    long = ("a folder of " + "long names " * 8 + "/" + "without_any_space" * 6 + ".wav",)
    found = dataclasses.replace(found, names=long + found.names[1:])
    write_report(summarize(found), str(tmp_path))
    _check(browser, tmp_path / "report.html", tmp_path)


def test_the_site(browser, site, tmp_path):
    pages = [path for path in sorted(site.rglob("*.html")) if "_modules" not in path.parts]
    assert len(pages) > 25
    for page in pages:
        _check(browser, page, tmp_path)


def test_what_is_wrong_with_a_page_is_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    head = '<!DOCTYPE html><meta name="viewport" content="width=device-width"><body><main>'
    wide = '<p style="width: 1300px">wide'
    cut = f'<div style="overflow-x: hidden">{wide}</div>'
    for wrong in (wide, cut, "<p><script>missing()</script>"):
        page.write_text(head + wrong)
        with pytest.raises(AssertionError):
            _check(browser, page, tmp_path)
    page.write_text(f'{head}<div style="overflow-x: auto">{wide}</div>')
    _check(browser, page, tmp_path)
