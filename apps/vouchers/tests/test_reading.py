"""my-vouchers, detail, stats and usage-history."""

from datetime import UTC, timedelta
from decimal import Decimal
from unittest.mock import patch

from django.utils import timezone

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import selectors, services
from apps.vouchers.models import VoucherUsage
from apps.vouchers.tests.factories import (
    make_expired_voucher,
    make_inactive_voucher,
    make_type,
    make_usage,
    make_used_voucher,
    make_voucher,
    unknown_code,
)
from tests.support.cases import ApiTestCase


class ReadingTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.other_customer = make_user()
        self.api = self.signed_in(self.customer)

    def codes(self, response):
        self.assertEqual(response.status_code, 200, response.content)
        return [row["code"] for row in response.json()["results"]]


class MyVouchersTests(ReadingTestCase):
    url = "/api/vouchers/my-vouchers/"

    def test_it_shows_own_vouchers_only_newest_first(self):
        older = make_voucher(owner=self.customer, purchase_date=timezone.now() - timedelta(days=1))
        newer = make_voucher(owner=self.customer)
        make_voucher(owner=self.other_customer)
        self.assertEqual(self.codes(self.api.get(self.url)), [newer.shown_code, older.shown_code])

    def test_a_voucher_has_these_fields(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=2, validity_days=10))
        row = self.api.get(self.url).json()["results"][0]
        self.assertEqual(row.pop("voucher_type")["id"], voucher.voucher_type_id)

        def iso(moment):
            return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

        self.assertEqual(
            row,
            {
                "code": voucher.shown_code,
                "status": "active",
                "is_active": True,
                "is_valid": True,
                "inactive_reason": "",
                "purchase_date": iso(voucher.purchase_date),
                "expiry_date": iso(voucher.expiry_date),
                "days_until_expiry": 10,
                "uses_remaining": 2,
                "total_uses": 2,
                "face_value": "10.00",
                "currency": "USD",
            },
        )
        self.assertTrue(row["expiry_date"].endswith("T23:59:59Z"))

    def test_it_filters_by_status(self):
        by_status = {
            "active": make_voucher(owner=self.customer),
            "used": make_used_voucher(owner=self.customer),
            "expired": make_expired_voucher(owner=self.customer),
            "inactive": make_inactive_voucher(owner=self.customer),
        }
        for status, voucher in by_status.items():
            response = self.api.get(self.url, {"status": status})
            self.assertEqual(self.codes(response), [voucher.shown_code], status)
            self.assertEqual(response.json()["results"][0]["status"], status)
            self.assertEqual(response.json()["results"][0]["is_valid"], status == "active")

    def test_it_filters_by_type_service_and_words(self):
        school = make_type(name="School Application", service_type="school_application")
        of_school = make_voucher(owner=self.customer, voucher_type=school)
        make_voucher(owner=self.customer, voucher_type=make_type(name="Other", service_type="other"))
        for query in (
            {"voucher_type": school.pk},
            {"service_type": "school_application"},
            {"search": "school app"},
            {"search": of_school.code.lower()},
            {"search": f"{'https://vouchers.example.com/redeem/' * 3}#code={of_school.shown_code}"},
            {"search": of_school.code[-4:]},
        ):
            self.assertEqual(self.codes(self.api.get(self.url, query)), [of_school.shown_code], query)
        self.assertEqual(self.codes(self.api.get(self.url, {"search": "100%"})), [])

    def test_it_orders_by_purchase_and_expiry(self):
        now = timezone.now()
        first = make_voucher(
            owner=self.customer, purchase_date=now - timedelta(days=2), expiry_date=now + timedelta(9)
        )
        second = make_voucher(
            owner=self.customer, purchase_date=now - timedelta(days=1), expiry_date=now + timedelta(5)
        )
        for ordering, expected in {
            "purchase_date": [first, second],
            "-purchase_date": [second, first],
            "expiry_date": [second, first],
            "-expiry_date": [first, second],
        }.items():
            response = self.api.get(self.url, {"ordering": ordering})
            self.assertEqual(self.codes(response), [voucher.shown_code for voucher in expected], ordering)

    def test_it_is_paged(self):
        owner, kind = self.customer, make_type()
        services.issue_vouchers(
            voucher_type_id=kind.pk,
            owner_id=owner.pk,
            quantity=130,
            terms=services.terms_of(kind),
            issued_at=timezone.now(),
        )
        first = self.api.get(self.url).json()
        self.assertEqual((first["count"], len(first["results"]), first["previous"]), (130, 20, None))
        self.assertIn("page=2", first["next"])
        self.assertEqual(len(self.api.get(self.url, {"page_size": 1000}).json()["results"]), 100)
        seen = {code for page in range(1, 8) for code in self.codes(self.api.get(self.url, {"page": page}))}
        self.assertEqual(len(seen), 130)

    def test_it_takes_two_queries_whatever_the_page_holds(self):
        for _ in range(7):
            make_voucher(owner=self.customer)
        with self.assertQueries(2):
            self.api.get(self.url)

    def test_bad_queries_are_refused(self):
        make_voucher(owner=self.customer)
        for name, value in (
            ("status", "lost"),
            ("voucher_type", "x"),
            ("voucher_type", "1.5"),
            ("voucher_type", "0"),
            ("voucher_type", "9" * 40),
            ("search", "\0"),
            ("search", "x" * 501),
            ("service_type", "\0"),
            ("ordering", "code"),
        ):
            document = self.assertProblem(self.api.get(self.url, {name: value}), 400, "validation_error")
            self.assertIn(name, document["errors"])
        for page in ("0", "-1", "99", "x", "9" * 40, "\0"):
            self.assertProblem(self.api.get(self.url, {"page": page}), 404, "not_found")
        self.assertEqual(self.api.get(self.url, {"page_size": "-3"}).status_code, 200)


