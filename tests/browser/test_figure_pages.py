"""The pages of figures in headless Chromium, on a desk and in a hand: charts that are drawn, and nothing cut off."""

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import Client, tag
from django.utils import timezone

from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.models import RefusalCount
from tests.browser.chromium import BrowserMixin
from tests.support.flush import FastFlushTestCase

WIDTHS = (1400, 390)
PAGES = (("/admin/", 3), ("/admin/?days=366", 3), ("/admin/revenue/?days=90", 2))


@tag("slow", "any-database")
class FigurePageTests(BrowserMixin, FastFlushTestCase, StaticLiveServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        make_completed_transaction(user=make_customer())
        RefusalCount.objects.create(
            day=timezone.localdate(), service_type="exam_results", reason="voucher_expired", number=3
        )
        client = Client()
        client.force_login(make_staff())
        self.driver: Any = self.browser()
        self.driver.get(f"{self.live_server_url}/api/health/")  # a cookie is set on a page of its site
        name = settings.SESSION_COOKIE_NAME
        self.driver.add_cookie({"name": name, "value": client.cookies[name].value, "path": "/"})
        self.driver.get_log("browser")

    def show(self, path: str, width: int) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.get(f"{self.live_server_url}{path}")
        charts = "Object.keys((window.Chart || {instances: {}}).instances).length"
        WebDriverWait(self.driver, 30).until(
            lambda driver: driver.execute_script(
                f"return {charts} > 0 && {charts} === document.querySelectorAll('canvas').length"
            )
        )

    def test_each_page_is_drawn_whole_at_each_width_and_without_an_error(self) -> None:
        for width in WIDTHS:
            for path, number in PAGES:
                with self.subTest(path, width=width):
                    self.show(path, width)
                    number_drawn, page_width = self.driver.execute_script(
                        "return [Object.keys(Chart.instances).length, document.documentElement.scrollWidth]"
                    )
                    self.assertEqual(number_drawn, number)
                    self.assertLessEqual(page_width, width, "the page scrolls sideways")
                    axes = self.driver.execute_script(
                        "return Object.values(Chart.instances).map(chart => chart.scales)"
                        ".map(axes => axes.x.options.title.text + ' | ' + axes.y.options.title.text)"
                    )
                    self.assertTrue(all("UTC time" in axis or "Number" in axis for axis in axes), axes)
                    # The browser asks for an icon by itself, whatever the page says.
                    lines = [line["message"] for line in self.driver.get_log("browser")]
                    self.assertEqual([line for line in lines if "favicon.ico" not in line], [])

    def test_a_period_is_chosen_in_the_form(self) -> None:
        self.show("/admin/", 1400)
        self.driver.execute_script(
            "document.querySelector('[name=from]').value = '2026-02-01';"
            "document.querySelector('[name=to]').value = '2026-02-28';"
            "document.querySelector('[aria-label=\"Other days\"] button').click()"
        )
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 30).until(lambda driver: "from=2026-02-01" in driver.current_url)
        self.assertIn("1 February 2026 – 28 February 2026", self.driver.page_source)
