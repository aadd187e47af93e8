"""Giving the buyer what was paid for. See docs/locking.md for the locks.

Stripe is never called inside a database transaction: our row is committed first, Stripe's answer after.
"""

import logging
from uuid import UUID

from django.db import transaction as database
from django.db.models import F, Q
from django.utils import timezone

from apps.payments import gateway
from apps.payments.errors import PaymentMismatch
from apps.payments.models import SoldVoucher, Transaction, TransactionStatus
from apps.vouchers import services as voucher_services

from . import notices

log = logging.getLogger(__name__)


def settle_intent(intent_id: str) -> str:
    """Bring the books in line with an intent, for webhooks; what came of it, in a few words.

    Raises PaymentProviderUnavailable.
    """
    try:
        settled = paid_transaction_of(intent_id)
    except gateway.NotAtStripe:
        return "no such intent"
    except PaymentMismatch:
        return "mismatch: nothing issued"
    return f"transaction {settled.pk} {settled.status}" if settled else "not one of ours"


def paid_transaction_of(intent_id: str) -> Transaction | None:
    """Our transaction for an intent, fulfilled first if it is paid and was not yet; None if it is not ours.

    For what may reach us before the success does. Raises NotAtStripe, PaymentMismatch or
    PaymentProviderUnavailable.
    """
    known = Transaction.objects.filter(stripe_payment_intent_id=intent_id).first()
    if known is not None and known.is_paid:
        return known
    return settle(gateway.fetch_intent(intent_id))


def settle(intent: gateway.Intent) -> Transaction | None:
    """Apply an intent, fetched from Stripe just now, to its transaction; None if it is not one of ours.

    The one way to fulfilment: confirm, webhook, reconciliation, admin and command all come through here.
    Locks the transaction's row, so of any number of callers one issues and the others find it done. A success
    counts even after we gave the purchase up: it is money. Raises PaymentMismatch, and issues nothing, when
    amount, currency or order are not those of the purchase.
    """
    with database.atomic():
        found = _locked_transaction_of(intent)
        if found is None or found.is_paid:
            return found
        if found.stripe_payment_intent_id is None:
            remember_intent(found, intent.id)
        mismatch = intent.succeeded and not _is_paid_in_full(found, intent)
        if intent.succeeded and not mismatch:
            return complete(found)
        if intent.canceled and found.status == TransactionStatus.PENDING:
            fail(found)
    if mismatch:
        raise PaymentMismatch
    return found


def _locked_transaction_of(intent: gateway.Intent) -> Transaction | None:
    """Our row for the intent, locked; by its order id where Stripe's answer to the creation is not noted yet.

    One query: between two, the answer might be noted, and neither would find the row.
    """
    ours = Q(stripe_payment_intent_id=intent.id)
    if reference := _uuid(intent.order_id):
        ours |= Q(reference=reference, stripe_payment_intent_id=None)
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("voucher_type", "user")
    return rows.filter(ours).order_by(F("stripe_payment_intent_id").asc(nulls_last=True)).first()


def _is_paid_in_full(due: Transaction, intent: gateway.Intent) -> bool:
    expected = (due.amount, due.currency, str(due.reference))
    if (intent.amount_received, intent.currency, intent.order_id) == expected:
        return True
    log.error(
        "Transaction %s: intent %s paid %s %s for order %s, but %s %s is due",
        due.pk,
        intent.id,
        intent.amount_received,
        intent.currency,
        intent.order_id or "(none)",
        due.amount,
        due.currency,
    )
    return False


def complete(paid: Transaction) -> Transaction:
    """Issue the vouchers of a paid transaction. Call it inside a transaction that holds the row's lock."""
    now = timezone.now()
    vouchers = voucher_services.issue_vouchers(
        voucher_type_id=paid.voucher_type_id,
        owner_id=paid.user_id,
        quantity=paid.quantity,
        terms=voucher_services.Terms(
            service_type=paid.service_type,
            face_value=paid.unit_price,
            currency=paid.currency,
            validity_days=paid.validity_days,
            max_uses=paid.max_uses,
        ),
        issued_at=now,
    )
    SoldVoucher.objects.bulk_create(
        SoldVoucher(transaction=paid, line_no=line_no, voucher=voucher)
        for line_no, voucher in enumerate(vouchers, start=1)
    )
    paid.status = TransactionStatus.COMPLETED
    paid.completed_at = now
    paid.save(update_fields=("status", "completed_at", "updated_at"))
    notices.queue_receipt(paid)
    return paid


def fail(unpaid: Transaction) -> None:
    """Give up a purchase that is still pending; a success is never overwritten."""
    now = timezone.now()
    changed = Transaction.objects.filter(pk=unpaid.pk, status=TransactionStatus.PENDING).update(
        status=TransactionStatus.FAILED, updated_at=now
    )
    if changed:
        unpaid.status, unpaid.updated_at = TransactionStatus.FAILED, now


def remember_intent(started: Transaction, intent_id: str) -> None:
    """Note Stripe's id, unless a webhook was here before with the same."""
    now = timezone.now()
    changed = Transaction.objects.filter(pk=started.pk, stripe_payment_intent_id=None).update(
        stripe_payment_intent_id=intent_id, updated_at=now
    )
    if changed:
        started.stripe_payment_intent_id, started.updated_at = intent_id, now
    else:
        started.refresh_from_db()  # overtaken: perhaps it is completed by now


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
