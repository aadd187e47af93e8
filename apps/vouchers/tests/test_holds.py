"""Ending a hold: of several, each ends by itself; and the words for them in one column."""

from django.test import SimpleTestCase

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold
from tests.support.cases import ApiTestCase

from .factories import held, make_voucher


class ReleaseTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner, self.staff = make_user(), make_staff()

    def release(self, *holds):
        """What still holds a voucher that was held for these reasons, once staff have released it."""
        self.voucher = make_voucher(owner=self.owner, **held(*holds))
        self.changed = len(services.release_vouchers([self.voucher.pk], actor=self.staff, reason="found"))
        self.voucher.refresh_from_db()
        return self.voucher.held_for

    def test_it_ends_what_staff_did_and_the_voucher_can_be_redeemed(self):
        self.assertEqual(self.release(Hold.SUSPENDED), frozenset())
        self.assertEqual((self.changed, self.voucher.is_active, self.voucher.inactive_reason), (1, True, ""))
        self.assertEqual(VoucherEvent.objects.filter(voucher=self.voucher, kind="released").count(), 1)

    def test_every_other_hold_stays(self):
        for hold in set(Hold) - {Hold.SUSPENDED}:
            with self.subTest(hold):
                self.assertEqual(self.release(hold, Hold.SUSPENDED), {hold})
                self.assertEqual((self.changed, self.voucher.is_active), (1, False))
                self.assertEqual(self.release(hold), {hold})
                self.assertEqual((self.changed, self.voucher.is_active), (0, False))
                events = VoucherEvent.objects.filter(voucher=self.voucher)
                self.assertFalse(events.filter(kind="released").exists())


class WordTests(SimpleTestCase):
    def test_no_hold_is_part_of_another_as_queries_search_for_them_in_one_text(self):
        parts = [(hold, other) for hold in Hold for other in Hold if hold != other and hold in other]
        self.assertEqual(parts, [])

    def test_all_holds_together_fit_into_their_column(self):
        column = Voucher._meta.get_field("holds")
        self.assertLessEqual(len(" ".join(Hold)), column.max_length or 0)
