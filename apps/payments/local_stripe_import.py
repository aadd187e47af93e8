"""Payments of the books that the local Stripe does not know: it is told of them, so that they can be refunded there.

Demo data is written past Stripe, and the file of the local Stripe may be lost. For development only.
"""

import http.client
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from . import stripe_amounts
from .models import Dispute, Refund, RefundOrigin, RefundStatus, Transaction, TransactionStatus

LOCAL_KEY: Final = "sk_test_local"  # with which the settings choose the local Stripe
MOST: Final = 20_000  # payments, the newest: the local Stripe has them all in memory
AT_ONCE: Final = 200
TIMEOUT: Final = 60.0  # seconds for one portion

_REFUND_STATUS: Final = {
    RefundStatus.APPROVED: "pending",
    RefundStatus.PENDING: "pending",
    RefundStatus.SUCCEEDED: "succeeded",
    RefundStatus.FAILED: "failed",
    RefundStatus.CANCELED: "canceled",
}
_STATUS: Final = {TransactionStatus.PENDING: "requires_payment_method", TransactionStatus.FAILED: "canceled"}


class LocalStripeAway(Exception):
    """The local Stripe does not answer, or refuses what it is told."""


def is_used() -> bool:
    """Whether the settings name the local Stripe and no real one."""
    return bool(settings.STRIPE_SECRET_KEY == LOCAL_KEY)


def state_file() -> Path:
    """Where the local Stripe keeps its memory: beside the database, as both belong together."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return Path(f"{name}.stripe")
    return Path(settings.BASE_DIR) / f"{Path(name).name}.stripe"


def drop_state_of_another_database() -> Path | None:
    """Give the local Stripe's file another name if it can't be of this database, which has no payment; that name."""
    file = state_file()
    if not file.exists() or Transaction.objects.exclude(stripe_payment_intent_id=None).exists():
        return None
    backup = Path(f"{file}.old")
    os.replace(file, backup)
    return backup


def import_payments(base_url: str, on_progress: Callable[[int], object] = lambda number: None) -> int:
    """Tell the local Stripe at an address of the newest MOST payments; how many it did not know.

    `on_progress` gets the number of payments of each portion. Raises LocalStripeAway.
    """
    imported, payments = 0, _payments()
    while portion := list(islice(payments, AT_ONCE)):
        imported += _post(base_url, portion)["imported"]
        on_progress(len(portion))
    return imported


def _payments() -> Iterator[dict[str, Any]]:
    newest = (
        Transaction.objects.exclude(stripe_payment_intent_id=None)
        .order_by("-created_at")
        .values_list("pk", flat=True)[:MOST]
    )
    # The oldest first, as if they had come one after the other.
    pks = sorted(newest)
    for start in range(0, len(pks), AT_ONCE):
        rows = Transaction.objects.filter(pk__in=pks[start : start + AT_ONCE]).order_by("pk")
        for transaction in rows.prefetch_related("refunds", "disputes"):
            yield _payment(transaction)


def _payment(transaction: Transaction) -> dict[str, Any]:
    currency = transaction.currency
    facts: dict[str, Any] = {
        "id": transaction.stripe_payment_intent_id,
        "amount": _minor(transaction.amount, currency),
        "currency": currency.lower(),
        "created": _seconds(transaction.created_at),
        "status": _STATUS.get(TransactionStatus(transaction.status), "succeeded"),
        "metadata": {"order_id": str(transaction.reference), "installation": settings.INSTALLATION},
    }
    if transaction.is_paid:
        facts["paid_at"] = _seconds(transaction.completed_at or transaction.created_at)
        facts["refunds"] = [_refund(each, currency) for each in _sent(transaction)]
        facts["disputes"] = [_dispute(each, currency) for each in transaction.disputes.all()]
    return facts


def _sent(transaction: Transaction) -> list[Refund]:
    """The refunds that are at Stripe, the oldest first."""
    sent = [refund for refund in transaction.refunds.all() if refund.stripe_refund_id]
    return sorted(sent, key=lambda refund: refund.pk)


def _refund(refund: Refund, currency: str) -> dict[str, Any]:
    ours = refund.origin != RefundOrigin.STRIPE  # in Stripe's dashboard nobody writes our reference down
    return {
        "id": refund.stripe_refund_id,
        "amount": _minor(refund.amount, currency),
        "status": _REFUND_STATUS[RefundStatus(refund.status)],
        "created": _seconds(refund.created_at),
        "metadata": {"refund_id": str(refund.reference)} if ours else {},
        "failure_reason": refund.failure_reason,
    }


def _dispute(dispute: Dispute, currency: str) -> dict[str, Any]:
    return {
        "id": dispute.stripe_dispute_id,
        "amount": _minor(dispute.amount, currency),
        "status": dispute.stripe_status,
        "reason": dispute.reason or "general",
        "created": _seconds(dispute.opened_at),
        "due_by": _seconds(dispute.respond_by) if dispute.respond_by else None,
    }


def _minor(amount: Decimal, currency: str) -> int:
    return stripe_amounts.minor_of(amount, currency)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _post(base_url: str, payments: list[dict[str, Any]]) -> Any:
    address = urlsplit(base_url)
    caller = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        caller.request("POST", "/_control/payments", json.dumps({"payments": payments}))
        answer = caller.getresponse()
        content = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LocalStripeAway(f"{base_url}: {error}") from error
    finally:
        caller.close()
    if answer.status != 200:
        raise LocalStripeAway(f"{base_url}: {content.get('error', answer.status)}")
    return content
