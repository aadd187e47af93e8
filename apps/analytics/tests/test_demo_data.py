"""`manage.py create_demo_data`: a history with the books in order, and nothing where it has no business."""

import logging
from collections import Counter
from datetime import date, timedelta
from io import StringIO
from typing import Any
from unittest import mock

from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F, Sum
from django.test import override_settings, tag
from django.utils import timezone

from apps.analytics.models import FiguresState
from apps.analytics.services import daily_figures
from apps.payments.models import Dispute, Refund, SoldVoucher, Transaction
from apps.payments.services import reconciliation
from apps.payments.services.refunds.decisions import approve_refund
from apps.payments.services.refunds.requests import request_refund_by_staff
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.models import Batch, RefusalCount, UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.tests.factories import make_voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase
from tests.support.server import free_port
from tests.support.stripe import StripeTestCase

UNTIL, SEED = date(2026, 9, 30), 1


def create(**options):
    """What the command writes, run as in development."""
    output = StringIO()
    with override_settings(DEBUG=True):
        call_command("create_demo_data", **options, stdout=output)
    return output.getvalue()


def history():
    """What the rows tell, numbers and codes apart; beside it the codes."""
    rows = [
        list(User.objects.order_by("id").values_list("email", "first_name", "last_name", "date_joined")),
        list(
            Transaction.objects.order_by("id").values_list(
                "reference", "user__email", "amount", "status", "created_at", "updated_at", "completed_at"
            )
        ),
        list(
            Voucher.objects.order_by("id").values_list(
                "type_name", "purchase_date", "expiry_date", "uses_remaining", "holds"
            )
        ),
        list(VoucherUsage.objects.order_by("id").values_list("user__email", "used_at", "use_no")),
        list(VoucherEvent.objects.order_by("id").values_list("kind", "hold", "at")),
        list(Refund.objects.order_by("id").values_list("reference", "amount", "status", "origin")),
        list(Dispute.objects.order_by("id").values_list("stripe_dispute_id", "outcome")),
        list(RefusalCount.objects.order_by("id").values_list("day", "service_type", "reason", "number")),
    ]
    return rows, set(Voucher.objects.values_list("code", flat=True))