class DetailTests(ReadingTestCase):
    def get(self, code, api=None):
        return (api or self.api).get(f"/api/vouchers/detail/{code}/")

    def test_it_shows_the_owner_the_voucher_with_its_uses(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        services.redeem_voucher(code=voucher.code, user=self.other_customer)
        services.redeem_voucher(code=voucher.code, user=self.customer)
        for typed in (voucher.shown_code, voucher.code.lower()):
            with self.assertQueries(3):
                response = self.get(typed)
            answer = response.json()
            self.assertEqual((answer["code"], answer["uses_remaining"]), (voucher.shown_code, 1))
            self.assertEqual([usage["use_no"] for usage in answer["usages"]], [2, 1])

    def test_of_very_many_uses_it_shows_the_latest(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=4))
        for _ in range(4):
            services.redeem_voucher(code=voucher.code, user=self.customer)
        with patch.object(selectors, "MAX_USES_SHOWN", 3), self.assertQueries(3):
            detail = self.api.get(f"/api/vouchers/detail/{voucher.shown_code}/").json()
        self.assertEqual([usage["use_no"] for usage in detail["usages"]], [4, 3, 2])

    def test_staff_see_it_too_and_anyone_else_does_not(self):
        voucher = make_voucher(owner=self.customer)
        self.assertEqual(self.get(voucher.code, self.signed_in(make_staff())).status_code, 200)
        others = self.get(voucher.code, self.signed_in(self.other_customer))
        self.assertProblem(others, 404, "voucher_not_found")

    def test_unknown_and_malformed_codes_are_not_found(self):
        for code in (unknown_code(), "x", "%00", "%F0%9F%98%80", "a" * 300):
            self.assertProblem(self.get(code), 404, "voucher_not_found")


