"""What of payments, refunds, disputes and Stripe's events needs a person, and after which delays.

What the nightly check of the books calls late has limits of its own, in analytics/audit/timeliness.py.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import DateTimeField, ExpressionWrapper, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.core.backoffice.attention import AttentionItem, register
from apps.core.dates import format_moment_briefly
from apps.payments.models import (
    Dispute,
    Refund,
    RefundOrigin,
    RefundStatus,
    StripeEvent,
    Transaction,
    TransactionStatus,
)
from apps.vouchers.models import Voucher

EVENTS_APPLIED_WITHIN: Final = timedelta(minutes=15)  # a job tries again each minute
WEBHOOK_DELAY: Final = timedelta(hours=1)  # after a payment, by which Stripe has sent some event
WEBHOOKS_LOOKED_FOR: Final = timedelta(days=1)
# Reconciliation ends a purchase that nobody paid after ABANDONED_AFTER; it has run several times by then.
STUCK_AFTER: Final = timedelta(hours=6)
REFUND_UNSENT_AFTER: Final = timedelta(hours=1)
REFUND_PENDING_AFTER: Final = timedelta(days=10)  # so long banks may take (Stripe's docs, "Refunds")
MOST_EXPIRING: Final = 10_000  # are counted on the front page
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=timezone.get_fixed_timezone(0))


def refunds_requested(now: datetime) -> QuerySet[Refund]:
    """Refunds that somebody has to decide about."""
    return Refund.objects.filter(status=RefundStatus.REQUESTED).exclude(origin=RefundOrigin.AUTOMATIC)


def refunds_overdue(now: datetime) -> QuerySet[Refund]:
    """Refunds that were approved and did not reach Stripe, or that wait for a bank for longer than usual."""
    unsent = Q(status=RefundStatus.APPROVED, updated_at__lt=now - REFUND_UNSENT_AFTER)
    pending = Q(status=RefundStatus.PENDING, updated_at__lt=now - REFUND_PENDING_AFTER)
    return Refund.objects.filter(unsent | pending)


def stuck(now: datetime) -> QuerySet[Transaction]:
    """Purchases that should have ended, one way or the other."""
    since = now - settings.ABANDONED_AFTER - STUCK_AFTER
    return Transaction.objects.filter(status=TransactionStatus.PENDING, created_at__lt=since)


def without_webhooks(now: datetime) -> QuerySet[Transaction]:
    """Payments of the last day since which no webhook came at all: its address or secret may be wrong.

    The webhook that completes a payment comes a little before that.
    """
    newest = StripeEvent.objects.order_by("-pk").values("received_at")[:1]
    last_event = Coalesce(Subquery(newest), Value(LONG_AGO), output_field=DateTimeField())
    applied_by = ExpressionWrapper(last_event + EVENTS_APPLIED_WITHIN, output_field=DateTimeField())
    paid = Transaction.objects.paid().filter(amount__gt=0)
    return paid.filter(
        completed_at__gt=now - WEBHOOKS_LOOKED_FOR,
        completed_at__lt=now - WEBHOOK_DELAY,
        completed_at__gte=applied_by,
    )


def events_waiting(now: datetime) -> QuerySet[StripeEvent]:
    """Stripe's events that could not be applied for some time."""
    return StripeEvent.objects.waiting().filter(received_at__lt=now - EVENTS_APPLIED_WITHIN)


def paid_and_expiring(days: int) -> Callable[[datetime], QuerySet[Voucher]]:
    """Vouchers that somebody paid for, and that expire with a use left within so many days."""

    def rows(now: datetime) -> QuerySet[Voucher]:
        soon = Voucher.objects.redeemable(now).filter(expiry_date__lte=now + timedelta(days=days))
        return soon.filter(sale__isnull=False)

    return rows


def first_response_due(now: datetime) -> str:
    """Until when the first dispute can be answered."""
    first = Dispute.objects.awaiting_response().first()
    if first is None or first.respond_by is None:
        return ""
    return f"the first is due by {format_moment_briefly(first.respond_by)}"


def register_attention() -> None:
    """Add it all to the front page, the side bar and the lists."""
    register(
        AttentionItem(
            "disputes_awaiting_response",
            "Disputes to answer at Stripe",
            Dispute,
            lambda now: Dispute.objects.awaiting_response(),
            note=first_response_due,
            urgent=True,
        ),
        AttentionItem(
            "refunds_failed",
            "Refunds that failed",
            Refund,
            lambda now: Refund.objects.failed_unacknowledged(),
            urgent=True,
        ),
        AttentionItem("refunds_requested", "Refunds to decide about", Refund, refunds_requested),
        AttentionItem("refunds_overdue", "Refunds under way for long", Refund, refunds_overdue),
        AttentionItem("payments_stuck", "Purchases that do not end", Transaction, stuck),
        AttentionItem(
            "payments_without_webhooks",
            "Payments since the last webhook of Stripe",
            Transaction,
            without_webhooks,
            urgent=True,
        ),
        *(
            AttentionItem(
                f"vouchers_expiring_{days}",
                f"Paid vouchers that expire unused within {days} days",
                Voucher,
                paid_and_expiring(days),
                informs=True,
                most_counted=MOST_EXPIRING,
                ordering=("expiry_date", "id"),
                merges=True,
            )
            for days in (7, 30)
        ),
        AttentionItem("events_waiting", "Stripe events that can't be applied", StripeEvent, events_waiting),
    )
