"""Issuing vouchers."""

from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from itertools import cycle
from unittest import skipUnless
from unittest.mock import patch
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.test import SimpleTestCase
from django.utils import timezone

from apps.core.dates import end_of_day
from apps.users.tests.factories import make_user
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import voucher_rows
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

    def issue(self, quantity, **changes):
        sale = {
            "voucher_type_id": self.type.pk,
            "owner_id": self.customer.pk,
            "quantity": quantity,
            "terms": services.terms_of(self.type),
            "issued_at": timezone.now(),
        }
        return services.issue_vouchers(**{**sale, **changes})

    queries = 1 if connection.vendor == "postgresql" else 2  # the vouchers, and their history

    def test_any_number_takes_as_many_statements_and_gets_the_terms_of_the_type(self):
        for quantity in (1, 10, 60):
            with self.assertQueries(self.queries):
                issued = self.issue(quantity)
            self.assertEqual(len({voucher.code for voucher in issued}), quantity)
        self.assertEqual({(v.uses_remaining, v.total_uses) for v in Voucher.objects.all()}, {(5, 5)})

    def test_the_vouchers_are_those_of_the_database_in_the_order_of_their_keys(self):
        issued = self.issue(30)
        stored = list(Voucher.objects.order_by("pk"))
        names = [field.attname for field in Voucher._meta.concrete_fields]
        for voucher, row in zip(issued, stored, strict=True):
            self.assertEqual(
                {name: getattr(voucher, name) for name in names}, {name: getattr(row, name) for name in names}
            )
        issued[7].uses_remaining = 4
        issued[7].save(update_fields=("uses_remaining",))
        self.assertEqual(Voucher.objects.filter(uses_remaining=4).get(), stored[7])

    def test_each_has_one_row_of_history_that_says_who_issued_it_and_why(self):
        issued = self.issue(3, actor_id=self.customer.pk, reason="A “gift” for 100 %s")
        events = VoucherEvent.objects.order_by("pk")
        self.assertEqual([event.voucher_id for event in events], [voucher.pk for voucher in issued])
        facts = list(events.values_list("kind", "actor", "reason", "hold", "details", "offset_days"))
        self.assertEqual(facts, [("issued", self.customer.pk, "A “gift” for 100 %s", "", {}, None)] * 3)
        self.assertEqual(set(events.values_list("at")), {(issued[0].purchase_date,)})

    def test_for_a_code_that_exists_already_another_is_drawn(self):
        existing = make_voucher(owner=self.customer).code
        drawn = [existing, *(digit * 16 for digit in "2345")]
        with patch.object(codes, "make", side_effect=drawn):
            issued = self.issue(2)
        self.assertEqual(len(issued), 2)
        self.assertEqual({voucher.code for voucher in issued} - set(drawn[1:]), set())
        self.assertEqual((Voucher.objects.count(), VoucherEvent.objects.count()), (3, 3))

    def test_a_code_that_is_drawn_twice_is_issued_once(self):
        drawn = [digit * 16 for digit in "223456"]
        with patch.object(codes, "make", side_effect=drawn):
            issued = self.issue(3)
        self.assertEqual((len({voucher.code for voucher in issued}), Voucher.objects.count()), (3, 3))

    def test_when_codes_never_become_new_it_gives_up_and_makes_nothing(self):
        existing = make_voucher(owner=self.customer).code
        for drawn in ([existing], ["2" * 16, existing]):
            with (
                patch.object(codes, "make", side_effect=cycle(drawn)),
                self.assertRaises(IntegrityError),
                transaction.atomic(),
            ):
                self.issue(3)
            self.assertEqual((Voucher.objects.count(), VoucherEvent.objects.count()), (1, 1))

    def test_what_a_constraint_refuses_is_not_issued(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            self.issue(3, terms=replace(services.terms_of(self.type), face_value=Decimal(-1)))
        self.assertEqual(Voucher.objects.count(), 0)


@skipUnless(connection.vendor == "postgresql", "the other form is the only one there")
class IssueByOrmTests(IssueTests):
    """The form for other databases does the same on this one."""

    queries = 2

    def setUp(self):
        super().setUp()
        other_form = patch.object(voucher_rows, "insert_by_one_statement", voucher_rows.insert_by_orm)
        other_form.start()
        self.addCleanup(other_form.stop)