class HistoryTests(ApiTestCase):
    output: str

    @classmethod
    def setUpTestData(cls):
        cls.output = create(users=70, months=5, seed=SEED, until=UNTIL)
        with connection.cursor() as cursor:
            # As a server does soon after; without it the audit of so many rows takes long.
            cursor.execute("ANALYZE")

    def test_the_books_are_in_order(self):
        self.assertEqual(broken_rules(), {})

    def test_it_has_what_a_history_has(self):
        self.assertEqual(
            set(Transaction.objects.values_list("status", flat=True)), {"completed", "failed", "refunded"}
        )
        self.assertLessEqual(
            {"succeeded", "rejected", "failed"}, set(Refund.objects.values_list("status", flat=True))
        )
        self.assertEqual(set(Refund.objects.values_list("origin", flat=True)), {"buyer", "staff", "stripe"})
        self.assertLessEqual({"won", "lost"}, set(Dispute.objects.values_list("outcome", flat=True)))
        self.assertTrue(Transaction.objects.filter(amount_goodwill__gt=0).exists())
        self.assertTrue(UsageReversal.objects.exists())
        self.assertTrue(VoucherUsage.objects.filter(use_no__gt=1).exists())
        self.assertTrue(User.objects.filter(is_active=False, email__endswith="@closed.invalid").exists())
        kinds = set(VoucherEvent.objects.values_list("kind", flat=True))
        self.assertLessEqual(
            {"issued", "held", "released", "voided", "suspended", "extended", "reversed", "closed"}, kinds
        )
        self.assertLessEqual(
            {"code_malformed", "voucher_used_up", "voucher_not_found", "service_mismatch", "voucher_expired"},
            set(RefusalCount.objects.values_list("reason", flat=True)),
        )
        refused = RefusalCount.objects.aggregate(number=Sum("number"))["number"]
        self.assertLess(refused, VoucherUsage.objects.count())
        now = timezone.now()
        for status in ("active", "used", "expired", "inactive"):
            self.assertTrue(Voucher.objects.in_status(status, now).exists(), status)
        for batch in Batch.objects.all():
            used = batch.vouchers.filter(uses_remaining=0).count()
            self.assertTrue(0 < used < batch.quantity, (used, batch.quantity))

    def test_several_currencies_are_sold_and_go_back(self):
        sold = Transaction.objects.filter(status__in=("completed", "refunded"))
        self.assertEqual(set(sold.values_list("currency", flat=True)), {"USD", "EUR", "GHS", "XOF"})
        for amount in sold.filter(currency="XOF").values_list("amount", "amount_refunded", "amount_goodwill"):
            self.assertEqual([each % 1 for each in amount], [0, 0, 0])
        back = sold.exclude(currency="USD").filter(amount_refunded__gt=0)
        self.assertTrue(back.exists())

    def test_events_name_the_refund_or_dispute_behind_them(self):
        for refund in Refund.objects.filter(status="rejected"):
            voucher_ids = refund.lines.values("voucher")
            reasons = set(
                VoucherEvent.objects.filter(voucher__in=voucher_ids).values_list("reason", flat=True)
            )
            self.assertLessEqual({f"Refund {refund.pk} requested", f"Refund {refund.pk} rejected"}, reasons)

    def test_more_is_bought_when_results_come_out(self):
        per_day = Counter(
            timezone.localdate(at) for at in Transaction.objects.values_list("created_at", flat=True)
        )
        usual = sum(per_day.values()) / len(per_day)
        self.assertGreater(per_day[date(2026, 8, 14)], 2 * usual)

    def test_it_says_how_much_there_is(self):
        self.assertIn(f"{Transaction.objects.count():,} purchases", self.output)
        self.assertIn(f"{Voucher.objects.count():,} vouchers", self.output)
        sold = SoldVoucher.objects.count() + Voucher.objects.exclude(batch=None).count()
        self.assertEqual(sold, Voucher.objects.count())

    def test_a_second_run_changes_nothing(self):
        before = history()
        self.assertIn("already", create(users=5, months=1, seed=9))
        self.assertEqual(history(), before)


class CreationTests(ApiTestCase):
    def created(self, **options):
        """The history of a run that is undone."""
        with transaction.atomic():
            create(**options)
            rows = history()
            transaction.set_rollback(True)
        return rows

    def test_the_same_seed_gives_the_same_history_with_other_codes(self):
        options = {"users": 8, "months": 2, "until": UNTIL}
        first, codes = self.created(**options, seed=4)
        again, other_codes = self.created(**options, seed=4)
        self.assertEqual(first, again)
        self.assertFalse(codes & other_codes)
        self.assertNotEqual(first, self.created(**options, seed=5)[0])

    def test_refusals_of_before_are_replaced(self):
        RefusalCount.objects.create(
            day=UNTIL, service_type="exam_results", reason="voucher_not_found", number=10**9
        )
        create(users=8, months=2, seed=4, until=UNTIL)
        self.assertFalse(RefusalCount.objects.filter(number__gte=10**9).exists())
        self.assertTrue(RefusalCount.objects.exists())

    def test_one_until_today_has_nothing_of_the_future(self):
        daily_figures.update()
        create(users=10, months=1, seed=2)
        self.assertFalse(
            FiguresState.objects.exists(), "a roll-up of before, which lacks the history of today"
        )
        now = timezone.now()
        for rows, moment in (
            (User, "date_joined"),
            (Transaction, "completed_at"),
            (Voucher, "purchase_date"),
            (VoucherUsage, "used_at"),
            (VoucherEvent, "at"),
            (Refund, "finished_at"),
        ):
            self.assertFalse(rows.objects.filter(**{f"{moment}__gt": now}).exists(), rows)
        since = Transaction.objects.filter(created_at__gt=now - timedelta(days=14))
        self.assertTrue(since.filter(status="completed").exists())  # the chart of the front page
        self.assertEqual(broken_rules(), {})

    def test_it_refuses_a_database_with_vouchers_of_its_own(self):
        make_voucher(owner=make_customer())
        before = history()
        with self.assertRaisesRegex(CommandError, "demo data needs one without"):
            create(users=5, months=1)
        self.assertEqual(history(), before)

    def test_it_refuses_to_run_where_debug_is_off(self):
        with self.assertRaisesRegex(CommandError, "DEBUG=True"):
            call_command("create_demo_data", users=5, months=1)
        self.assertFalse(User.objects.exists())

    def test_it_refuses_sizes_and_days_that_make_no_sense(self):
        tomorrow = timezone.localdate() + timedelta(days=1)
        for options in ({"users": 0}, {"months": 0}, {"users": 10_001}, {"until": tomorrow}):
            with self.subTest(options), self.assertRaises(CommandError):
                create(**options)
        self.assertFalse(User.objects.exists())


