"""POST /api/vouchers/redeem/"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.test import SimpleTestCase, override_settings, tag
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from apps.users.tests.factories import make_user
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher, VoucherQuerySet, VoucherType, VoucherUsage
from apps.vouchers.serializers import RedeemInput, redeem_input
from apps.vouchers.services import redemption
from apps.vouchers.tests.factories import (
    make_expired_voucher,
    make_inactive_voucher,
    make_type,
    make_usage,
    make_used_voucher,
    make_voucher,
    unknown_code,
)
from tests.support import keyboards
from tests.support.cases import ApiTestCase

URL = "/api/vouchers/redeem/"


@tag("smoke")
class RedeemTests(ApiTestCase):
    queries = 2 if connection.vendor == "postgresql" else 4

    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.other_customer = make_user()
        self.api = self.signed_in(self.customer)

    def redeem(self, code, **fields):
        return self.api.post(URL, {"code": code, **fields})

    def assertRefused(self, voucher, response, status, code):
        """The refusal, and that it changed nothing."""
        before = (voucher.uses_remaining, voucher.is_active, voucher.usages.count())
        document = self.assertProblem(response, status, code)
        voucher.refresh_from_db()
        self.assertEqual((voucher.uses_remaining, voucher.is_active, voucher.usages.count()), before)
        return document

    def test_it_takes_one_use_and_records_who_made_it(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        response = self.redeem(voucher.shown_code, service_type="exam_results", details={"candidate": "Ama"})
        self.assertEqual(response.status_code, 200, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"message", "voucher", "usage"})
        self.assertEqual(
            (
                answer["voucher"]["uses_remaining"],
                answer["voucher"]["total_uses"],
                answer["voucher"]["status"],
            ),
            (2, 3, "active"),
        )
        usage = VoucherUsage.objects.get(voucher=voucher)
        self.assertEqual((usage.user, usage.use_no, usage.details), (self.customer, 1, {"candidate": "Ama"}))
        self.assertEqual(
            answer["usage"],
            {
                "id": usage.pk,
                "voucher_code": voucher.shown_code,
                "voucher_type_name": voucher.voucher_type.name,
                "service_type": "exam_results",
                "used_at": usage.used_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "details": {"candidate": "Ama"},
                "use_no": 1,
                "service_data": {"candidate": "Ama"},
            },
        )

    def test_uses_are_numbered_from_one_without_gaps_until_none_is_left(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        statuses = [self.redeem(voucher.code).status_code for _ in range(5)]
        self.assertEqual(statuses, [200, 200, 200, 409, 409])
        self.assertEqual(list(voucher.usages.order_by("use_no").values_list("use_no", flat=True)), [1, 2, 3])
        voucher.refresh_from_db()
        self.assertEqual(voucher.uses_remaining, 0)

    def test_whoever_holds_the_code_may_redeem_it(self):
        voucher = make_voucher(owner=self.other_customer)
        self.assertEqual(self.redeem(voucher.code).status_code, 200)
        self.assertEqual(voucher.usages.get().user, self.customer)

    def test_the_code_is_read_however_it_is_typed(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=4))
        shown = voucher.shown_code
        for typed in (shown, shown.lower(), shown.replace("-", " "), f"  {voucher.code} "):
            self.assertEqual(self.redeem(typed).status_code, 200, typed)

    def test_the_code_is_read_however_it_is_pasted_or_scanned(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=100))
        shown, pairs = voucher.shown_code, [voucher.code[at : at + 2] for at in range(0, 16, 2)]
        unseen = "\u200b\u2060\ufeff\u00ad\u200e\u200f\u2066\u2067\u2068\u2069"
        pasted = [character.join(["", *pairs, ""]) for character in unseen]
        pasted += ["".join(chr(ord(symbol) + 0xFEE0) for symbol in shown)]
        pasted += [f"{shown}{sign}" for sign in ("\u200b", ".", ",", "*", '"', ")", ">")]
        scanned = [
            keyboards.typed(keyboards.link(voucher.code), layout)
            for layout in ("American", "British", "German", "French", "Belgian", "Spanish")
        ]
        for typed in (*pasted, *scanned):
            self.assertEqual(self.redeem(typed).status_code, 200, typed)
        self.assertEqual(voucher.usages.count(), len(pasted) + len(scanned))

    def test_how_many_queries_it_takes(self):
        voucher = make_voucher(owner=self.customer)
        with self.assertQueries(self.queries):  # one signs in
            self.assertEqual(self.redeem(voucher.code, service_type="exam_results").status_code, 200)

    def test_it_refuses_a_used_voucher(self):
        voucher = make_used_voucher(owner=self.customer)
        self.assertRefused(voucher, self.redeem(voucher.code), 409, "voucher_used_up")

    def test_it_refuses_an_expired_voucher(self):
        voucher = make_expired_voucher(owner=self.customer)
        self.assertRefused(voucher, self.redeem(voucher.code), 409, "voucher_expired")

    def test_it_refuses_an_inactive_voucher_with_the_reason(self):
        voucher = make_inactive_voucher(owner=self.customer)
        document = self.assertRefused(voucher, self.redeem(voucher.code), 409, "voucher_inactive")
        self.assertEqual(document["reason"], "withdrawn")

    def test_it_refuses_another_service(self):
        voucher = make_voucher(owner=self.customer)
        response = self.redeem(voucher.code, service_type="school_application")
        self.assertRefused(voucher, response, 409, "service_mismatch")

    def test_it_refuses_a_code_that_nobody_has(self):
        self.assertProblem(self.redeem(unknown_code()), 404, "voucher_not_found")

    def test_it_refuses_a_mistyped_code_before_it_looks_anything_up(self):
        code = make_voucher(owner=self.customer).code
        wrong = code[:-1] + next(symbol for symbol in codes.ALPHABET if symbol != code[-1])
        for typed in (wrong, code[:-1], code + "A", "hello", "١٢٣٤"):
            with self.subTest(typed), self.assertQueries(1):  # the one that signs in
                self.assertProblem(self.redeem(typed), 400, "code_malformed")

    def test_it_needs_a_signed_in_user(self):
        voucher = make_voucher(owner=self.customer)
        self.api.credentials()
        self.assertRefused(voucher, self.redeem(voucher.code), 401, "not_authenticated")

    def test_the_older_clients_name_of_the_details_is_taken(self):
        voucher = make_voucher(owner=self.customer)
        response = self.redeem(voucher.code, service_data={"index": 7})
        self.assertEqual(response.json()["usage"]["details"], {"index": 7})

    def test_what_the_older_client_leaves_empty_counts_as_left_out(self):
        voucher = make_voucher(owner=self.customer)
        response = self.redeem(voucher.code, service_data=None, service_type="")
        self.assertEqual((response.status_code, response.json()["usage"]["details"]), (200, {}))

    def test_a_use_is_never_recorded_after_the_expiry_that_it_met(self):
        voucher = make_voucher(owner=self.customer)
        read = Voucher.objects.read_with_clock(code=voucher.code)
        assert read
        Voucher.objects.filter(pk=voucher.pk).update(expiry_date=timezone.now() + timedelta(minutes=1))
        read.refresh_from_db()
        read.read_at = read.expiry_date + timedelta(milliseconds=3)
        read.uses_remaining = 0
        with (
            patch.object(redemption, "ONE_STATEMENT", ()),
            patch.object(VoucherQuerySet, "read_with_clock", return_value=read),
        ):
            usage = make_usage(code=voucher.code, user=self.customer)
        self.assertEqual(usage.used_at, read.expiry_date)

    def test_a_member_that_it_does_not_know_is_refused(self):
        voucher = make_voucher(owner=self.customer)
        document = self.assertRefused(voucher, self.redeem(voucher.code, uses=5), 400, "validation_error")
        self.assertEqual(document["errors"]["uses"][0]["code"], "unknown_field")

    def test_bad_bodies_are_refused_and_nothing_is_used(self):
        voucher = make_voucher(owner=self.customer)
        nested: dict[str, dict] = {}
        current = nested
        for _ in range(40):
            current["a"] = {}
            current = current["a"]
        for fields in (
            {"code": None},
            {"code": ""},
            {"code": 12},
            {"code": [voucher.code]},
            {"code": {"a": 1}},
            {"code": "A" * 200},
            {},
            {"code": voucher.code, "details": "text"},
            {"code": voucher.code, "details": [1]},
            {"code": voucher.code, "details": None},
            {"code": voucher.code, "details": {"a": 1}, "service_data": {"b": 2}},
            {"code": f"{voucher.code[:-1]}\u0131"},  # a letter that is no symbol in upper case either
            {"code": voucher.code, **{f"unknown{number}": 1 for number in range(9_000)}},
            {"code": voucher.code, "details": {"text": "x" * 4096}},
            {"code": voucher.code, "details": nested},
            {"code": voucher.code, "service_type": ["exam_results"]},
            {"code": voucher.code, "service_type": "x" * 60},
            {"code": voucher.code + "\0"},
            {"code": voucher.code, "details": {"nul": "\0"}},
            {"code": voucher.code, "details": {"\0": 1}},
            {"code": voucher.code, "details": {"half": "\ud800"}},
            {"code": voucher.code, "details": {"number": 10**40}},
            {"code": voucher.code, "details": {"number": float("nan")}},
        ):
            with self.subTest(str(fields)[:80]):
                response = self.api.generic("POST", URL, json.dumps(fields), content_type="application/json")
                self.assertEqual(response.status_code, 400, response.content)
                self.assertEqual(response.headers["Content-Type"], "application/problem+json")
        for body in (
            b"",
            b"[]",
            b"null",
            b'"x"',
            b"{",
            b"\xff\xfe",
            b'{"code": "x", "code": "y"}',
            b"[" * 20_000,
        ):
            with self.subTest(body[:30]):
                response = self.api.generic("POST", URL, body, content_type="application/json")  # type: ignore[arg-type]
                self.assertEqual(response.status_code, 400, response.content)
        response = self.api.generic("POST", URL, b"code=x", content_type="text/plain")  # type: ignore[arg-type]
        self.assertProblem(response, 415, "unsupported_media_type")
        self.assertRefused(voucher, self.api.get(URL), 405, "method_not_allowed")

    def test_details_have_4096_bytes_of_json_and_no_more(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=50))
        frame = len(json.dumps({"t": ""}))
        for name in ("details", "service_data"):
            for letter in ("x", "\u00e9", "\u20ac", "\U0001f600", '"', "\n"):
                size = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
                fits, rest = divmod(4096 - frame, size)
                text = letter * fits + "x" * rest
                with self.subTest(name, letter=letter):
                    response = self.redeem(voucher.code, **{name: {"t": text}})
                    self.assertEqual(response.status_code, 200, response.content)
                    self.assertEqual(VoucherUsage.objects.latest("id").details, {"t": text})
                    voucher.refresh_from_db()
                    response = self.redeem(voucher.code, **{name: {"t": text + "x"}})
                    document = self.assertRefused(voucher, response, 400, "validation_error")
                    self.assertEqual(document["errors"]["details"][0]["code"], "too_large")

    def test_details_are_clean_json_to_the_last_digit(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=50))
        head = f'{{"code": "{voucher.code}", "details": '
        deep = lambda depth: '{"a":' * depth + "1" + "}" * depth  # noqa: E731
        accepted = (
            deep(31),
            '{"n": %s}' % ("9" * 32),
            '{"n": -1e22}',
            '{"n": -1e-400}',
            '{"\\u0001": "\\u001f"}',
        )
        refused = (
            deep(32),
            '{"n": %s}' % ("9" * 33),
            '{"n": 1e32}',
            '{"n": -1e308}',
            '{"n": 1e309}',
            '{"n": -1e400}',
            '{"n": 0.%s}' % ("1" * 31),
            '{"n": NaN}',
            '{"n": Infinity}',
            '{"n": [-Infinity]}',
            '{"n": "\\u0000"}',
            '{"\\u0000": 1}',
            '{"n": ["\\ud800"]}',
            '{"\\udfff": 1}',
            '{"n": "\\udc00\\ud800"}',
            '{"n": 1, "n": 1}',
            '{"n": [{"m": 1, "m": 2}]}',
        )
        for details in accepted:
            with self.subTest(details[:40]):
                response = self.api.generic(
                    "POST", URL, f"{head}{details}}}", content_type="application/json"
                )
                self.assertEqual(response.status_code, 200, response.content)
                self.assertEqual(VoucherUsage.objects.latest("id").details, json.loads(details))
        voucher.refresh_from_db()
        for details in refused:
            with self.subTest(details[:40]):
                response = self.api.generic(
                    "POST", URL, f"{head}{details}}}", content_type="application/json"
                )
                self.assertRefused(voucher, response, 400, "parse_error")

    def test_a_huge_body_is_refused_by_its_size(self):
        response = self.redeem("x", details={"text": "x" * 300_000})
        self.assertProblem(response, 413, "body_too_large")

    def test_a_sold_voucher_keeps_its_terms_whatever_happens_to_its_type(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=2))
        before = Voucher.objects.values().get(pk=voucher.pk)
        VoucherType.objects.update(
            price=1, currency="EUR", service_type="other", max_uses=9, validity_days=1, is_active=False
        )
        self.assertEqual(Voucher.objects.values().get(pk=voucher.pk), before)
        self.assertEqual(self.redeem(voucher.code, service_type="exam_results").status_code, 200)

    def test_the_schema_refuses_a_second_use_with_the_same_number(self):
        voucher = make_used_voucher(owner=self.customer)
        usage = voucher.usages.get()
        usage.pk = None
        with self.assertRaises(IntegrityError), transaction.atomic():
            usage.save()
        self.assertEqual(voucher.usages.count(), 1)


class RedeemInputTests(SimpleTestCase):
    def outcome(self, validate, body):
        try:
            return dict(validate(body))
        except ValidationError as error:
            return error.get_full_details()

    def by_serializer(self, body):
        serializer = RedeemInput(data=body)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def test_the_usual_body_is_validated_as_any_other(self):
        code = codes.format_code(codes.make())
        texts: tuple[Any, ...] = (code, code.lower(), f" {code}", f"{code}\n", "", "-", "\u0660", "x\0")
        texts += ("a" * 101, "a" * 501, None, 7, True, 1.5, [], {})
        various: tuple[Any, ...] = ({}, {"a": 1}, None, [])
        bodies: list = [None, [], "text", 7, {}, {"code": code, "more": 1}, {"service_type": "results"}]
        bodies += [{"code": text} for text in texts]
        bodies += [{"code": code, "service_type": text} for text in (*texts, "exam_results", "a" * 51)]
        bodies += [{"code": code, "details": details} for details in various]
        bodies += [{"code": code, "service_data": details} for details in various]
        for body in bodies:
            with self.subTest(str(body)[:80]):
                self.assertEqual(self.outcome(redeem_input, body), self.outcome(self.by_serializer, body))


class ExpiryTests(ApiTestCase):
    def test_it_is_the_end_of_the_local_day(self):
        with override_settings(TIME_ZONE="Pacific/Auckland"), timezone.override("UTC"):
            issued = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)  # already the 2nd in Auckland
            with timezone.override(ZoneInfo("Pacific/Auckland")):
                expiry = services.expiry_of(issued, 30)
            self.assertEqual(expiry, datetime(2026, 4, 1, 23, 59, 59, tzinfo=ZoneInfo("Pacific/Auckland")))

    def test_it_is_the_databases_clock_that_decides_to_the_second(self):
        customer = make_user()
        valid = make_voucher(owner=customer, expiry_date=timezone.now() + timedelta(seconds=30))
        over = make_voucher(owner=customer, expiry_date=timezone.now() - timedelta(seconds=1))
        api = self.signed_in(customer)
        self.assertEqual(api.post(URL, {"code": valid.code}).status_code, 200)
        self.assertProblem(api.post(URL, {"code": over.code}), 409, "voucher_expired")
