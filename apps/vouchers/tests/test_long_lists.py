"""Lists of many rows: what the database does for each filter, order and page; long ones page as short ones."""

import json
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

from django.db import connection
from django.test import tag
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.api.pagination import DeferredJoinPaginator
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from apps.vouchers.states import VoucherStatus
from tests.support.cases import ApiTestCase, Client
from tests.support.many_rows import fill
from tests.support.plans import PlanTestCase, plan_of, whole_table

from .factories import make_type

MY, USES = "/api/vouchers/my-vouchers/", "/api/vouchers/usage-history/"
MINE, ALL = 2000, 8000
TABLES = ("vouchers_voucher", "vouchers_voucherusage")


@tag("server")
class PlanTests(PlanTestCase):
    """Each query of each list, explained by the database itself."""

    def setUp(self) -> None:
        super().setUp()
        self.owner, self.staff = fill(MINE, ALL)
        self.tidy(*TABLES)

    def plans_of(self, client: Client, path: str, query: dict[str, Any]) -> list[str]:
        """What the database does for each query about vouchers or uses that this request sends."""
        statements = self.statements_of(lambda: client.get(path, query))
        statements = [
            sql for sql in statements if sql.startswith("SELECT") and 'FROM "vouchers_voucher' in sql
        ]
        return [plan_of(sql) for sql in statements if 'FROM "vouchers_vouchertype"' not in sql]

    def assertNoWholeTable(self, client: Client, path: str, query: dict[str, Any]) -> list[str]:
        plans = self.plans_of(client, path, query)
        for plan in plans:
            self.assertNotRegex(plan, whole_table(TABLES))
        return plans

    def queries(self) -> list[dict[str, Any]]:
        voucher = Voucher.objects.filter(user=self.owner)[1234]
        return [
            {},
            *(
                {"ordering": name}
                for name in ("purchase_date", "-purchase_date", "expiry_date", "-expiry_date")
            ),
            *({"status": status.value} for status in VoucherStatus),
            {"status": "inactive", "ordering": "expiry_date"},
            {"voucher_type": voucher.voucher_type_id},
            {"service_type": "service_3"},
            {"service_type": "service_1", "status": "active"},
            {"search": "kind"},
            {"search": "kind 3"},
            {"search": voucher.code},
            {"search": voucher.code[-4:].lower()},
        ]

    def test_no_filter_order_or_page_of_my_vouchers_reads_the_whole_table(self) -> None:
        client = self.signed_in(self.owner)
        for query in self.queries():
            # Whether a use is left stands in no index, as redeeming would write to it. Of an owner of a quarter of
            # all rows, the whole table would be read to see it.
            by_status = self.without_reading_whole_tables() if "status" in query else nullcontext()
            with self.subTest(query=query), by_status:
                counting, *_ = self.assertNoWholeTable(client, MY, query)
                self.assertNoWholeTable(client, MY, {**query, "page": "last"})
                if "status" in query:
                    self.assertRegex(counting, "vouchers_owned_by_(purchase|expiry)")

    def test_counting_and_skipping_read_no_row(self) -> None:
        client = self.signed_in(self.owner)
        only = "Index Only Scan" if connection.vendor == "postgresql" else "USING COVERING INDEX"
        for query in (
            {"page": 30},
            {"ordering": "expiry_date", "page": 30},
            {"service_type": "service_1", "page": 10},
            {"search": "kind", "page": 10},
        ):
            with self.subTest(query=query), patch.object(DeferredJoinPaginator, "LONG", 100):
                about_vouchers = self.assertNoWholeTable(client, MY, query)
                counting, skipping, _ = about_vouchers[-3:]
                self.assertIn(only, counting)
                self.assertIn(only, skipping)
        [counting, *_] = self.plans_of(client, MY, {"status": "inactive"})
        self.assertIn(only, counting)
        uses = self.plans_of(client, USES, {"page": 20})
        for plan in uses[:-1]:  # the last reads the rows of the page
            self.assertIn(only, plan)
            self.assertNotIn("JOIN", plan)

    def test_no_filter_or_page_of_uses_reads_the_whole_table(self) -> None:
        client = self.signed_in(self.owner)
        today = timezone.localdate().isoformat()
        for query in (
            {},
            {"page": 20},
            {"service_type": "service_3"},
            {"from": "2020-01-01", "to": "2020-02-01"},
            {"to": today},
        ):
            with self.subTest(query=query):
                self.assertNoWholeTable(client, USES, dict(query))

    def test_staff_find_a_voucher_and_its_uses_without_reading_the_whole_table(self) -> None:
        used = Voucher.objects.filter(user=self.owner, uses_remaining=0)[123]
        client = Client()
        client.force_login(self.staff)
        for page in ("voucher", "voucherusage"):
            address = f"/admin/vouchers/{page}/"
            for typed in (used.code, f"····-{used.code[-4:]}"):
                with self.subTest(page=page, typed=typed[-4:]):
                    self.assertTrue(self.assertNoWholeTable(client, address, {"q": typed}))
            with self.subTest(page=page, typed="an ending, or part of an address"):
                for plan in self.plans_of(client, address, {"q": used.code[-4:].lower()}):
                    self.assertIn("vouchers_by_last_four", plan)


