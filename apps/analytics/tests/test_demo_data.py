"""`manage.py create_demo_data`: a history with the books in order, and nothing where it has no business."""

from collections import Counter
from datetime import date, timedelta
from io import StringIO

from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Sum
from django.test import override_settings
from django.utils import timezone

from apps.payments.models import Dispute, Refund, SoldVoucher, Transaction
from apps.users.models import User
from apps.users.tests.factories import make_customer
from apps.vouchers.models import Batch, RefusalCount, UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.tests.factories import make_voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

UNTIL, SEED = date(2026, 9, 30), 1


def create(**options):
    """What the command writes, run as in development."""
    output = StringIO()
    with override_settings(DEBUG=True):
        call_command("create_demo_data", **options, stdout=output)
    return output.getvalue()


def history():
    """What the rows tell, numbers and codes apart; beside it the codes."""
    told = [
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
    return told, set(Voucher.objects.values_list("code", flat=True))


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
            told = history()
            transaction.set_rollback(True)
        return told

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
        create(users=10, months=1, seed=2)
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
