"""Whatever a client says that it accepts, on whatever address and by whatever method: an answer, never a 5xx."""

import re
from typing import Final

from django.test import tag
from django.urls import get_resolver

from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_staff
from apps.vouchers.models import Voucher
from tests.support.canary import all_routes
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

NOT_JSON: Final = (
    "text/html",
    "application/problem+json",
    "application",
    "junk",
    "a/b/c; q",
    "image/*;q=0.5",
)
EVERYWHERE: Final = ("", "text/html", "application/problem+json", "application", "*/*;q=x")
STRANGE: Final = (
    *NOT_JSON,
    " ",
    ",",
    ";",
    "*",
    "/",
    "*/*;q=x",
    "text/*, */*;q=0",
    "application/json; indent=9" * 20,
    "application/json; x*=nothing''bar",
    "application/json; indent=" + "9" * 9000,
    "text/html, " * 2000,
    "été/\xff",
)
JSON: Final = ("", " ", ",", "*/*", "application/*", "application/json", "text/html, */*;q=0.1")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


@tag("slow", "any-database")
class NegotiationTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        staff = make_staff()
        transaction = make_completed_transaction(user=staff)
        names = {"code": Voucher.objects.get().shown_code, "transaction_id": str(transaction.pk)}
        self.staff = self.signed_in(staff)
        self.addresses = [
            "/" + re.sub(r"<\w+:(\w+)>", lambda match: names[match[1]], route)
            for route, _ in all_routes(get_resolver())
            if route.startswith("api/")
        ]
        self.addresses.sort(key=lambda address: "logout" in address)  # last: it ends the session

    def test_no_value_of_accept_is_a_server_error_on_any_address(self):
        self.assertGreater(len(self.addresses), 40)
        for address in self.addresses:
            for method in METHODS:
                for accept in EVERYWHERE:
                    with self.subTest(address, method=method, accept=accept[:40]):
                        response = self.staff.generic(
                            method, address, "{}", content_type="application/json", headers={"Accept": accept}
                        )
                        self.assertLess(response.status_code, 500)
                        if response.status_code >= 400 and method != "HEAD":
                            self.assertProblem(response, response.status_code, response.json()["code"])

    def test_no_value_however_strange_is_a_server_error(self):
        for address in ("/api/health/", "/api/schema/", "/api/docs/"):
            for accept in STRANGE:
                with self.subTest(address, accept=accept[:40]):
                    self.assertIn(self.api.get(address, headers={"Accept": accept}).status_code, (200, 406))

    def test_a_client_that_takes_no_json_is_refused_and_nothing_is_done(self):
        for address in ("/api/health/", "/api/vouchers/types/", "/api/users/profile/"):
            for accept in NOT_JSON:
                with self.subTest(address, accept=accept):
                    response = self.staff.get(address, headers={"Accept": accept})
                    self.assertProblem(response, 406, "not_acceptable")
        body = {"first_name": "Changed"}
        response = self.staff.patch("/api/users/profile/", body, headers={"Accept": "text/html"})
        self.assertProblem(response, 406, "not_acceptable")
        self.assertNotEqual(self.staff.get("/api/users/profile/").json()["first_name"], "Changed")

    def test_what_stands_beyond_the_readable_part_of_a_header_does_not_count(self):
        unreadable = ", ".join(["text/plain"] * 900 + ["application/json"])
        self.assertProblem(self.api.get("/api/health/", HTTP_ACCEPT=unreadable), 406, "not_acceptable")

    def test_a_header_that_is_empty_counts_as_none(self):
        for accept in JSON:
            with self.subTest(accept=accept):
                response = self.api.get("/api/health/", headers={"Accept": accept})
                self.assertEqual(response.json(), {"status": "healthy", "django": "running"})

    def test_files_come_whatever_is_accepted_and_their_errors_are_json(self):
        for end, kind in (
            ("pdf/", "application/pdf"),
            ("qr/", "image/svg+xml"),
            ("qr/?format=png", "image/png"),
        ):
            address = f"/api/vouchers/detail/{Voucher.objects.get().shown_code}/{end}"
            for accept in STRANGE:
                with self.subTest(end, accept=accept[:40]):
                    response = self.staff.get(address, headers={"Accept": accept})
                    self.assertEqual((response.status_code, response["Content-Type"]), (200, kind))
                    self.assertProblem(
                        self.api.get(address, headers={"Accept": accept}), 401, "not_authenticated"
                    )
