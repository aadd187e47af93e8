"""The statements of dashboards, explained by the database: what they read does not grow with the books."""

from datetime import timedelta
from typing import Final
from unittest import skipUnless

from django.db import connection
from django.test import tag
from django.utils import timezone

from apps.analytics.models import CountedOwner, FiguresState
from apps.analytics.tests.books import count_until_now
from apps.analytics.tests.factories import give_back, make_purchase, use, vouchers_of
from apps.users.models import User
from apps.users.tests.factories import make_customer
from apps.vouchers.tests.factories import make_type
from tests.support.many_rows import fill, sell
from tests.support.plans import PlanTestCase, plan_of, rows_read
from tests.test_query_plans import GROWING

OF_ONE, ALL, OWNERS = 210, 4000, 199
# So that the days of now, whose uses a statement may read, have a small part of all.
SPACING: Final = timedelta(hours=1)
LONG: Final = (
    *GROWING,
    "users_user",
    "analytics_countedvoucher",
    "analytics_countedsignin",
    "analytics_activeday",
)
MOST_READ: Final = ALL // 10  # rows of a long table, by one step of a statement; all of one owner are fewer


@tag("server")
@skipUnless(connection.vendor == "postgresql", "SQLite does not say how many rows it read")
class DashboardPlanTests(PlanTestCase):
    def setUp(self) -> None:
        super().setUp()
        now = timezone.now()
        self.owner, self.staff = fill(OF_ONE, ALL, owners=OWNERS, spacing=SPACING)
        sell(self.staff)
        User.objects.bulk_create(
            User(
                email=f"u{number}@example.com",
                date_joined=now - timedelta(hours=number),
                last_login=now - number * SPACING / 7,
            )
            for number in range(ALL)
        )
        count_until_now()
        self.assertTrue(CountedOwner.objects.filter(owner=self.owner).exists())
        for buyer in (self.owner, make_customer()):
            paid = make_purchase(
                user=buyer, voucher_type=make_type(max_uses=9), at=timezone.now(), quantity=3
            )
            for voucher in vouchers_of(paid):
                give_back(use(voucher, by=buyer, at=timezone.now()), by=self.staff, at=timezone.now())
        self.tidy(*LONG)

    def test_none_reads_more_than_happened_since_it_was_counted(self) -> None:
        # Who has few vouchers is in test_query_plans: these are counted from the rows.
        for person, path in ((self.staff, "dashboard/"), (self.owner, "user/")):
            for statement in self.statements(person, f"{path}?days=366"):
                with self.subTest(path):
                    self.assertFalse(self.reads_much(statement), plan_of(statement))
        # And where nothing is counted, it would be seen.
        FiguresState.objects.all().delete()
        statements = self.statements(self.staff, "dashboard/?days=366")
        self.assertTrue(any(self.reads_much(each) for each in statements))

    def statements(self, person: User, path: str) -> list[str]:
        api = self.signed_in(person)
        statements = [
            each
            for each in self.statements_of(lambda: api.get(f"/api/analytics/{path}"))
            if "authentication_session" not in each  # as at every request
        ]
        self.assertGreater(len(statements), 3)
        return statements

    def reads_much(self, statement: str) -> bool:
        """Whether it reads a large part of a long table."""
        with self.without_reading_whole_tables():
            return any(number > MOST_READ for table, number in rows_read(statement) if table in LONG)