class LongListTests(ApiTestCase):
    """The same lists as ever, with the way that is taken for long ones."""

    def setUp(self) -> None:
        super().setUp()
        self.owner, _ = fill(130, 260)
        self.api = self.signed_in(self.owner)

    def pages(self, path: str, **query: Any) -> list[list[str]]:
        """The identifying member of each row, by page."""
        first = self.api.get(path, query).json()
        pages = [first]
        while following := pages[-1]["next"]:
            pages.append(self.api.get(following).json())
        self.assertEqual(
            [len(pages), {page["count"] for page in pages}], [-(-first["count"] // 20), {first["count"]}]
        )
        return [[json.dumps(row, sort_keys=True) for row in page["results"]] for page in pages]

    def test_every_page_is_the_same_as_of_a_short_list(self) -> None:
        queries: list[dict[str, Any]] = [
            {},
            *(
                {"ordering": name}
                for name in ("purchase_date", "-purchase_date", "expiry_date", "-expiry_date")
            ),
            {"status": "active"},
            {"search": "kind"},
            {"service_type": "service_1", "ordering": "expiry_date"},
        ]
        for path, of_path in ((MY, queries), (USES, [{}, {"service_type": "service_0"}])):
            for query in of_path:
                with self.subTest(path=path, query=query):
                    plain = self.pages(path, **query)
                    with patch.object(DeferredJoinPaginator, "LONG", 10):
                        self.assertEqual(self.pages(path, **query), plain)

    def test_a_page_takes_one_query_more_however_long_the_list_is(self) -> None:
        with patch.object(DeferredJoinPaginator, "LONG", 10):
            queries: list[dict[str, Any]] = [{}, {"page": 3}, {"page": 7}, {"status": "active", "page": 3}]
            for query in queries:
                with self.assertQueries(4):  # who asks, count, ids, rows
                    self.api.get(MY, query)
        with self.assertQueries(2):  # who asks; count and rows
            self.api.get(MY)

    def test_it_skips_from_the_end_that_is_nearer(self) -> None:
        for page, order in ((2, "DESC"), (6, "ASC")):
            with (
                patch.object(DeferredJoinPaginator, "LONG", 10),
                CaptureQueriesContext(connection) as captured,
            ):
                self.api.get(MY, {"page": page})
            [skipping] = [each["sql"] for each in captured.captured_queries if "OFFSET" in each["sql"]]
            self.assertIn(f'"vouchers_voucher"."id" {order} LIMIT', skipping)

    def test_pages_that_are_not_there_are_not_found(self) -> None:
        with patch.object(DeferredJoinPaginator, "LONG", 10):
            for page in ("0", "-1", "8", "x", "9" * 40):
                self.assertProblem(self.api.get(MY, {"page": page}), 404, "not_found")
            self.assertEqual(len(self.api.get(MY, {"page": "last"}).json()["results"]), 10)


class SearchTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.owner = make_user()
        self.api = self.signed_in(self.owner)

    def search(self, words: str) -> set[str]:
        return {row["code"] for row in self.api.get(MY, {"search": words}).json()["results"]}

    def test_four_symbols_may_be_a_name_and_the_end_of_a_code(self) -> None:
        kind, other = make_type(name="Exam"), make_type(name="School")
        fields = {"user": self.owner, "face_value": 1, "currency": "USD", "service_type": "x"}
        fields |= {"expiry_date": timezone.now(), "total_uses": 1, "uses_remaining": 1}
        named = Voucher.objects.create(code="2" * 16, voucher_type=kind, **fields)
        ending = Voucher.objects.create(code="2" * 12 + "EXAM", voucher_type=other, **fields)
        Voucher.objects.create(code="2" * 11 + "EXAM2", voucher_type=other, **fields)
        Voucher.objects.create(code="3" * 12 + "EXAM", voucher_type=other, **{**fields, "user": make_user()})
        self.assertEqual(self.search("exam"), {named.shown_code, ending.shown_code})

    def test_what_can_not_be_the_end_of_a_code_is_not_looked_for(self) -> None:
        for words in ("o0o0", "\u017f" * 4, "%%%%", "____", "abc", "abcde", "ßabc"):
            self.assertFalse(codes.is_last_four(words))
            self.assertEqual(self.search(words), set())
        for words in ("abcd", "2345", "ZzZz"):
            self.assertTrue(codes.is_last_four(words))
