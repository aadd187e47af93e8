"""A voucher's validity is only made longer."""

from datetime import timedelta

from django.utils import timezone

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import services
from apps.vouchers.errors import ExtensionBackwards
from apps.vouchers.models import VoucherEvent
from tests.support.cases import ApiTestCase

from .factories import make_voucher


class ExtendTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner, self.staff = make_user(), make_staff()

    def extend(self, voucher, *, last_day, days):
        """Extend a voucher until so many days after `last_day`; its last day by then."""
        until = last_day + timedelta(days=days)
        services.extend_voucher(voucher_id=voucher.pk, until=until, actor=self.staff, reason="asked for")
        return self.last_day(voucher)

    def last_day(self, voucher):
        voucher.refresh_from_db()
        return timezone.localdate(voucher.expiry_date)

    def assertRefused(self, voucher, *, last_day, days):
        before = voucher.expiry_date
        with self.assertRaises(ExtensionBackwards):
            self.extend(voucher, last_day=last_day, days=days)
        voucher.refresh_from_db()
        self.assertEqual(voucher.expiry_date, before)
        self.assertFalse(VoucherEvent.objects.filter(voucher=voucher, kind="extended").exists())

    def test_a_later_day_is_taken(self):
        voucher = make_voucher(owner=self.owner)
        last_day = self.last_day(voucher)
        self.assertEqual(self.extend(voucher, last_day=last_day, days=1), last_day + timedelta(days=1))

    def test_an_earlier_day_and_the_same_are_refused(self):
        voucher = make_voucher(owner=self.owner)
        for days in (-300, -1, 0):
            with self.subTest(days):
                self.assertRefused(voucher, last_day=self.last_day(voucher), days=days)

    def test_an_expired_one_is_not_extended_into_the_past(self):
        voucher = make_voucher(owner=self.owner, expiry_date=timezone.now() - timedelta(days=10))
        today = timezone.localdate()
        self.assertRefused(voucher, last_day=today, days=-1)
        self.assertEqual(self.extend(voucher, last_day=today, days=0), today)