class StatsTests(ReadingTestCase):
    url = "/api/vouchers/stats/"

    def test_it_counts_by_status_and_sums_by_currency(self):
        make_voucher(owner=self.customer)
        make_used_voucher(owner=self.customer)
        make_expired_voucher(owner=self.customer)
        make_inactive_voucher(owner=self.customer)
        make_voucher(owner=self.customer, voucher_type=make_type(price="7.25", currency="EUR"))
        make_voucher(owner=self.other_customer)
        with self.assertQueries(2):
            response = self.api.get(self.url)
        self.assertEqual(
            response.json(),
            {
                "total_vouchers": 5,
                "active_vouchers": 2,
                "used_vouchers": 1,
                "expired_vouchers": 1,
                "inactive_vouchers": 1,
                "total_redemptions": 1,
                "total_value": "40.00",
                "currency": "USD",
                "other_currencies": [{"currency": "EUR", "total_value": "7.25"}],
            },
        )

    def test_it_is_all_zeros_for_a_newcomer(self):
        answer = self.api.get(self.url).json()
        self.assertEqual(answer.pop("total_value"), "0.00")
        self.assertEqual((answer.pop("currency"), answer.pop("other_currencies")), ("USD", []))
        self.assertEqual(set(answer.values()), {0})

    def test_cents_add_up_exactly(self):
        kind = make_type(price=Decimal("0.10"))
        for _ in range(30):
            make_voucher(owner=self.customer, voucher_type=kind)
        self.assertEqual(self.api.get(self.url).json()["total_value"], "3.00")


class UsageHistoryTests(ReadingTestCase):
    url = "/api/vouchers/usage-history/"

    def use(self, days_ago=0, user=None, **type_fields):
        voucher = make_voucher(owner=self.other_customer, voucher_type=make_type(**type_fields))
        usage = make_usage(code=voucher.code, user=user or self.customer)
        VoucherUsage.objects.filter(pk=usage.pk).update(used_at=usage.used_at - timedelta(days=days_ago))
        return usage

    def ids(self, **query):
        response = self.api.get(self.url, query)
        self.assertEqual(response.status_code, 200, response.content)
        return [row["id"] for row in response.json()["results"]]

    def test_it_shows_what_the_caller_redeemed_newest_first(self):
        older, newer = self.use(days_ago=3), self.use()
        self.use(user=self.other_customer)
        self.assertEqual(self.ids(), [newer.pk, older.pk])

    def test_it_filters_by_service_and_time(self):
        old, new = self.use(days_ago=10, service_type="school_application"), self.use()
        today, week_ago = timezone.localdate(), timezone.localdate() - timedelta(days=7)
        self.assertEqual(self.ids(service_type="school_application"), [old.pk])
        self.assertEqual(self.ids(**{"from": week_ago.isoformat()}), [new.pk])
        self.assertEqual(self.ids(to=week_ago.isoformat()), [old.pk])
        self.assertEqual(self.ids(**{"from": today.isoformat(), "to": today.isoformat()}), [new.pk])
        moment = (timezone.now() - timedelta(days=8)).isoformat()
        self.assertEqual(self.ids(**{"from": moment}), [new.pk])

    def test_any_offset_is_taken(self):
        for offset in ("-19:10", "+23:59", "Z", "+00:00"):
            with self.subTest(offset):
                response = self.api.get(self.url, {"from": f"2026-01-01T10:00:00{offset}"})
                self.assertEqual(response.status_code, 200, response.content)

    def test_bad_times_are_refused(self):
        for value in ("yesterday", "2026-13-01", "2026-02-30", "0001-01-01T00:00:00+23:59", "9" * 50, "\0"):
            for name in ("from", "to"):
                document = self.assertProblem(self.api.get(self.url, {name: value}), 400, "validation_error")
                self.assertIn(name, document["errors"])

    def test_it_takes_two_queries_whatever_the_page_holds(self):
        for _ in range(5):
            self.use()
        with self.assertQueries(2):
            self.api.get(self.url)

    def test_everything_here_needs_a_signed_in_user(self):
        self.api.credentials()
        for name in ("my-vouchers", "stats", "usage-history", f"detail/{unknown_code()}"):
            self.assertProblem(self.api.get(f"/api/vouchers/{name}/"), 401, "not_authenticated")
