"""Issuing vouchers."""

from datetime import UTC, date, timedelta
from unittest.mock import patch
from zoneinfo import ZoneInfo

from django.db import IntegrityError
from django.test import SimpleTestCase
from django.utils import timezone

from apps.core.dates import end_of_day
from apps.users.tests.factories import make_user
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase


class EndOfDayTests(SimpleTestCase):
    def test_a_day_ends_where_the_next_begins_also_when_the_clock_changes(self):
        for zone, day in (
            ("Africa/Cairo", date(2026, 10, 29)),  # back at midnight
            ("America/Santiago", date(2026, 4, 4)),
            ("Africa/Cairo", date(2026, 4, 23)),  # forward at midnight
            ("Africa/Accra", date(2026, 10, 29)),
        ):
            with self.subTest(zone, day=day), timezone.override(ZoneInfo(zone)):
                end = end_of_day(day).astimezone(UTC)  # where a second later is a second later
                self.assertEqual(timezone.localdate(end), day)
                self.assertEqual(timezone.localdate(end + timedelta(seconds=1)), day + timedelta(days=1))


class IssueTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.type = make_type(max_uses=5, validity_days=7)

    def issue(self, quantity):
        return services.issue_vouchers(
            voucher_type_id=self.type.pk,
            owner_id=self.customer.pk,
            quantity=quantity,
            terms=services.terms_of(self.type),
            issued_at=timezone.now(),
        )

    def test_many_are_made_in_two_statements_with_the_terms_of_the_type(self):
        with self.assertQueries(2):  # the vouchers, and their history
            made = self.issue(60)
        self.assertEqual(len({voucher.code for voucher in made}), 60)
        self.assertEqual({(v.uses_remaining, v.total_uses) for v in Voucher.objects.all()}, {(5, 5)})

    def test_a_code_that_exists_already_is_made_anew(self):
        taken = make_voucher(owner=self.customer).code
        with patch.object(
            codes, "make", side_effect=[taken, "2222222222222222", "3333333333333333", "4444444444444444"]
        ):
            made = self.issue(2)
        self.assertEqual([voucher.code for voucher in made], ["3333333333333333", "4444444444444444"])
        self.assertEqual(Voucher.objects.count(), 3)

    def test_when_codes_never_become_new_it_gives_up_and_makes_nothing(self):
        taken = make_voucher(owner=self.customer).code
        with patch.object(codes, "make", return_value=taken), self.assertRaises(IntegrityError):
            self.issue(1)
        self.assertEqual(Voucher.objects.count(), 1)
