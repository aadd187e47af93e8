"""How soon the admin's front page is painted, in headless Chromium. See README.md."""

import argparse
import sys
from statistics import median
from typing import Any, Final

from tests.browser.chromium import CHROMIUM, DRIVER, new_browser

from .machine import Machine
from .opponents import manage, production_environment, start_product, with_product_data

PERIODS: Final = (30, 366)  # days
GOAL: Final = 300  # milliseconds until something is painted
TIMES: Final = """
    const page = performance.getEntriesByType("navigation")[0];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return paint && page.loadEventEnd ? [page.responseStart, page.responseEnd, paint.startTime] : null;
"""


def main() -> int:
    """Visit the page and print the times; 1 if it was painted later than the goal in the median."""
    options = _options()
    if not (CHROMIUM and DRIVER):
        sys.exit("Chromium is missing: apt-get install chromium chromium-driver")
    machine = Machine()
    data = with_product_data(machine, "product", options.vouchers)
    connection = machine.connect("product")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users_user SET is_superuser = true WHERE email = %s", [data.staff])
    connection.close()
    manage(production_environment(machine, "product"), "collectstatic", "--noinput", "--verbosity", "0")
    product = start_product(machine, "product", data, None, SECURE_SSL_REDIRECT="False")
    site = f"http://127.0.0.1:{product.server.port}/admin/"
    print(
        f"{options.vouchers:,} vouchers, {options.visits} visits, milliseconds after the click (least, median):"
    )
    painted = []
    with new_browser() as browser:
        _sign_in(browser, site, data.staff, data.password)
        for days in PERIODS:
            visits = [_visit(browser, f"{site}?days={days}") for _ in range(options.visits + 2)][2:]
            first_byte, last_byte, paint = zip(*visits, strict=True)
            painted.append(median(paint))
            for name, values in (("first byte", first_byte), ("last byte", last_byte), ("painted", paint)):
                print(f"  {days:3} days, {name:10} {min(values):5.0f} {median(values):5.0f}")
    return 0 if max(painted) <= GOAL else 1


def _sign_in(browser: Any, site: str, email: str, password: str) -> None:
    browser.get(site)
    browser.find_element("name", "username").send_keys(email)
    browser.find_element("name", "password").send_keys(password)
    browser.find_element("css selector", "form [type=submit]").click()
    _wait(browser, lambda: "/login/" not in browser.current_url)


def _visit(browser: Any, address: str) -> tuple[float, float, float]:
    """When the first byte, the last byte and the first paint came."""
    browser.get(address)
    return tuple(_wait(browser, lambda: browser.execute_script(TIMES)))


def _wait(browser: Any, condition: Any) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 20).until(lambda _: condition())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.front_page", description=__doc__)
    parser.add_argument("--vouchers", type=int, default=1_000_000)
    parser.add_argument("--visits", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
