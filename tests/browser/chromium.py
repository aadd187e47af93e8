"""Headless Chromium, for tests of what a browser makes of our answers. They are skipped where there is none."""

import shutil
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SELENIUM = find_spec("selenium")
# The first page and the list below the address bar are pages of their own, which nobody sees here: without them a start
# costs half.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup"
)
FIRST_PAGE: Final = {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]}


@contextmanager
def new_browser() -> Iterator[Any]:
    """A new browser; `get_log("browser")` has its console, `get_log("performance")` its network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = str(CHROMIUM)
    options.add_experimental_option("prefs", FIRST_PAGE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


@unittest.skipUnless(CHROMIUM and DRIVER and SELENIUM, "needs chromium, chromedriver and selenium")
class BrowserMixin(unittest.TestCase):
    """Before a test case with a live server."""

    def browser(self):
        """A new browser, which ends with the test."""
        return self.enterContext(new_browser())
