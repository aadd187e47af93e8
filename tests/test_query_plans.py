"""The statements of requests that come often, explained by the database: none reads a table that grows as a whole."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final
from unittest import skipUnless

import time_machine
from django.conf import settings
from django.db import connection
from django.test import override_settings, tag
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.analytics.models import CountedOwner
from apps.analytics.tests.factories import make_purchase
from apps.payments.models import Transaction
from apps.payments.services import purchases
from apps.payments.tests.factories import transaction_row
from apps.users.models import User
from apps.users.tests.factories import make_customer
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.books import rebuild_figures
from tests.support.many_rows import fill, sell
from tests.support.plans import (
    PlanTestCase,
    plan_for_all_values,
    plan_of,
    prepared_statements,
    rows_read,
    whole_table,
)

REDEEM: Final = "/api/vouchers/redeem/"
OF_ONE, ALL = 1000, 6000
LARGE: Final = ("vouchers_voucher", "vouchers_voucherusage", "payments_transaction")
GROWING: Final = (
    "vouchers_voucher",
    "vouchers_voucherusage",
    "vouchers_voucherevent",
    "vouchers_usagereversal",
    "payments_transaction",
    "payments_soldvoucher",
    "authentication_session",
)


@tag("server")
class QueryPlanTests(PlanTestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.staff = fill(OF_ONE, ALL)
        sell(self.staff)
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)
        self.voucher, *_ = Voucher.objects.filter(
            sale__transaction=make_purchase(
                user=self.customer, voucher_type=make_type(max_uses=9), at=timezone.now(), quantity=3
            )
        )
        self.tidy(*GROWING)

    def redeem(self, *, key: str | None = None, status: int = 200) -> list[str]:
        headers = {"Idempotency-Key": key} if key else {}
        return self.statements_of(
            lambda: self.api.post(REDEEM, {"code": self.voucher.code}, headers=headers), status
        )

    def large_owner_with_figures(self) -> User:
        """An owner of OF_ONE vouchers who is counted apart, and has bought one since."""
        owner = User.objects.get(pk=Voucher.objects.earliest("pk").user_id)
        # So much later that all of before is counted.
        self.enterContext(time_machine.travel(timezone.now() + timedelta(hours=1)))
        rebuild_figures()
        self.assertTrue(CountedOwner.objects.filter(pk=owner.pk).exists())
        make_purchase(user=owner, voucher_type=make_type(), at=timezone.now())
        self.tidy(*GROWING)
        return owner

    def assertByIndex(self, statements: list[str]) -> None:
        self.assertTrue(statements)
        for statement in statements:
            self.assertNotRegex(plan_of(statement), whole_table(GROWING))

    def test_redeeming(self) -> None:
        for name, key in (("without a key", None), ("with a key", "one"), ("again with the key", "one")):
            with self.subTest(name):
                self.assertByIndex(self.redeem(key=key))
        Voucher.objects.filter(pk=self.voucher.pk).update(uses_remaining=0)
        self.assertByIndex(self.redeem(status=409))

    def test_what_a_customer_looks_at(self) -> None:
        intent = Transaction.objects.filter(user=self.customer).get().pk
        for path in (
            "vouchers/my-vouchers/",
            f"vouchers/detail/{self.voucher.code}/",
            "vouchers/stats/",
            "vouchers/usage-history/",
            "payments/history/",
            f"payments/transaction/{intent}/",
            "payments/refunds/",
            "analytics/user/",
            "analytics/user/?days=366",
        ):
            with self.subTest(path):
                self.assertByIndex(self.statements_of(self.get(self.api, path)))

    @skipUnless(connection.vendor == "postgresql" and not settings.DATABASE_POOLED, "there is none")
    def test_nor_does_a_plan_that_is_for_all_values(self) -> None:
        """PostgreSQL may choose it for a prepared statement, whose values it then does not look at."""
        (transaction,) = Transaction.objects.filter(user=self.customer)
        with prepared_statements() as executed:
            for path in (
                "vouchers/my-vouchers/",
                f"vouchers/detail/{self.voucher.code}/",
                "vouchers/stats/",
                "vouchers/usage-history/",
                "payments/history/",
                f"payments/transaction/{transaction.pk}/",
                "analytics/user/",
            ):
                self.assertEqual(self.api.get(f"/api/{path}").status_code, 200)
            self.redeem()
            self.redeem(key="one")
        self.assertGreater(len(executed), 15)
        for statement in executed:
            self.assertNotRegex(plan_for_all_values(statement), whole_table(GROWING))

    @skipUnless(connection.vendor == "postgresql" and not settings.DATABASE_POOLED, "there is none")
    def test_dashboards_read_what_changed_and_nothing_else_of_what_the_roll_up_has(self) -> None:
        """However much somebody owns, and though PostgreSQL does not know how short the time since the counting is."""
        owner = self.large_owner_with_figures()
        for user, path in ((self.staff, "analytics/dashboard/"), (owner, "analytics/user/")):
            api = self.signed_in(user)
            for days in (30, 366):
                with prepared_statements() as executed:
                    response = api.get(f"/api/{path}?days={days}")
                    self.assertGreater(response.json()["totals"]["vouchers_issued"], OF_ONE)
                self.assertGreater(len(executed), 3)
                for statement in executed:
                    for table, number in rows_read(statement):
                        if table in LARGE:
                            self.assertLess(number, 50, (table, plan_of(statement)))

    @skipUnless(connection.vendor == "postgresql", "it tells how many rows it read")
    @override_settings(LIMIT_UNPAID_PURCHASES_PER_ACCOUNT=(10, 3600))
    def test_what_a_buyer_left_unpaid_is_counted_up_to_the_limit(self) -> None:
        kind = make_type()
        row = partial(transaction_row, user=self.customer, voucher_type=kind)
        Transaction.objects.bulk_create([row() for _ in range(500)])
        self.tidy(*GROWING)
        with CaptureQueriesContext(connection) as captured:
            self.assertEqual(purchases._type_on_sale(self.customer, kind.pk), (kind, 10))
        read = dict(rows_read(captured.captured_queries[-1]["sql"]))
        self.assertLess(read["payments_transaction"], 20)

    @skipUnless(connection.vendor == "postgresql", "it tells how many rows it read")
    def test_the_number_of_vouchers_of_a_large_owner_is_read_and_not_counted(self) -> None:
        owner = self.large_owner_with_figures()
        api = self.signed_in(owner)
        self.assertGreater(self.get(api, "vouchers/my-vouchers/")().json()["count"], OF_ONE)
        read = [
            number
            for statement in self.statements_of(self.get(api, "vouchers/my-vouchers/"))
            for table, number in rows_read(statement)
            if table == "vouchers_voucher"
        ]
        self.assertTrue(read)
        self.assertLess(max(read), OF_ONE // 2)

    def test_the_latest_events_of_the_platform_are_read_from_the_newest_on(self) -> None:
        staff = self.signed_in(self.staff)
        for days in (2, 366):
            statements = self.statements_of(self.get(staff, f"analytics/dashboard/?days={days}"))
            latest = [each for each in statements if each.rstrip().endswith("LIMIT 10")]
            self.assertEqual(len(latest), 2)
            for statement, index in zip(
                latest, ("payments_by_completion", "usages_newest_first"), strict=True
            ):
                plan = plan_of(statement)
                self.assertIn(index, plan)
                self.assertNotRegex(plan, whole_table(GROWING))

    def get(self, client: Any, path: str) -> Callable[[], Any]:
        return lambda: client.get(f"/api/{path}")


@tag("server", "slow")
@skipUnless(connection.vendor == "postgresql" and not settings.DATABASE_POOLED, "nothing is prepared")
class FewOwnersTests(PlanTestCase):
    """Schools that own thousands of vouchers each: a plan for all owners reads the newest rows of all of them.

    PostgreSQL keeps to it once such an owner's lists were the first of a connection, also for who owns none.
    """

    def test_a_small_list_reads_few_rows_after_those_of_a_large_owner(self) -> None:
        large, staff = fill(20_000, 40_000)
        sell(staff)
        self.tidy(*GROWING)
        connection.close()
        lists = ("vouchers/my-vouchers/", "vouchers/usage-history/", "payments/history/")
        for user in (large, make_customer()):
            api = self.signed_in(user)
            with prepared_statements() as executed:
                for path in lists * 8:
                    self.assertEqual(api.get(f"/api/{path}").status_code, 200)
        self.assertTrue(executed)
        for statement in set(executed):
            for table, number in rows_read(statement):
                self.assertLess(number, 200, (table, statement))
