"""The browser that the tests of a class share keeps nothing of one test for the next."""

import json
from typing import Any

from django.test import LiveServerTestCase, tag

from tests.browser.chromium import BrowserMixin
from tests.support.flush import FastFlushTestCase

LEAVE = """
document.cookie = "left=1; path=/";
localStorage.setItem("left", 1);
console.error("left");
open("/api/health/");
"""
FIND = "return [document.cookie, localStorage.length, window.left ?? null]"


@tag("any-database")
class ContextTests(BrowserMixin, FastFlushTestCase, LiveServerTestCase):
    def look(self, driver: Any) -> Any:
        driver.get(f"{self.live_server_url}/api/health/")
        return driver.execute_script(FIND)

    def test_a_context_is_as_of_a_new_browser(self) -> None:
        with self._contexts.new() as driver:
            source = {"source": "window.left = 1"}
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
            self.look(driver)
            driver.execute_script(LEAVE)
            self.assertEqual(self.look(driver), ["left=1", 1, 1])  # it does stay within the context
        with self._contexts.new() as driver:
            self.assertEqual(driver.get_log("browser"), [])
            network = [json.loads(line["message"]) for line in driver.get_log("performance")]
            self.assertLessEqual({line["webview"] for line in network}, {driver.current_window_handle})
            self.assertEqual(self.look(driver), ["", 0, None])
            self.assertEqual(len(driver.window_handles), 2)  # the browser's own and this
