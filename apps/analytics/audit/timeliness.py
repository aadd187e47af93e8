"""Rules on what must not take long."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

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


@rule("events_applied", "An event from Stripe is applied within five minutes.", "Stripe event")
def events(now: datetime) -> Iterable[Any]:
    yield StripeEvent.objects.filter(processed_at=None, received_at__lt=now - timedelta(minutes=5))


@rule("mail_sent", "A mail is sent within ten minutes.", "mail")
def mails(now: datetime) -> Iterable[Any]:
    yield mail.waiting().filter(created__lt=now - timedelta(minutes=10))


@rule("keys_answered", "No Idempotency-Key keeps its client waiting for more than two minutes.", "key")
def keys(now: datetime) -> Iterable[Any]:
    """One whose process died is no finding: its time runs out, and the client's next request takes over."""
    yield IdempotencyKey.objects.filter(answer__isnull=True, running_until__gt=now + timedelta(minutes=2))


@rule("transactions_ended", "A transaction is paid or given up within 26 hours.", "transaction")
def transactions(now: datetime) -> Iterable[Any]:
    yield Transaction.objects.filter(
        status=TransactionStatus.PENDING, created_at__lt=now - timedelta(hours=26)
    )


@rule(
    "refunds_sent", "A refund that was approved, or needs no approval, is at Stripe within an hour.", "refund"
)
def refunds(now: datetime) -> Iterable[Any]:
    since = Coalesce("decided_at", "created_at")
    due = Q(status=RefundStatus.APPROVED) | Q(pk__in=Refund.objects.waiting_to_be_sent())
    yield Refund.objects.filter(due).annotate(since=since).filter(since__lt=now - timedelta(hours=1))


@rule(
    "closed_accounts_refunded",
    "What arrives from an account that was closed or deactivated before goes back.",
    "transaction",
)
def closed_accounts(now: datetime) -> Iterable[Any]:
    yield selectors.unrefunded_of_closed_accounts()


RULES = (events, mails, keys, transactions, refunds, closed_accounts)
