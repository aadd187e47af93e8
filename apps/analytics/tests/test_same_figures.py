"""Active users and the latest redemptions as they were counted before, by joins and sub-selects under OR."""

import random
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.periods import Period, days_until
from apps.users.models import User
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.books import rebuild_figures
from tests.support.cases import ApiTestCase

from .factories import give_back, issue, make_purchase, use

ACTIVE = """
SELECT COUNT(*) FROM users_user
WHERE last_login >= %s AND last_login < %s
   OR id IN (SELECT user_id FROM payments_transaction
             WHERE status IN ('completed', 'refunded') AND completed_at >= %s AND completed_at < %s)
   OR id IN (SELECT use_row.user_id FROM vouchers_voucherusage use_row
             LEFT JOIN vouchers_usagereversal reversal ON reversal.usage_id = use_row.id
             WHERE reversal.id IS NULL AND used_at >= %s AND used_at < %s)
"""
LATEST = """
SELECT kind.name FROM vouchers_voucherusage use_row
JOIN vouchers_voucher voucher ON voucher.id = use_row.voucher_id
JOIN vouchers_vouchertype kind ON kind.id = voucher.voucher_type_id
LEFT JOIN vouchers_usagereversal reversal ON reversal.usage_id = use_row.id
WHERE reversal.id IS NULL AND used_at >= %s AND used_at < %s
ORDER BY used_at DESC, use_row.id DESC LIMIT 10
"""


class SameFiguresTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.staff = make_staff()
        self.people = [make_user() for _ in range(12)]
        self.now = timezone.now()

    def rows(self, statement: str, period: Period) -> list[tuple[Any, ...]]:
        """The answer to a statement with the ends of the period, as often as it has places for them."""
        ends = [connection.ops.adapt_datetimefield_value(end) for end in (period.start, period.end)]
        with connection.cursor() as cursor:
            cursor.execute(statement, ends * (statement.count("%s") // 2))
            return list(cursor.fetchall())

    def assertSame(self, period: Period) -> None:
        shown = selectors.dashboard(owner=None, period=period, now=self.now, currency="USD")
        assert shown.users
        self.assertEqual([(shown.users.active,)], self.rows(ACTIVE, period))
        redemptions = [(event.voucher_type,) for event in shown.recent if event.type == "redemption"]
        self.assertEqual(redemptions, self.rows(LATEST, period)[: len(redemptions)])

    def seen(self, person: User, at: datetime) -> None:
        User.objects.filter(pk=person.pk).update(last_login=at)

    def test_everybody_is_counted_once_and_only_within_the_period(self) -> None:
        period = days_until(timezone.localdate(self.now), 3)
        first, after = period.start, period.end
        kind = make_type(price=0, max_uses=9)
        owner, both, early, late, reverted, again, *_ = self.people
        voucher = issue(user=owner, voucher_type=kind, at=first - timedelta(days=9))
        instant = timedelta(microseconds=1)
        use(voucher, by=both, at=first)  # the first instant; somebody else's voucher
        make_purchase(user=both, at=after - instant)
        self.seen(both, first + instant)
        for person, at in ((early, first - instant), (late, after)):
            use(voucher, by=person, at=at)
            make_purchase(user=person, at=at)
            self.seen(person, at)
        give_back(use(voucher, by=reverted, at=first), by=self.staff, at=after)
        give_back(use(voucher, by=again, at=first), by=self.staff, at=first)
        use(voucher, by=again, at=first)
        make_purchase(user=reverted, at=first, status="failed", completed_at=None)
        figures = selectors.dashboard(owner=None, period=period, now=self.now, currency="USD")
        assert figures.users
        self.assertEqual(figures.users.active, 2)  # `both` and `again`
        self.assertEqual(figures.tally.totals.redemptions, 2)
        for _ in range(2):
            self.assertSame(period)
            self.assertSame(Period(period.first - timedelta(days=1), period.last + timedelta(days=1)))
            rebuild_figures()

    def test_whatever_happened_the_figures_are_as_before(self) -> None:
        chance = random.Random(5)
        kinds = [make_type(name=f"Kind {number}", max_uses=9) for number in range(3)]
        moments = [self.now - timedelta(hours=chance.randrange(24 * 8)) for _ in range(25)]
        vouchers: list[Voucher] = []
        for person in self.people[:9]:
            paid = make_purchase(user=person, voucher_type=chance.choice(kinds), at=chance.choice(moments))
            vouchers += paid.vouchers
            if chance.random() < 0.4:
                self.seen(person, chance.choice(moments))
        for _ in range(60):  # many at the same instant
            usage = use(chance.choice(vouchers), by=chance.choice(self.people), at=chance.choice(moments))
            if chance.random() < 0.4:
                give_back(usage, by=self.staff, at=self.now)
        today = timezone.localdate(self.now)
        for with_a_roll_up in (False, True):
            if with_a_roll_up:
                rebuild_figures()
            for days in (1, 2, 4, 9, 366):
                for last in (today, today - timedelta(days=5)):
                    with self.subTest(days=days, last=last, with_a_roll_up=with_a_roll_up):
                        self.assertSame(days_until(last, days))
