"""Rules on what must not take long: what takes longer than these limits breaks a rule of the books.

A rule's sentence says its limit in words. What staff are shown as waiting for them, and after which delays, stands with
the screens: payments/backoffice/attention.py.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Coalesce

from apps.core import mail
from apps.payments import selectors
from apps.payments.models import (
    IdempotencyKey,
    Refund,
    RefundStatus,
    StripeEvent,
    Transaction,
    TransactionStatus,
)

from .rule import rule

EVENT_APPLIED_WITHIN: Final = timedelta(minutes=5)
MAIL_SENT_WITHIN: Final = timedelta(minutes=10)
KEY_ANSWERED_WITHIN: Final = timedelta(minutes=2)
TRANSACTION_LATE: Final = timedelta(hours=2)  # after ABANDONED_AFTER: reconciliation ends it, each hour
REFUND_SENT_WITHIN: Final = timedelta(hours=1)


@rule("events_applied", "An event from Stripe is applied within five minutes.", "Stripe event")
def events(now: datetime) -> Iterable[Any]:
    yield StripeEvent.objects.filter(processed_at=None, received_at__lt=now - EVENT_APPLIED_WITHIN)


@rule("mail_sent", "A mail is sent within ten minutes.", "mail")
def mails(now: datetime) -> Iterable[Any]:
    yield mail.waiting().filter(created__lt=now - MAIL_SENT_WITHIN)


@rule("keys_answered", "No Idempotency-Key keeps its client waiting for more than two minutes.", "key")
def keys(now: datetime) -> Iterable[Any]:
    """One whose process died is no finding: its time runs out, and the client's next request takes over."""
    yield IdempotencyKey.objects.filter(answer__isnull=True, running_until__gt=now + KEY_ANSWERED_WITHIN)


@rule(
    "transactions_ended",
    "A transaction is paid or given up within "
    f"{(settings.ABANDONED_AFTER + TRANSACTION_LATE) // timedelta(hours=1)} hours.",
    "transaction",
)
def transactions(now: datetime) -> Iterable[Any]:
    yield Transaction.objects.filter(
        status=TransactionStatus.PENDING,
        created_at__lt=now - settings.ABANDONED_AFTER - TRANSACTION_LATE,
    )


@rule(
    "refunds_sent", "A refund that was approved, or needs no approval, is at Stripe within an hour.", "refund"
)
def refunds(now: datetime) -> Iterable[Any]:
    since = Coalesce("decided_at", "created_at")
    due = Q(status=RefundStatus.APPROVED) | Q(pk__in=Refund.objects.waiting_to_be_sent())
    yield Refund.objects.filter(due).annotate(since=since).filter(since__lt=now - REFUND_SENT_WITHIN)


@rule(
    "closed_accounts_refunded",
    "What arrives from an account that was closed or deactivated before goes back.",
    "transaction",
)
def closed_accounts(now: datetime) -> Iterable[Any]:
    yield selectors.unrefunded_of_closed_accounts()


RULES = (events, mails, keys, transactions, refunds, closed_accounts)
