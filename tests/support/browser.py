"""A real browser without a window, and without a way out: Chromium, driven by selenium."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)
#: Width and height of a phone, and of a wide screen.
PHONE: Final = (390, 844)
#: Widths of other screens; the first is also that of a wide one at four times the size.
OTHERS: Final = (320, 640, 768, 2560)
WIDE: Final = (1440, 900)


@contextlib.contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, whose console can be read."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver's path is given, so that nothing looks for one on the network.
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(90)
        driver.set_script_timeout(90)
        yield driver
    finally:
        driver.quit()


def resize(driver: webdriver.Chrome, width: int, height: int) -> None:
    """Look through a screen of this size; a headless window has no smaller width than 500 by itself."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(driver: webdriver.Chrome, scheme: str) -> None:
    """Have the pages believe that their reader prefers this scheme: ``light`` or ``dark``."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def violations(driver: webdriver.Chrome) -> list[str]:
    """What axe-core finds wrong with the page for those who cannot see it, or use a keyboard."""
    source = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    # By the driver, not by a script element: the page's policy holds for the page.
    driver.execute_script(source)
    found: dict[str, Any] = driver.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
        ".then(done, (error) => done({violations: [{id: String(error)}]}))"
    )
    return [
        f"{one['id']}: {one.get('help', '')}: {[node['html'][:200] for node in one.get('nodes', [])][:5]}"
        for one in found["violations"]
    ]


def look(driver: webdriver.Chrome, url: str, file: Path) -> None:
    """Look at a page on a wide screen in light and on a phone in dark; a picture of each beside ``file``.

    AssertionError for what somebody could not use: what axe-core finds, what is wider than the screen, and whatever the
    browser complains of, which is how a breach of the page's policy shows.
    """
    for scheme, (width, height) in {"light": WIDE, "dark": PHONE}.items():
        prefer(driver, scheme)
        resize(driver, width, height)
        driver.get(url)
        size = driver.execute_script("const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]")
        assert size[0] <= width, f"{url}: {size[0]} px wide on a screen of {width}"
        found = violations(driver)
        assert found == [], f"{url}, {scheme}: {found}"
        resize(driver, width, min(size[1], 5000))
        driver.save_screenshot(str(file.with_name(f"{file.name}-{scheme}.png")))
    for width in OTHERS:
        resize(driver, width, 900)
        found_width = driver.execute_script("return document.documentElement.scrollWidth")
        assert found_width <= width, f"{url}: {found_width} px wide on a screen of {width}"
    said = [line for line in driver.get_log("browser") if line["level"] in ("WARNING", "SEVERE")]
    # An answer that is an error is one that the page shows; a line is logged for it all the same.
    complaints = [line for line in said if "Failed to load resource" not in line["message"]]
    assert complaints == [], complaints
    resize(driver, *WIDE)
