"""Draws the pictures of README.md and docs/staff.md: `make pictures`.

The demo runs on a new database, in a place of its own, and headless Chromium looks at it. The history of the demo is
the same each time but for its last day, which is today.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import django

from tests.browser.chromium import new_browser
from tests.support.server import answers, free_port

ROOT: Final = Path(__file__).resolve().parents[2]
PLACE: Final = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 860
START: Final = 180  # seconds
PATIENCE: Final = 20  # seconds for a page


@contextmanager
def demo() -> Iterator[str]:
    """The demo on a new database; its address."""
    port, stripe_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DEBUG": "True",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "REDIS_URL": "",
            "LOG_FILE": "none",
        }
        command = [
            sys.executable,
            "manage.py",
            "demo",
            "--port",
            str(port),
            "--stripe-port",
            str(stripe_port),
        ]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START
            while not answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("The demo does not start: try `make run`.")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def manager() -> tuple[str, str]:
    """E-mail address and password of the demo's manager."""
    os.environ["DEBUG"] = "True"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voucher_project.settings")
    django.setup()
    from apps.payments.management.demo_accounts import ACCOUNTS

    [account] = [account for account in ACCOUNTS if account.group == "Manager"]
    return account.email, account.password


def draw(driver: Any, name: str) -> None:
    """Keep what the browser shows, when nothing moves any more."""
    time.sleep(1)  # charts grow into their place
    PLACE.mkdir(exist_ok=True)
    driver.save_screenshot(str(PLACE / f"{name}.png"))
    print(f"docs/pictures/{name}.png")


def wait_for(driver: Any, selector: str) -> Any:
    """The first element that a selector names, once there is one."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, PATIENCE).until(lambda page: page.find_elements(By.CSS_SELECTOR, selector))[
        0
    ]


def draw_back_office(driver: Any, site: str) -> None:
    """The pictures of docs/staff.md, as the manager sees the back office."""
    driver.get(f"{site}/admin/vouchers/voucher/?status=active&expiry_date_from={date.today()}")
    wait_for(driver, "#result_list")
    draw(driver, "staff-vouchers")
    driver.get(f"{site}/admin/payments/refund/")
    buyer = wait_for(driver, "td.field-buyer").text.strip()
    draw(driver, "staff-refunds")
    search = wait_for(driver, "#nav-sidebar input[name=q]")
    search.send_keys(buyer)
    search.submit()
    first = wait_for(driver, "section[aria-labelledby=part-1] h2")
    driver.execute_script("arguments[0].scrollIntoView()", first)
    draw(driver, "staff-person")
    driver.get(wait_for(driver, "section[aria-labelledby=part-3] tbody a").get_attribute("href"))
    wait_for(driver, "#voucher_form")
    draw(driver, "staff-voucher")


def main() -> None:
    """Draw the catalogue of the shop, and pages of the admin as the manager sees them."""
    email, password = manager()
    with demo() as site, new_browser() as driver:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False},
        )
        driver.get(f"{site}/")
        wait_for(driver, "main button, main a")
        draw(driver, "shop")
        driver.get(f"{site}/admin/login/?next=/admin/")
        wait_for(driver, "[name=username]").send_keys(email)
        wait_for(driver, "[name=password]").send_keys(password)
        wait_for(driver, "form button[type=submit]").click()
        wait_for(driver, "canvas")
        draw(driver, "admin")
        draw_back_office(driver, site)


if __name__ == "__main__":
    main()
