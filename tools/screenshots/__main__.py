"""Draws into docs/img: ``python -m tools.screenshots page``, which ``make screenshots`` calls, or ``soak``.

page: the demo runs until what goes wrong in it shows; then its status page is looked at on a wide screen and on a
phone, in light and dark, and one job's page. soak: the curves that ``make soak ARGS="--curves FILE"`` has kept.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from exporter.demo.ports import free_port
from tools.screenshots import curves

ROOT: Final = Path(__file__).parents[2]
OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    "--no-first-run", "--hide-scrollbars",
)  # fmt: skip
#: Pictures by their names: width, height at most, preferred scheme.
SHOTS: Final = {
    "status-light": (1280, 1500, "light"),
    "status-phone": (412, 1500, "dark"),
}
#: Bytes of a picture at most.
LARGEST: Final = 150_000
PATIENCE: Final = 240.0


@contextmanager
def demo() -> Iterator[str]:
    """The demo's page once executions are stuck and jobs keep failing."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", "exporter", "demo", f"--listen-address={address}", "--no-prometheus"]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            deadline = time.monotonic() + PATIENCE
            while not _told(f"http://{address}/"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the demo did not come so far")
                time.sleep(2)
            yield f"http://{address}/"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _told(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return False
    return "stuck" in text.partition('class="verdict')[2].partition("</section>")[0] and 'id="failing"' in text


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a screen."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def draw_page(page: str, out: Path) -> None:
    """Every picture of the status page."""
    with browser() as driver:
        for name, shot in SHOTS.items():
            _shoot(driver, page, out / f"{name}.png", shot)
        driver.get(page)
        job = driver.find_element(By.CSS_SELECTOR, "#failures tbody a").get_attribute("href")
        _shoot(driver, str(job), out / "status-job.png", (1280, 800, "light"))


def draw_curves(file: Path, title: str, out: Path) -> None:
    """The picture of a soak."""
    with browser() as driver, tempfile.NamedTemporaryFile("w", suffix=".html") as page:
        page.write(curves.page(curves.read(file), title))
        page.flush()
        _shoot(driver, f"file://{page.name}", out / "soak.png", (curves.WIDTH, curves.HEIGHT, "light"))


def _shoot(driver: webdriver.Chrome, page: str, file: Path, shot: tuple[int, int, str]) -> None:
    width, tallest, scheme = shot
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for height in (tallest, None):
        size = height or min(tallest, int(driver.execute_script("return document.body.scrollHeight")))
        metrics = {"width": width, "height": size, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if height:
            driver.get(page)
    driver.save_screenshot(str(file))
    picture = Image.open(file).convert("RGB").quantize(64)
    picture.save(file, optimize=True)
    if file.stat().st_size > LARGEST:
        raise SystemExit(f"{file.name}: {file.stat().st_size} bytes, more than {LARGEST}")
    print(f"{file.name}: {file.stat().st_size:,} bytes")


def main() -> None:
    """Draw what is named."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("what", choices=["page", "soak"])
    parser.add_argument("--curves", type=Path, metavar="FILE", help="what make soak has kept; needed for soak")
    parser.add_argument("--title", default="A sidecar at work", help="above the curves")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    arguments = parser.parse_args()
    if arguments.what == "soak":
        if arguments.curves is None:
            parser.error("--curves: which file?")
        draw_curves(arguments.curves, arguments.title, arguments.out)
        return
    with demo() as page:
        draw_page(page, arguments.out)


if __name__ == "__main__":
    main()
