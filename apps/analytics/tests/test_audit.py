"""The audit finds each fault that is planted in books that are in order."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings, tag
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.analytics.audit import RULES
from apps.analytics.models import (
    ActiveGap,
    CountedOwner,
    CountedReturn,
    CountedVoucher,
    DailyFigures,
    DailyRegistrations,
    UnusedValue,
)
from apps.analytics.services.daily_figures.owners import count_owners
from apps.payments import services
from apps.payments.models import (
    Dispute,
    IdempotencyKey,
    Receipt,
    ReceiptCounter,
    RefundedVoucher,
    SoldVoucher,
    StripeEvent,
    Transaction,
)
from apps.users.models import User, WithheldMail
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers import services as voucher_services
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .books import BooksTestCase, count_until_now


@tag("slow")
class PlantedFaultTests(BooksTestCase, ApiTestCase):
    """Each fault is written past the services, and where the schema forbids it, past the schema."""

    def setUp(self):
        super().setUp()
        self.fill()
        self.tried: set[str] = set()

    def plant(self, rule: str, write: Callable[[], Any], row: Any, *, past: Iterable[str] = ()) -> None:
        """`write` breaks the rule, which then names exactly `row`; `past` are constraints in its way.

        The first fault of each rule is put before the whole audit, the others before that rule alone.
        """
        rules = [rule] if rule in self.tried else []
        self.tried.add(rule)
        with self.subTest(rule), transaction.atomic():
            for name in past:
                self.drop(name)
            changed = write()
            self.assertNotIn(changed, (0, (0, {})))
            expected = [row.pk] if row else []
            broken = broken_rules(*rules)
            self.assertIn(rule, broken)
            if expected:
                self.assertEqual(broken[rule], expected)
            transaction.set_rollback(True)

    def drop(self, constraint: str) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA ignore_check_constraints = ON")
                self.addCleanup(self.check_again)
                return
            (table,) = (
                model._meta.db_table
                for model in apps.get_models()
                if constraint in {each.name for each in model._meta.constraints}
            )
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")

    @staticmethod
    def check_again() -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")

    def one_more_voucher(self) -> SoldVoucher:
        return SoldVoucher.objects.create(
            transaction=self.whole, line_no=4, voucher=make_voucher(owner=self.customer)
        )

    def untold_voucher(self) -> Voucher:
        """One whose history does not tell how it came to be."""
        voucher = Voucher.objects.get(pk=self.free_voucher.pk)
        voucher.pk, voucher.code = None, codes.make()
        voucher.save()
        return voucher

    def use_at(self, voucher: Voucher, at: datetime) -> VoucherUsage:
        return VoucherUsage.objects.create(
            voucher=voucher, user=self.customer, service_type=voucher.service_type, used_at=at, use_no=1
        )

    def let_go_by_half(self) -> Voucher:
        """A voucher that was held for two reasons, of which one has ended."""
        voucher_services.suspend_vouchers([self.requested.vouchers[0].pk], actor=self.staff, reason="Odd")
        refund = self.refund_of(self.requested)
        services.reject_refund(refund_id=refund.pk, actor=self.staff, note="No")
        return self.requested.vouchers[0]

    def cancel_for_closed_account(self) -> int:
        """The refund of a payment that came too late, which the bank refused."""
        User.objects.filter(pk=self.requested.user_id).update(is_active=False)
        refunds = self.requested.refunds.filter(pk=self.refund_of(self.requested).pk)
        return int(refunds.update(origin="automatic", status="failed", finished_at=timezone.now()))

    def change(self, row: Any, **fields: Any) -> Callable[[], int]:
        return lambda: type(row).objects.filter(pk=row.pk).update(**fields)

    def test_each_rule_finds_its_fault(self):
        self.plant_in_vouchers()
        self.plant_in_uses()
        self.plant_in_money()
        self.plant_in_receipts()
        self.plant_in_holds()
        self.plant_in_what_waits()
        self.plant_in_figures()
        self.assertEqual(self.tried, {rule.name for rule in RULES})

    def plant_in_vouchers(self) -> None:
        whole, pending = self.whole, Transaction.objects.filter(status="pending")[0]
        sold = whole.sold_vouchers.last()
        for row, change in (
            (whole, {"transaction": whole, "line_no": 3}),
            (whole, {"transaction": whole, "line_no": 2}),
        ):
            self.plant("vouchers_per_transaction", SoldVoucher.objects.filter(**change).delete, row)
        self.plant("vouchers_per_transaction", self.change(sold, line_no=7), whole)
        self.plant("vouchers_per_transaction", self.one_more_voucher, whole)
        self.plant(
            "vouchers_per_transaction",
            lambda: SoldVoucher.objects.create(transaction=pending, line_no=1, voucher=self.free_voucher),
            pending,
        )
        self.plant("voucher_origin", SoldVoucher.objects.filter(pk=sold.pk).delete, sold.voucher)
        self.plant("voucher_origin", self.change(sold.voucher, batch=self.batch), sold.voucher)
        self.plant(
            "voucher_origin",
            lambda: SoldVoucher.objects.create(transaction=pending, line_no=1, voucher=self.free_voucher),
            self.free_voucher,
        )
        self.plant("batch_size", self.change(self.batch, quantity=2), self.batch)
        self.plant("batch_size", self.change(self.batch, quantity=4), self.batch)
        self.plant(
            "one_issue",
            lambda: VoucherEvent.objects.create(voucher=self.free_voucher, kind="issued"),
            self.free_voucher,
        )
        self.plant("one_issue", self.untold_voucher, None)
        for voucher in (sold.voucher, self.free_voucher):
            for changes in (
                {"face_value": 11},
                {"currency": "CHF"},
                {"service_type": "another"},
                {"total_uses": 2, "uses_remaining": 2},
                {"user": make_user()},
                {"expiry_date": F("expiry_date") - timedelta(days=2)},
                {"expiry_date": F("expiry_date") + timedelta(days=2)},
                {"voucher_type": self.multiple.voucher_type},
            ):
                self.plant("terms_of_sale", self.change(voucher, **changes), voucher)

    def plant_in_uses(self) -> None:
        multiple, unused = self.multiple, self.whole.vouchers[0]
        last = multiple.usages.get(use_no=3)
        self.plant(
            "uses_within_total",
            self.change(unused, uses_remaining=2),
            unused,
            past=["vouchers_voucher_uses_within_total"],
        )
        self.plant("uses_counted", self.change(multiple, uses_remaining=0), multiple)
        self.plant("uses_counted", VoucherUsage.objects.filter(pk=last.pk).delete, multiple)
        self.plant("uses_numbered", self.change(last, use_no=4), multiple)
        self.plant("reversals_counted", self.change(multiple, uses_reversed=2), multiple)
        self.plant(
            "reversals_counted",
            lambda: UsageReversal.objects.create(
                usage=last, reversed_at=timezone.now(), actor=self.staff, reason="Again"
            ),
            multiple,
        )
        expiry = multiple.expiry_date
        self.plant("uses_in_time", self.change(last, used_at=expiry + timedelta(seconds=1)), last)
        self.plant("uses_in_time", self.change(last, used_at=F("used_at") - timedelta(hours=1)), last)
        self.plant("uses_of_service", self.change(last, service_type="another"), last)
        later = timezone.now() + timedelta(minutes=5)
        self.plant("uses_while_held", lambda: self.use_at(self.suspended, later), None)
        used = VoucherUsage.objects.get(voucher=self.lost.vouchers[0])
        self.plant("uses_while_held", self.change(used, used_at=later), used)
        self.plant("uses_while_held", lambda: self.use_at(self.let_go_by_half(), later), None)

    def plant_in_money(self) -> None:
        whole, in_part, requested, refunded = self.whole, self.in_part, self.requested, self.refunded
        self.plant(
            "amount_of_transaction",
            self.change(whole, amount=31),
            whole,
            past=["payments_amount_is_quantity_times_price"],
        )
        self.plant("status_of_transaction", self.change(refunded, status="completed"), refunded)
        self.plant(
            "status_of_transaction",
            self.change(whole, completed_at=None),
            whole,
            past=["payments_completed_at_if_paid"],
        )
        self.plant(
            "status_of_transaction",
            self.change(whole, status="refunded"),
            whole,
            past=["payments_refunded_in_full"],
        )
        self.plant("status_of_transaction", self.change(self.refused, amount_refunding=1), self.refused)
        self.plant(
            "buyers_of_closed_accounts",
            lambda: User.objects.filter(pk=whole.user_id).update(email="closed-1@closed.invalid"),
            None,
        )
        self.plant("paid_at_stripe", self.change(whole, stripe_payment_intent_id=None), whole)
        self.plant(
            "refunds_within_amount",
            self.change(requested, amount_refunding=21),
            requested,
            past=["payments_refunded_within_amount"],
        )
        for row, amount in ((requested, 10), (requested, 0), (whole, 10)):
            self.plant("refunds_under_way", self.change(row, amount_refunding=amount), row)
        self.plant("refunds_under_way", self.change(self.refund_of(requested), amount=5), requested)
        for row, amount in ((in_part, 5), (in_part, 0), (whole, 10), (self.lost, 5), (self.lost, 0)):
            self.plant("refunds_done", self.change(row, amount_refunded=amount, status="completed"), row)
        self.plant("refunds_done", self.change(self.refund_of(in_part), amount=4), in_part)
        (line,) = RefundedVoucher.objects.filter(refund__transaction=in_part)
        for row in (requested, self.lost):
            self.plant("redeemable_value", self.change(row.vouchers[1], **held()), row)
        self.plant("redeemable_value", self.change(self.goodwill, amount_refunded=20), self.goodwill)
        self.plant("refunded_vouchers", self.change(line, live=False), line)
        self.plant("refunded_vouchers", self.change(line, voucher=whole.vouchers[0]), line)
        dead = RefundedVoucher.objects.get(refund__status="rejected")
        self.plant("refunded_vouchers", self.change(dead, live=True), dead)
        several = self.refund_of(requested)  # of two vouchers, and not of what one costs
        self.plant("refund_of_vouchers", self.change(several, amount=10), several)
        self.plant("refund_of_vouchers", self.change(dead.refund, amount=11), dead.refund)
        paid_back = RefundedVoucher.objects.get(refund__transaction=self.goodwill)
        self.plant("dashboard_refunds", paid_back.delete, self.goodwill)
        for amount in (9, 20):
            self.plant("dashboard_refunds", self.change(paid_back.refund, amount=amount), self.goodwill)
        self.plant("lost_disputes", self.change(self.lost.vouchers[1], **held()), self.lost)
        for index, hold in ((0, ()), (2, (Hold.REFUNDED,))):
            voucher = self.lost_in_part.vouchers[index]
            self.plant("lost_disputes", self.change(voucher, **held(*hold)), self.lost_in_part)
        for row, amount in ((self.goodwill, 0), (self.goodwill, 6), (self.lost_in_part, 5), (whole, 1)):
            self.plant("goodwill", self.change(row, amount_goodwill=amount), row)

    def plant_in_receipts(self) -> None:
        receipt = self.whole.receipt
        last = Receipt.objects.order_by("-number")[0]
        at = self.whole.completed_at - timedelta(hours=3)
        delete_last = Receipt.objects.filter(pk=last.pk).delete
        sale = last.transaction
        self.plant("receipt_of_sale", lambda: delete_last() and self.change(sale, completed_at=at)(), sale)
        following = Receipt.objects.get(number=3)
        self.plant("receipt_numbers", Receipt.objects.filter(number=2).delete, following)
        self.plant("receipt_numbers", self.change(last, number=F("number") + 1), last)
        counter = ReceiptCounter.objects.get()
        self.plant("receipt_counter", delete_last, counter)
        self.plant("receipt_counter", self.change(counter, last_number=F("last_number") + 1), counter)
        unpaid = Transaction.objects.filter(status="pending")[0]
        for changes in (
            {"amount": 31},
            {"unit_price": 11},
            {"quantity": 2},
            {"currency": "CHF"},
            {"paid_at": at},
            {"tax_rate": 15, "tax_amount": 31},
            {"transaction": unpaid},
        ):
            self.plant("receipt_amounts", self.change(receipt, **changes), receipt)
        self.plant(
            "buyers_on_receipts",
            lambda: User.objects.filter(pk=self.whole.user_id).update(email="closed-1@closed.invalid"),
            None,
        )

    def plant_in_holds(self) -> None:
        free = self.whole.vouchers[0]
        odd = "vouchers_voucher_inactive_with_a_reason"
        for changes in (
            {"is_active": False},
            {"holds": "suspended"},
            {"is_active": False, "holds": "suspended", "inactive_reason": "disputed"},
            {"is_active": False, "holds": "suspended voided", "inactive_reason": "by_staff"},
        ):
            self.plant("holds_told", self.change(free, **changes), free, past=[odd])
        waiting = self.requested.vouchers[0]
        for rule, hold, row in (
            ("held_for_refund", "refund_pending", waiting),
            ("held_as_refunded", "refunded", self.refunded.vouchers[0]),
            ("held_as_disputed", "disputed", self.disputed.vouchers[1]),
        ):
            self.plant(rule, self.change(row, **held()), row)
            changes = {"is_active": False, "holds": hold, "inactive_reason": hold}
            self.plant(rule, self.change(free, **changes), free)
        self.plant(
            "held_as_disputed",
            lambda: Dispute.objects.filter(outcome="open").update(outcome="won", closed_at=timezone.now()),
            None,
        )

    def plant_in_what_waits(self) -> None:
        now = timezone.now()
        event = StripeEvent.objects.create(stripe_id="evt_1", type="x", object_id="pi_1")
        self.plant("events_applied", self.change(event, received_at=now - timedelta(minutes=6)), event)
        Email.objects.all().delete()
        letter = Email.objects.create(
            from_email="a@example.com", to=["b@example.com"], subject="Hello", status=STATUS.queued
        )
        self.plant("mail_sent", self.change(letter, created=now - timedelta(minutes=11)), letter)
        code = Voucher.objects.latest("id").shown_code
        User.objects.filter(pk=self.customer.pk).update(email_confirmed_at=None)
        self.change(letter, to=[self.customer.email], message=f"Your code:\n\n  {code[:-1]}\n")()
        self.assertNotIn("codes_to_confirmed_addresses", broken_rules())
        message = f"Your code:\n\n  {code}\n"
        self.plant("codes_to_confirmed_addresses", self.change(letter, message=message), letter)
        withheld = WithheldMail.objects.create(user=self.customer, kind="x", reference=1)
        confirmed = User.objects.filter(pk=self.customer.pk)
        self.plant("withheld_until_confirmed", lambda: confirmed.update(email_confirmed_at=now), withheld)
        key = IdempotencyKey.objects.create(user=self.customer, key="k", request_hash="h")
        self.plant("keys_answered", self.change(key, running_until=now + timedelta(hours=1)), key)
        pending = Transaction.objects.filter(status="pending")[0]
        self.plant("transactions_ended", self.change(pending, created_at=now - timedelta(hours=27)), pending)
        with override_settings(ABANDONED_AFTER=timedelta(hours=30)):
            self.change(pending, created_at=now - timedelta(hours=31))()
            self.assertNotIn("transactions_ended", broken_rules())
        self.change(pending, created_at=now)()
        refund = self.refund_of(self.requested)
        self.plant(
            "refunds_sent",
            self.change(refund, status="approved", decided_at=now - timedelta(minutes=61)),
            refund,
        )
        self.plant(
            "refunds_sent",
            self.change(refund, origin="automatic", created_at=now - timedelta(minutes=61)),
            refund,
        )
        self.plant("closed_accounts_refunded", self.cancel_for_closed_account, self.requested)

    def plant_in_figures(self) -> None:
        self.plant(
            "figures_shown",
            self.change(self.whole, completed_at=None),
            None,
            past=["payments_completed_at_if_paid"],
        )
        self.plant(
            "figures_shown",
            self.change(self.free_voucher, purchase_date=timezone.now() + timedelta(days=9)),
            None,
        )
        count_until_now()
        self.plant("figures_shown", lambda: UnusedValue.objects.update(value=F("value") + 1), None)
        for name in ("purchases", "revenue", "refunded", "vouchers_active", "redemptions", "refunds_paid"):
            self.plant("daily_figures", partial(DailyFigures.objects.update, **{name: 1}), None)
        self.plant("daily_figures", DailyFigures.objects.all().delete, None)
        used = CountedVoucher.objects.filter(status="used")[0].voucher
        self.plant("vouchers_noted", CountedVoucher.objects.filter(voucher=used).delete, used)
        self.plant("vouchers_noted", self.change(used.counted, uses_remaining=9), used)
        count_owners([used.user_id])
        self.plant("owned_vouchers", lambda: CountedOwner.objects.update(vouchers=99), used.user)
        self.plant("active_days", lambda: ActiveGap.objects.update(users=F("users") + 1), None)
        more = partial(DailyRegistrations.objects.update, users=F("users") + 1)
        self.plant("registrations", more, None)
        returned = CountedReturn.objects.all()[0]
        self.plant("returns_noted", self.change(returned, amount=9), returned.transaction)
