"""The audit finds nothing in books that are in order, whatever happened, and reads each table as a whole."""

import random
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from apps.analytics.audit import audit
from apps.users.tests.factories import make_user
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .books import BooksTestCase
from .factories import fill_books


class AuditTests(BooksTestCase, ApiTestCase):
    def test_books_in_which_everything_has_happened_are_in_order(self):
        self.assertEqual(broken_rules(), {})
        self.fill()
        self.assertEqual(broken_rules(), {})

    def test_it_reads_each_table_as_a_whole(self):
        self.fill()
        with CaptureQueriesContext(connection) as few:
            audit()
        self.type = self.whole.voucher_type
        for _ in range(5):
            paid = self.buy(4)
            self.redeem(paid.vouchers[0])
            self.ask(paid)
        with CaptureQueriesContext(connection) as more:
            audit()
        self.assertEqual(len(few), len(more))

    def test_figures_are_right_for_any_books_and_in_any_time_zone(self):
        now = timezone.now()
        chance = random.Random(8)
        moments = [now - timedelta(hours=chance.randrange(2000)) for _ in range(50)]
        users = [make_user(), make_user()]
        fill_books(chance, users=users, moments=moments, now=now, purchases=40)
        for zone in ("UTC", "Pacific/Auckland", "America/New_York"):
            with override_settings(TIME_ZONE=zone):
                self.assertNotIn("figures_shown", broken_rules())
