"""The JSON of dashboards is, byte for byte, what the documented serializer writes."""

import random
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from apps.analytics import selectors
from apps.analytics.periods import Period, days_until
from apps.analytics.serializers import DashboardOutput
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers.models import RefusalCount, VoucherType
from tests.support.cases import ApiTestCase

from .factories import fill_books


class DashboardDocumentsTest(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer, self.staff = make_customer(), make_staff()
        self.now = timezone.now()
        moments = [self.now - timedelta(days=days, minutes=1) for days in range(0, 60, 3)]
        people = [self.customer, make_other_customer()]
        fill_books(random.Random(7), users=people, moments=moments, now=self.now, purchases=60)
        today = timezone.localdate(self.now)
        for day, number in ((today, 7), (today - timedelta(days=90), 100), (today + timedelta(days=1), 100)):
            RefusalCount.objects.create(day=day, service_type="exam", reason="voucher_expired", number=number)
        RefusalCount.objects.create(day=today, service_type="", reason="code_malformed", number=3)
        for number, kind in enumerate(VoucherType.objects.all()):
            kind.name = f"{number} نتائج \u2028 <考试>"
            kind.save()

    def assertSame(self, user: User, path: str, owner: User | None, period: Period) -> dict[str, Any]:
        figures = selectors.dashboard(
            owner=owner, period=period, now=timezone.now(), currency=settings.DEFAULT_CURRENCY
        )
        response = self.signed_in(user).get(f"/api/analytics/{path}")
        self.assertEqual(response.content, JSONRenderer().render(DashboardOutput(figures).data))
        document: dict[str, Any] = response.json()
        return document

    def test_of_a_person_and_of_the_platform(self) -> None:
        today = timezone.localdate(self.now)
        for number in (1, 30, 90):
            period, query = days_until(today, number), f"?days={number}"
            own = self.assertSame(self.customer, f"user/{query}", self.customer, period)
            self.assertSame(self.customer, f"dashboard/{query}", self.customer, period)
            all_of_it = self.assertSame(self.staff, f"dashboard/{query}", None, period)
            self.assertTrue({"users", "refusals"}.isdisjoint(own))
            self.assertEqual(
                all_of_it["refusals"],
                [
                    {"reason": "voucher_expired", "service_type": "exam", "number": 7},
                    {"reason": "code_malformed", "service_type": "", "number": 3},
                ],
            )
            self.assertEqual(all_of_it["users"]["total"], 3)
        self.assertTrue(all_of_it["totals"]["other_currencies"])
        self.assertEqual({event["type"] for event in all_of_it["recent"]}, {"purchase", "redemption"})

    def test_without_a_period_and_without_anything_to_tell(self) -> None:
        today = timezone.localdate(self.now)
        self.assertSame(self.customer, "user/", self.customer, days_until(today))
        self.assertSame(self.staff, "user/", self.staff, days_until(today))
