"""`manage.py issue_vouchers`: exactly as many as asked for, on the terms of the type, or a refusal before the first."""

import os
from decimal import Decimal
from unittest.mock import patch

from django.core.management import CommandError
from django.db import connection

from apps.users.tests.factories import make_deactivated, make_staff, make_user
from apps.vouchers.errors import BatchDiffers, OwnerInactive, VoucherTypeNotFound
from apps.vouchers.models import Batch, BatchExport, Voucher, VoucherEvent, VoucherType
from apps.vouchers.services import batches
from tests.support.cases import ApiTestCase

from .batch_command import BatchCommandTestCase
from .factories import make_type


class IssueTests(BatchCommandTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.type = make_type(name="Exam", price="12.50", max_uses=3, validity_days=30)
        self.owner = make_user(email="school@example.org")

    def assertRefused(self, words, **options):
        with self.assertRaisesRegex(CommandError, words):
            self.issue(**options)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_it_issues_a_batch_with_the_terms_of_the_type(self):
        staff = make_staff()
        self.assertIn("Issued 5 vouchers.", self.issue(label="Class of 2027", by=staff.email))
        batch = Batch.objects.get()
        self.assertEqual((batch.label, batch.quantity, batch.created_by), ("Class of 2027", 5, staff))
        self.assertIsNotNone(batch.completed_at)
        terms = {
            (v.user, v.voucher_type, v.face_value, v.currency, v.total_uses, v.uses_remaining, v.service_type)
            for v in Voucher.objects.filter(batch=batch)
        }
        self.assertEqual(
            terms, {(self.owner, self.type, Decimal("12.50"), "USD", 3, 3, self.type.service_type)}
        )
        events = set(VoucherEvent.objects.values_list("kind", "actor", "reason"))
        self.assertEqual(events, {("issued", staff.pk, "Batch Class of 2027")})
        self.assertEqual(VoucherEvent.objects.count(), 5)

    def test_it_says_who_ran_it(self):
        self.issue()
        self.assertRegex(Batch.objects.get().note, rf"^issue_vouchers, run by .*uid {os.getuid()}")

    def test_a_type_is_called_by_name_or_number_and_the_owner_in_any_case(self):
        self.issue(type=str(self.type.pk), owner="SCHOOL@example.org")
        self.issue(type="Exam")
        self.assertEqual(Voucher.objects.filter(voucher_type=self.type, user=self.owner).count(), 10)

    def test_without_a_label_each_run_is_a_batch_of_its_own(self):
        for _ in range(2):
            self.assertIn(f"Exam for user {self.owner.pk}", self.issue())
        self.assertEqual(sorted(batch.vouchers.count() for batch in Batch.objects.all()), [5, 5])

    def test_what_it_was_worth_may_be_said(self):
        self.issue(face_value="0")
        self.issue(face_value="7.25")
        self.assertEqual(set(Voucher.objects.values_list("face_value", flat=True)), {0, Decimal("7.25")})

    def test_the_same_command_again_issues_nothing_more(self):
        self.issue(label="once")
        self.assertIn("Issued 0 vouchers; 5 were there before.", self.issue(label="once"))
        self.assertEqual(Voucher.objects.count(), 5)

    def test_it_goes_on_with_the_terms_of_its_start(self):
        batches._issue_chunk(self.open().pk, 2)
        VoucherType.objects.update(price=99, max_uses=9, service_type="other", validity_days=1)
        said = self.issue(label="half")
        self.assertIn("Issued 3 vouchers; 2 were there before.", said)
        kinds = set(Voucher.objects.values_list("face_value", "total_uses", "service_type"))
        self.assertEqual(kinds, {(Decimal("12.50"), 3, "exam_results")})
        self.assertEqual(Voucher.objects.count(), 5)

    def test_stopped_by_hand_it_says_how_to_go_on(self):
        with (
            patch.object(batches, "_issue_chunk", side_effect=KeyboardInterrupt),
            self.assertRaises(SystemExit) as end,
        ):
            self.issue(label="half")
        self.assertEqual(end.exception.code, 130)
        self.issue(label="half")
        self.assertEqual(Voucher.objects.count(), 5)

    def open(self, **changes):
        terms = {"voucher_type": self.type, "owner": self.owner, "quantity": 5, "label": "half"}
        return batches.get_or_create_batch(**{**terms, **changes})

    def test_a_label_belongs_to_what_was_asked_for_under_it(self):
        self.issue(label="mine")
        other = make_user()
        for change, named in (
            ({"count": 6}, "quantity"),
            ({"type": make_type().name}, "voucher_type"),
            ({"owner": other.email}, "owner"),
            ({"face_value": "1"}, "face_value"),
        ):
            with self.assertRaisesRegex(CommandError, f"label.*Differing: {named}"):
                self.issue(label="mine", csv=str(self.file), **change)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (1, 5))
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_what_is_wrong_is_said_before_anything_is_issued(self):
        self.assertRefused("no voucher type “Nothing”", type="Nothing")
        self.assertRefused("no voucher type “999999”", type="999999")
        self.assertRefused("no voucher type “9{30}”", type="9" * 30)
        self.assertRefused("no user nobody@example.org", owner="nobody@example.org")
        self.assertRefused("not active", owner=make_deactivated().email)
        self.assertRefused("not an active member of staff", by=make_user().email)
        for count in (0, -1, "1.5", "x", "", "²", batches.LARGEST + 1, "9" * 5000):
            self.assertRefused("--count", count=count)
        for amount in ("-1", "1.001", "x", "NaN", "1e400", "Infinity"):
            self.assertRefused("--face-value", face_value=amount)
        for label in ("x" * 201, " ", "two\nlines"):
            self.assertRefused("--label", label=label)
        VoucherType.objects.update(is_active=False)
        self.assertRefused("not on sale")

    def test_a_number_that_is_also_a_name_is_refused(self):
        make_type(name=str(self.type.pk))
        self.assertRefused("rename", type=str(self.type.pk))

    def test_nothing_more_is_issued_once_the_type_is_off_sale_or_the_owner_gone(self):
        batch = self.open()
        batches._issue_chunk(batch.pk, 2)
        VoucherType.objects.update(is_active=False)
        with self.assertRaises(VoucherTypeNotFound):
            batches.issue_remaining(batch=batch)
        VoucherType.objects.update(is_active=True)
        type(self.owner).objects.update(is_active=False)
        with self.assertRaises(OwnerInactive):
            batches.issue_remaining(batch=batch)
        self.assertEqual(Voucher.objects.count(), 2)

    def test_a_chunk_takes_as_many_queries_whatever_its_size(self):
        batch = self.open(quantity=100)
        for chunk in (5, 50):
            # batch, count, type, owner; vouchers with their history, or elsewhere each by itself
            with self.assertQueries(5 if connection.vendor == "postgresql" else 6):
                batches._issue_chunk(batch.pk, chunk)

    def test_of_two_that_begin_at_once_with_other_terms_one_is_refused(self):
        self.open()
        unseen = [Batch.objects.none(), Batch.objects.filter(label="half")]
        with patch.object(Batch.objects, "filter", side_effect=unseen), self.assertRaises(BatchDiffers):
            self.open(quantity=6)
