"""`manage.py demo`, run as a developer runs it: a sale, Ctrl-C, and the next day a refund."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests
from django.conf import settings
from django.test import tag

from apps.payments.management import demo_accounts
from tests.support.databases import database_copy
from tests.support.flush import FastFlushTestCase
from tests.support.server import answers, free_port

START = 120  # seconds


@tag("slow")
class DemoTests(FastFlushTestCase):
    def setUp(self):
        self.port, self.stripe_port = free_port(), free_port()
        # A new database, but for the migrations: they take longer than all the rest, and each run of the tests begins
        # with them.
        database = self.enterContext(database_copy(f"demo_{self.port}"))
        self.site, self.stripe = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.stripe_port}"
        self.environment = {**os.environ, "DATABASE_URL": database, "REDIS_URL": ""}
        self.addCleanup(self.remove_state_file)
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy
        self.addCleanup(self.session.close)

    def remove_state_file(self):
        """Where the database is a PostgreSQL it is in the folder of the project."""
        for file in Path(settings.BASE_DIR).glob(f"demo_{self.port}.stripe*"):
            file.unlink()

    def demo(self):
        process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "demo"),
                *("--port", str(self.port), "--stripe-port", str(self.stripe_port)),
                *("--users", "2"),  # a short history: enough to see that there is one
            ],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group of its own, to which Ctrl-C goes as in a terminal
        )
        assert process.stdout
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: answers(self.port) or process.poll() is not None)
        return process

    def post(self, path, **fields):
        answer = self.session.post(f"{self.site}/api/{path}/", json=fields, timeout=START)
        self.assertLess(answer.status_code, 300, answer.text)
        return answer.json()

    def buy(self):
        """Register, buy two vouchers and pay; the payment's intent."""
        password = "plums in the icebox"
        person = {"email": "ama@example.com", "first_name": "Ama", "last_name": "Mensah"}
        tokens = self.post("auth/register", **person, password=password, password_confirm=password)
        self.session.headers["Authorization"] = f"Bearer {tokens['access']}"
        types = self.session.get(f"{self.site}/api/vouchers/types/", timeout=START).json()
        secret = self.post("vouchers/purchase", voucher_type_id=types[0]["id"], quantity=2)["client_secret"]
        intent = secret.partition("_secret_")[0]
        card = {"key": "pk_test_local", "client_secret": secret, "payment_method": "pm_card_visa"}
        paid = self.session.post(
            f"{self.stripe}/v1/payment_intents/{intent}/confirm", card, headers={"Authorization": ""}
        )
        self.assertEqual(paid.json()["status"], "succeeded", paid.text)
        codes = self.post("payments/confirm-payment", payment_intent_id=intent)["voucher_codes"]
        self.assertEqual(len(codes), 2)
        return intent

    def refund(self, intent):
        """The buyer asks for the money, and staff approve it in the admin; the refund as the buyer sees it."""
        refund = self.post("payments/refund/request", payment_id=intent, reason="Bought twice")
        with requests.Session() as staff:
            staff.trust_env = False
            page = staff.get(f"{self.site}/admin/login/", timeout=START)
            [superuser] = [account for account in demo_accounts.ACCOUNTS if account.is_superuser]
            fields = {"username": superuser.email, "password": superuser.password, "next": "/admin/"}
            staff.post(page.url, {**fields, "csrfmiddlewaretoken": staff.cookies["csrftoken"]}, timeout=START)
            decision = {
                "action": "approve",
                "_selected_action": refund["id"],
                "confirmed": "1",
                "reason": "Never used",
                "csrfmiddlewaretoken": staff.cookies["csrftoken"],
            }
            staff.post(f"{self.site}/admin/payments/refund/", decision, timeout=START)
        refunds = self.session.get(f"{self.site}/api/payments/refunds/", timeout=START).json()
        return refunds["results"][0]

    def assertNothingRuns(self):
        wait_until(lambda: not answers(self.port) and not answers(self.stripe_port))

    def test_a_sale_of_yesterday_is_refunded_today_and_the_books_agree_with_stripe(self):
        process = self.demo()
        intent = self.buy()
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(START), 0)
        self.assertNothingRuns()
        output = process.stdout.read()
        for account in demo_accounts.ACCOUNTS:
            self.assertRegex(output, f"{account.email} +password: {account.password}")
        self.assertIn("Created demo data: ", output)
        self.assertNotIn("Traceback", output)

        process = self.demo()
        self.assertEqual(self.refund(intent)["status"], "succeeded")
        reconciliation = subprocess.run(
            [sys.executable, "manage.py", "reconcile_payments", "--since", str(24 * 200)],
            cwd=settings.BASE_DIR,
            env={**self.environment, "STRIPE_API_BASE": self.stripe},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(reconciliation.returncode, 0, reconciliation.stdout)
        self.assertRegex(reconciliation.stdout, r"intents at Stripe: [1-9]")
        process.kill()  # however it ends, the others end with it
        self.assertNothingRuns()
        output = process.stdout.read()
        self.assertIn("has demo data already", output)
        self.assertNotIn("Traceback", output)


def wait_until(happens) -> None:
    deadline = time.monotonic() + START
    while not happens():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {START} seconds")
        time.sleep(0.1)
