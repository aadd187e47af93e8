"""Headless Chromium, for tests of what a browser makes of our answers. They are skipped where there is none."""

import json
import shutil
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final
from urllib.request import urlopen

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SELENIUM = find_spec("selenium")
# The first page and the list below the address bar are pages of their own, which nobody sees here: without them a start
# costs half.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup"
)
FIRST_PAGE: Final = {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]}
LOGS: Final = ("browser", "performance")  # its console, its network
START: Final = 60  # seconds


@contextmanager
def new_browser() -> Iterator[Any]:
    """A new browser; `get_log("browser")` has its console, `get_log("performance")` its network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.set_capability("goog:loggingPrefs", dict.fromkeys(LOGS, "ALL"))
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


class _Contexts:
    """The browser's contexts: each has cookies, storage, service workers, permissions and a cache of its own, like a
    profile that was never used. chromedriver has no word for them, so the browser itself is told."""

    def __init__(self, driver: Any) -> None:
        import websocket

        self.driver = driver
        address = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urlopen(f"http://{address}/json/version") as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        self._socket = websocket.create_connection(url, suppress_origin=True, timeout=START)
        self._first_window = driver.current_window_handle

    @contextmanager
    def new(self) -> Iterator[Any]:
        """The driver, at an empty window in a new context; with the context all of its windows are gone."""
        context = self._call("Target.createBrowserContext")
        window = self._call("Target.createTarget", url="about:blank", **context)
        self.driver.switch_to.window(window["targetId"])
        try:
            yield self.driver
        finally:
            self.driver.switch_to.window(self._first_window)
            self._call("Target.disposeBrowserContext", **context)
            for log in LOGS:  # what came late is not for the next
                self.driver.get_log(log)

    def close(self) -> None:
        """End the conversation with the browser."""
        self._socket.close()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._socket.send(json.dumps({"id": 1, "method": method, "params": parameters}))
        while True:  # its events come in between
            answer: dict[str, Any] = json.loads(self._socket.recv())
            if answer.get("id") == 1:
                return answer["result"]


@unittest.skipUnless(CHROMIUM and DRIVER and SELENIUM, "needs chromium, chromedriver and selenium")
class BrowserMixin(unittest.TestCase):
    """Before a test case with a live server. The tests of a class share a browser, but nothing that it keeps."""

    _contexts: _Contexts

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls._contexts = _Contexts(cls.enterClassContext(new_browser()))
        cls.addClassCleanup(cls._contexts.close)

    def browser(self) -> Any:
        """A window of a context of its own, which ends with the test."""
        return self.enterContext(self._contexts.new())
