"""POST /api/vouchers/redeem/ with an Idempotency-Key: done once, answered the same for ever."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.db import connection
from django.test import override_settings

from apps.users.errors import AccountClosed
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import (
    held,
    make_expired_voucher,
    make_type,
    make_used_voucher,
    make_voucher,
    unknown_code,
)
from tests.support.cases import ApiTestCase

URL = "/api/vouchers/redeem/"
KEY = "6f0c7f3e-7c0f-4d53-9a55-1d0f5b2f8f11"


class RedeemAgain(ApiTestCase):
    queries = 3 if connection.vendor == "postgresql" else 6

    def setUp(self):
        super().setUp()
        self.customer, self.other = make_customer(), make_other_customer()
        self.api = self.signed_in(self.customer)
        self.voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))

    def redeem(self, code=None, key=KEY, client=None, **fields):
        body = {"code": code or self.voucher.shown_code, **fields}
        return (client or self.api).post(URL, body, HTTP_IDEMPOTENCY_KEY=key)

    def first(self, **fields):
        response = self.redeem(**fields)
        self.assertEqual(response.status_code, 200, response.content)
        self.assertNotIn("Idempotent-Replayed", response.headers)
        self.assertEqual(self.uses(), 1)
        return response

    def uses(self):
        self.voucher.refresh_from_db()
        self.assertEqual(self.voucher.uses_made, self.voucher.usages.count())
        return self.voucher.uses_made

    def assertReplayed(self, response, first):
        """The first answer again, and nothing done."""
        self.assertEqual((response.status_code, response.content), (200, first.content))
        self.assertEqual(response.headers["Idempotent-Replayed"], "true")
        for name in ("Content-Type", "Cache-Control"):
            self.assertEqual(response.headers[name], first.headers[name])
        self.assertEqual(self.uses(), 1)

    def assertRefused(self, response, status, code):
        """The refusal, and that it changed and kept nothing."""
        self.assertProblem(response, status, code)
        self.assertNotIn("Idempotent-Replayed", response.headers)
        self.assertFalse(VoucherUsage.objects.filter(idempotency_key=KEY).exists())

    def test_the_same_request_gets_the_same_answer_and_takes_one_use(self):
        first = self.first(details={"candidate": "Ama"})
        for _ in range(3):
            self.assertReplayed(self.redeem(details={"candidate": "Ama"}), first)
        usage = self.voucher.usages.get()
        self.assertEqual((usage.user, usage.idempotency_key, usage.use_no), (self.customer, KEY, 1))

    def test_with_and_without_a_key_the_answer_looks_the_same(self):
        keyed, plain = self.first(), self.api.post(URL, {"code": self.voucher.code})
        self.assertEqual(keyed.headers["Content-Type"], plain.headers["Content-Type"])
        ours, theirs = keyed.json(), plain.json()
        self.assertEqual((list(ours), list(ours["usage"])), (list(theirs), list(theirs["usage"])))
        self.assertEqual(keyed.json()["voucher"], {**theirs["voucher"], "uses_remaining": 2})

    def test_the_bytes_are_the_same_whatever_the_database_makes_of_json(self):
        details = {
            "zz": 1,
            "a": {"y": [1.0, -0.0, 1e22, 1e-7, 0.1, 10**30], "b": None},
            "text": 'Ünï \u2028 \U0001f600 \\u0000 \x01 "quoted" </script>',
            "": "",
            "9": True,
            "10": False,
        }
        first = self.first(details=details)
        self.assertEqual(list(first.json()["usage"]["details"]), list(details))
        self.assertReplayed(self.redeem(details=details), first)

    def test_the_order_and_spelling_of_the_json_do_not_matter(self):
        first = self.first(service_type="exam_results", details={"a": 1, "b": 2})
        body = json.dumps(
            {"details": {"b": 2, "a": 1}, "service_type": "exam_results", "code": self.voucher.shown_code},
            indent=2,
        )
        response = self.api.generic(
            "POST", URL, body, content_type="application/json", HTTP_IDEMPOTENCY_KEY=f" {KEY} "
        )
        self.assertReplayed(response, first)

    def test_it_is_the_same_with_a_fresh_token_and_years_later(self):
        first = self.first()
        self.assertReplayed(self.redeem(client=self.signed_in(self.customer)), first)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=3650)):
            self.assertReplayed(self.redeem(client=self.signed_in(self.customer)), first)

    def test_it_is_the_same_whatever_became_of_the_voucher(self):
        first = self.first()
        changes = (
            held(Hold.VOIDED),
            held(Hold.REFUNDED, Hold.DISPUTED),
            {"expiry_date": datetime(2020, 1, 1, tzinfo=UTC)},
        )
        for change in changes:
            Voucher.objects.filter(pk=self.voucher.pk).update(**change)
            self.assertReplayed(self.redeem(), first)
        typed = self.voucher.shown_code
        Voucher.objects.filter(pk=self.voucher.pk).update(**held())
        services.reissue_voucher(voucher_id=self.voucher.pk, actor=make_staff(), reason="seen by others")
        self.assertReplayed(self.redeem(code=typed), first)

    def test_it_is_the_same_after_the_use_was_given_back(self):
        first = self.first()
        services.reverse_usage(usage_id=self.voucher.usages.get().pk, actor=make_staff(), reason="mistake")
        response = self.redeem()
        self.assertEqual((response.status_code, response.content), (200, first.content))
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.uses_remaining, self.voucher.usages.count()), (3, 1))

    def test_another_body_under_the_key_is_refused(self):
        first = self.first(details={"n": 1})
        other = make_voucher(owner=self.customer)
        body: Any
        for body in (
            {"code": other.shown_code, "details": {"n": 1}},
            {"code": self.voucher.code, "details": {"n": 1}},  # spelt otherwise: another text
            {"code": self.voucher.shown_code},
            {"code": self.voucher.shown_code, "details": {"n": "1"}},
            {"code": self.voucher.shown_code, "details": {"n": 1.0}},
            {"code": self.voucher.shown_code, "details": {"n": True}},
            {"code": unknown_code()},
            {"code": "no code"},
            {"code": None, "what": 1},
            {},
            [],
            "text",
        ):
            with self.subTest(str(body)):
                response = self.api.post(URL, body, HTTP_IDEMPOTENCY_KEY=KEY)
                self.assertProblem(response, 422, "idempotency_key_reused")
                self.assertEqual((self.uses(), other.usages.count()), (1, 0))
        self.assertReplayed(self.redeem(details={"n": 1}), first)

    def test_a_key_belongs_to_its_user(self):
        self.first()
        theirs = self.redeem(client=self.signed_in(self.other))
        self.assertEqual((theirs.status_code, theirs.json()["usage"]["use_no"]), (200, 2))
        self.assertNotIn("Idempotent-Replayed", theirs.headers)

    def test_different_keys_are_different_uses(self):
        statuses = [self.redeem(key=f"key {number}").status_code for number in range(4)]
        self.assertEqual(statuses, [200, 200, 200, 409])
        self.assertEqual(self.uses(), 3)

    def test_a_refused_request_is_not_kept(self):
        used, expired = make_used_voucher(owner=self.customer), make_expired_voucher(owner=self.customer)
        voided = make_voucher(owner=self.customer, **held(Hold.VOIDED))
        for body, status, code in (
            ({"code": used.code}, 409, "voucher_used_up"),
            ({"code": expired.code}, 409, "voucher_expired"),
            ({"code": voided.code}, 409, "voucher_inactive"),
            ({"code": self.voucher.code, "service_type": "another"}, 409, "service_mismatch"),
            ({"code": unknown_code()}, 404, "voucher_not_found"),
            ({"code": "no code"}, 400, "code_malformed"),
            ({}, 400, "validation_error"),
        ):
            with self.subTest(code):
                self.assertRefused(self.api.post(URL, body, HTTP_IDEMPOTENCY_KEY=KEY), status, code)
        self.first()

    def test_a_refused_request_is_judged_anew_when_it_comes_again(self):
        expired = make_expired_voucher(owner=self.customer)
        self.assertRefused(self.redeem(code=expired.code), 409, "voucher_expired")
        services.extend_voucher(
            voucher_id=expired.pk,
            until=(datetime.now(UTC) + timedelta(days=9)).date(),
            actor=make_staff(),
            reason="late",
        )
        self.assertEqual(self.redeem(code=expired.code).status_code, 200)

    def test_keys_are_one_to_255_printable_characters(self):
        for key in ("", " ", "x" * 256, "tab\tinside", "zero\x00", "\u00e9"):
            with self.subTest(key[:10]):
                self.assertRefused(self.redeem(key=key), 400, "idempotency_key_invalid")
        self.assertEqual(self.uses(), 0)
        longest = "~ " * 127 + "!"
        self.assertEqual(self.redeem(key=longest).status_code, 200)
        self.assertReplayed(self.redeem(key=longest), self.redeem(key=longest))

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REDEEM_FAILURES_PER_ACCOUNT=(2, 900))
    def test_the_key_comes_before_the_limits_and_wrong_codes_count_with_a_key_too(self):
        first = self.first()
        for _ in range(2):
            self.assertProblem(self.redeem(code=unknown_code(), key="same"), 404, "voucher_not_found")
        self.assertProblem(self.redeem(key="new"), 429, "rate_limited")
        self.assertReplayed(self.redeem(), first)
        self.assertProblem(self.redeem(code="other"), 422, "idempotency_key_reused")

    def test_how_many_queries_it_takes(self):
        with self.assertQueries(self.queries):  # one signs in, one looks for the key
            first = self.redeem()
        with self.assertQueries(2):
            again = self.redeem()
        self.assertReplayed(again, first)

    def test_closing_the_account_erases_the_answer_and_keeps_the_key(self):
        self.first(details={"candidate": "Ama"})
        response = self.api.delete("/api/users/profile/", {"password": PASSWORD})
        self.assertEqual(response.status_code, 204, response.content)
        usage = self.voucher.usages.get()
        self.assertEqual((usage.details, usage.answer, usage.idempotency_key), ({}, None, KEY))
        self.assertProblem(self.redeem(details={"candidate": "Ama"}), 401, "token_invalid")

    def test_a_request_that_was_on_its_way_when_the_account_was_closed_takes_no_second_use(self):
        body = {"code": self.voucher.shown_code}
        self.first()
        services.erase_details(user=self.customer)
        self.assertProblem(self.api.post(URL, body, HTTP_IDEMPOTENCY_KEY=KEY), 409, AccountClosed.code)
        self.assertEqual(self.uses(), 1)

    def test_the_answer_is_kept_out_of_the_admin_and_the_export(self):
        self.first(details={"candidate": "Ama"})
        export = self.api.get("/api/users/export/").content.decode()
        self.assertNotIn(KEY, export)
        usage = self.voucher.usages.get()
        self.client.force_login(make_staff())
        page = self.client.get(f"/admin/vouchers/voucherusage/{usage.pk}/change/").content.decode()
        for secret in (KEY, usage.request_hash, self.voucher.shown_code, self.voucher.code):
            self.assertNotIn(secret, page)