@tag("slow")
class AtStripeTests(StripeTestCase, ApiTestCase):
    """The demo data at the local Stripe, which was told of it."""

    OPTIONS: dict[str, Any] = {"users": 25, "months": 3, "seed": 1}

    def reconciled(self):
        """The exit status of a reconciliation of all days, and what it prints."""
        output = StringIO()
        with mock.patch.object(reconciliation.run, "PAUSE", 0), self.assertLogs("apps", "WARNING") as log:
            logging.getLogger("apps").warning("so that there is one")
            try:
                call_command("reconcile_payments", since=24 * 100, stdout=output)
            except SystemExit as end:
                return end.code, log.output[1:]
        return 0, log.output[1:]

    def test_the_books_agree_with_stripe_and_a_payment_can_be_refunded(self):
        output = create(**self.OPTIONS)
        at_stripe = Transaction.objects.exclude(stripe_payment_intent_id=None)
        self.assertIn(f"The local Stripe knows {at_stripe.count()} of the payments", output)
        self.assertEqual(self.reconciled(), (0, []))
        self.assertTrue(self.stripe.refunds() and self.stripe.disputes())

        staff = make_staff()
        paid = at_stripe.filter(status="completed", amount_refunded=0, disputes=None).exclude(
            sold_vouchers__voucher__uses_remaining__lt=F("sold_vouchers__voucher__total_uses")
        )
        payment = paid.exclude(sold_vouchers__voucher__is_active=False)[0]
        refund = request_refund_by_staff(transaction_id=payment.pk, actor=staff, reason="Bought twice")
        approve_refund(refund_id=refund.pk, actor=staff)
        payment.refresh_from_db()
        self.assertEqual((payment.status, payment.amount_refunded), ("refunded", payment.amount))
        self.assertEqual(self.reconciled(), (0, []))

    def test_control_without_it_reconciliation_says_that_stripe_knows_nothing(self):
        self.assertNotIn("local Stripe", create(**self.OPTIONS, import_later=True))
        status, log = self.reconciled()
        self.assertEqual(status, 1)
        self.assertIn("fulfilled_not_paid", str(log))

    def test_it_says_what_to_do_where_the_local_stripe_does_not_run(self):
        with override_settings(STRIPE_API_BASE=f"http://127.0.0.1:{free_port()}"):
            self.assertIn("once manage.py local_stripe runs", create(users=2, months=1))

    def test_a_real_stripe_is_told_nothing(self):
        with override_settings(STRIPE_SECRET_KEY="sk_test_0123456789AbCdEf"):
            self.assertNotIn("local Stripe", create(users=2, months=1))
        self.assertEqual(self.stripe.state.of_kind("payment_intent"), {})
