"""The benchmark's opponent answers what the application answers, and its floor redeems as the application does."""

import json
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection
from django.test import tag

from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import PASSWORD, make_customer, make_staff
from apps.vouchers.models import VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase
from tests.support.server import Server, database_url
from tests.support.stripe import StripeTestCase, local_stripe

# What the twin leaves out: it knows no devices, confirms no address, counts no refusals, and issues no receipts.
LEFT_OUT = {
    "/api/auth/login/ user email_confirmed",
    "/api/auth/login/ device_token",
    "/api/analytics/dashboard/ refusals",
    "/api/payments/history/ results [] receipt_number",
    "/api/payments/confirm-payment/ transaction receipt_number",
}


class Twin:
    """The textbook twin with a few rows in a database of its own, and how to ask it."""

    def __init__(self, stripe_base):
        self.folder = TemporaryDirectory()
        self.name = f"{connection.settings_dict['NAME']}_textbook"
        if connection.vendor == "postgresql":
            self._on_server(f'DROP DATABASE IF EXISTS "{self.name}"', f'CREATE DATABASE "{self.name}"')
            url = urlunsplit(urlsplit(database_url())._replace(path=f"/{self.name}"))
        else:
            url = f"sqlite:///{self.folder.name}/textbook.sqlite3"
        codes = Path(self.folder.name, "codes")
        command = [
            sys.executable,
            "-m",
            "bench.textbook.data",
            url,
            "--vouchers",
            "60",
            "--codes",
            str(codes),
        ]
        done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.data = json.loads(done.stdout)
        self.codes = codes.read_text().split()
        self.server = Server(
            stripe_base,
            application="bench.textbook.wsgi:application",
            DATABASE_URL=url,
            DJANGO_SETTINGS_MODULE="bench.textbook.settings",
            GUNICORN_CMD_ARGS="--config bench/textbook/gunicorn_conf.py",
        )

    def call(self, method, path, body=None, token=None):
        """The status and the document of the answer."""
        caller = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        caller.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = caller.getresponse()
        content = response.read()
        caller.close()
        return response.status, json.loads(content)

    def end(self):
        self.server.kill()
        if connection.vendor == "postgresql":
            self._on_server(f'DROP DATABASE "{self.name}" WITH (FORCE)')
        self.folder.cleanup()

    @staticmethod
    def _on_server(*statements):
        with connection._nodb_cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def differences(ours, theirs, path):
    """Where two documents differ in a member or in the type of a value; of a list, its first item is compared."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() ^ theirs.keys()):
            yield f"{path} {name}"
        for name in ours.keys() & theirs.keys():
            yield from differences(ours[name], theirs[name], f"{path} {name}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if bool(ours) != bool(theirs):
            yield f"{path} is empty on one side"
        for pair in zip(ours[:1], theirs[:1], strict=False):
            yield from differences(*pair, f"{path} []")
    elif ours is not None and theirs is not None and type(ours) is not type(theirs):
        yield f"{path} {type(ours).__name__} {type(theirs).__name__}"


@tag("slow", "any-database")
class TextbookTests(StripeTestCase, ApiTestCase):
    twin: Twin

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.twin = Twin(local_stripe().base_url)
        cls.addClassCleanup(cls.twin.end)

    def ask_both(self, method, path, ours, theirs, status=200):
        """Ask the application as `ours` and the twin as `theirs`, each (token, path's end, body); their two answers."""
        token, end, body = ours
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = self.api.generic(
            method, path + end, json.dumps(body), content_type="application/json", headers=headers
        )
        token, end, body = theirs
        their_status, document = self.twin.call(method, path + end, body, token)
        with self.subTest(path):
            self.assertEqual(
                (response.status_code, their_status), (status, status), (response.content, document)
            )
            differing = set(differences(response.json(), document, path))
            self.assertEqual(differing - LEFT_OUT, set())
        return response.json(), document

    def sign_in(self, ours, theirs):
        credentials = (
            ("", "", {"email": ours.email, "password": PASSWORD}),
            ("", "", {"email": self.twin.data[theirs], "password": self.twin.data["password"]}),
        )
        return self.ask_both("POST", "/api/auth/login/", *credentials)

    def test_it_answers_each_measured_address_with_the_members_of_the_application(self):
        kind, carla, stella = make_type(max_uses=2), make_customer(), make_staff()
        make_completed_transaction(user=carla, voucher_type=kind)
        mine, their_buyer = self.sign_in(carla, "buyer20")
        a, b = mine["access"], their_buyer["access"]

        def get(path, query=""):
            return self.ask_both("GET", path, (a, query, None), (b, query, None))

        self.ask_both("GET", "/api/vouchers/types/", ("", "", None), ("", "", None))
        refreshes = [("", "", {"refresh": tokens["refresh"]}) for tokens in (mine, their_buyer)]
        self.ask_both("POST", "/api/auth/refresh/", *refreshes)
        lists = get("/api/vouchers/my-vouchers/", "?status=active&ordering=expiry_date")
        codes = [each["results"][0]["code"] for each in lists]
        bodies = [{"code": code} for code in codes]
        self.ask_both("POST", "/api/vouchers/redeem/", (a, "", bodies[0]), (b, "", bodies[1]))
        self.ask_both("GET", "/api/vouchers/detail/", (a, f"{codes[0]}/", None), (b, f"{codes[1]}/", None))
        for path in ("/api/vouchers/stats/", "/api/vouchers/usage-history/", "/api/payments/history/"):
            get(path)
        get("/api/analytics/user/", "?days=366")
        purchases = (
            (a, "", {"voucher_type_id": kind.pk, "quantity": 2}),
            (b, "", {"voucher_type_id": self.twin.data["voucher_type"], "quantity": 2}),
        )
        started = self.ask_both("POST", "/api/payments/create-payment-intent/", *purchases, status=201)
        intents = [each["payment_intent_id"] for each in started]
        for intent in intents:
            self.stripe.pay(intent)
        confirms = [
            (token, "", {"payment_intent_id": intent}) for token, intent in zip((a, b), intents, strict=True)
        ]
        for document in self.ask_both("POST", "/api/payments/confirm-payment/", *confirms):
            self.assertEqual(len(document["voucher_codes"]), 2)
        staff = [tokens["access"] for tokens in self.sign_in(stella, "staff")]
        self.ask_both("GET", "/api/analytics/dashboard/", *((token, "?days=366", None) for token in staff))

    def test_its_codes_to_redeem_are_redeemable_once(self):
        _, tokens = self.twin.call(
            "POST",
            "/api/auth/login/",
            {"email": self.twin.data["redeemer"], "password": self.twin.data["password"]},
        )
        self.assertGreater(len(self.twin.codes), 5)
        for code in self.twin.codes:
            answers = [
                self.twin.call("POST", "/api/vouchers/redeem/", {"code": code}, tokens["access"])[0]
                for _ in range(2)
            ]
            self.assertEqual(answers, [200, 409])


@skipUnless(connection.vendor == "postgresql", "the floor's statement is PostgreSQL's")
class FloorTests(ApiTestCase):
    def test_its_statement_takes_a_numbered_use_and_no_more_than_there_are(self):
        from bench.floors.statement import PREPARE

        carla = make_customer()
        voucher = make_voucher(owner=carla, voucher_type=make_type(max_uses=2))
        rows = []
        with connection.cursor() as cursor:
            cursor.execute(PREPARE)
            self.addCleanup(connection.cursor().execute, "DEALLOCATE redeem")
            for _ in range(3):
                cursor.execute("EXECUTE redeem (%s, %s)", (voucher.code, carla.pk))
                rows.append(cursor.fetchone())
        voucher.refresh_from_db()
        self.assertEqual(voucher.uses_remaining, 0)
        self.assertIsNone(rows[2])
        usages = VoucherUsage.objects.order_by("use_no").values_list(
            "id", "service_type", "used_at", "use_no"
        )
        self.assertEqual(list(usages), rows[:2])
        self.assertEqual([usage[-1] for usage in usages], [1, 2])
