"""Giving money back: the vouchers are held first, then Stripe is asked, then they are voided or let go.

A refund is requested (by the buyer, or by staff), approved or rejected by staff, sent to Stripe, and ends as
Stripe says. One that was made in Stripe's dashboard is taken over by the books as it is.
"""

import logging
from collections.abc import Collection
from typing import Final
from uuid import UUID

from django.db import transaction as database
from django.utils import timezone

from apps.core.idempotency import RequestKey
from apps.core.logs import redact
from apps.payments import gateway
from apps.payments.errors import (
    NothingToRefund,
    NotPaid,
    PaymentDisputed,
    RefundNotFound,
    TransactionNotFound,
)
from apps.payments.models import (
    UNDER_WAY,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundStatus,
    Transaction,
)
from apps.users import services as users
from apps.users.models import User
from apps.vouchers.models import Hold, Voucher

from . import emails, idempotency_keys
from .recalculation import lock_transaction, lock_vouchers, recalculate
from .refund_allocation import COUNTING, claim_vouchers, end_refund, fit_requests, refundable_amount

log = logging.getLogger(__name__)

# What a status at Stripe is to us ("Refunds": requires_action waits for the buyer's bank details).
STATUS_OF: Final = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
}
# A refund only moves on: an answer that was fetched earlier and applied later undoes nothing.
_RANK: Final = {
    RefundStatus.REQUESTED: 0,
    RefundStatus.APPROVED: 1,
    RefundStatus.PENDING: 2,
    RefundStatus.SUCCEEDED: 3,
    RefundStatus.FAILED: 4,
    RefundStatus.CANCELED: 4,
    RefundStatus.REJECTED: 4,
}
# A dispute that is no mere inquiry is refused before.
_UNREFUNDABLE: Final = frozenset(Hold) - {Hold.WITHDRAWN, Hold.DISPUTED}


def request_refund(
    *, user: User, payment_id: int | str, reason: str, notes: str = "", key: RequestKey | None = None
) -> Refund:
    """Ask for the money of all unused vouchers of one's payment, as far as it did not go back as goodwill.

    The vouchers are held at once, and staff decide.

    `payment_id` is the transaction's number or its payment intent. The same request under the same key gives the
    refund that it asked for before. Raises TransactionNotFound, NotPaid, PaymentDisputed, NothingToRefund (used,
    expired and held vouchers are not refunded), AccountClosed, IdempotencyKeyReused or RequestInProgress.
    """
    earlier = idempotency_keys.earlier_request(user, key)
    if earlier is not None and earlier.refund is not None:
        return earlier.refund
    with idempotency_keys.begin_request(user, key) as note:
        users.lock_open_account(user=user)
        mine = Transaction.objects.owned_by(user)
        paid = lock_transaction(
            mine.filter(pk=payment_id)
            if isinstance(payment_id, int)
            else mine.filter(stripe_payment_intent_id=payment_id)
        )
        _check_refundable(paid)
        now = timezone.now()
        vouchers = [
            voucher
            for voucher in lock_vouchers(paid)
            if not voucher.uses_made and voucher.expiry_date > now and not voucher.held_for & _UNREFUNDABLE
        ]
        refund = _record(paid, vouchers, origin=RefundOrigin.BUYER, by=user, reason=reason, notes=notes)
        note(refund=refund)
    return refund


@database.atomic
def request_refund_by_staff(
    *, transaction_id: int, actor: User, reason: str, voucher_ids: Collection[int] | None = None
) -> Refund:
    """Ask for the money of these vouchers of a payment (None: of all unused ones), for staff; not decided yet.

    Expired vouchers and those that staff suspended or voided may be refunded, used ones not. Raises
    TransactionNotFound, NotPaid, PaymentDisputed or NothingToRefund.
    """
    paid = lock_transaction(Transaction.objects.filter(pk=transaction_id))
    _check_refundable(paid)
    vouchers = [
        voucher
        for voucher in lock_vouchers(paid)
        if refundable_by_staff(voucher) and (voucher_ids is None or voucher.pk in voucher_ids)
    ]
    if voucher_ids is not None and len(vouchers) != len(set(voucher_ids)):
        raise NothingToRefund
    return _record(paid, vouchers, origin=RefundOrigin.STAFF, by=actor, reason=reason, notes="")


def record_automatic_refund(paid: Transaction) -> None:
    """Note that all that is left of a payment goes back, whose row the caller has locked; its vouchers are held.

    For one that nobody should have been able to make any more. It waits to be sent: see `send_automatic_refunds`.
    """
    if paid.amount_left <= 0:
        return
    refund = Refund.objects.create(
        transaction=paid,
        amount=paid.amount_left,
        origin=RefundOrigin.AUTOMATIC,
        reason="The account was closed or deactivated before the payment arrived.",
    )
    RefundedVoucher.objects.bulk_create(
        RefundedVoucher(refund=refund, voucher=voucher)
        for voucher in lock_vouchers(paid)
        if refundable_by_staff(voucher)
    )
    recalculate(paid, reason=f"Refund {refund.pk} due: the account was closed or deactivated")


def refundable_by_staff(voucher: Voucher) -> bool:
    """Whether staff may ask for the money of a voucher that was paid for: unused, and not on its way back."""
    return not voucher.uses_made and not voucher.held_for & {Hold.REFUNDED, Hold.REFUND_PENDING}


def apply_refund(found: gateway.Refund) -> Refund | None:
    """Apply a refund, fetched from Stripe just now, to the books; None if its payment is not one of ours.

    One that we don't know was made in Stripe's dashboard. Where it leaves less than a request asks for, the request
    is lowered.
    """
    with database.atomic():
        try:
            paid = lock_transaction(Transaction.objects.filter(stripe_payment_intent_id=found.intent_id))
        except TransactionNotFound:
            return None
        refund = _known(paid, found) or _adopt(paid, found)
        status = STATUS_OF.get(found.status, RefundStatus.PENDING)
        if refund.stripe_refund_id and _RANK[status] <= _RANK[RefundStatus(refund.status)]:
            return refund
        refund.stripe_refund_id = found.id
        refund.failure_reason = found.failure_reason
        if status in UNDER_WAY:
            refund.status = status
            refund.finished_at = None
            refund.save(
                update_fields=("status", "stripe_refund_id", "failure_reason", "finished_at", "updated_at")
            )
        else:
            end_refund(refund, status)
        if status in COUNTING:
            fit_requests(paid, reason="Refunded in Stripe's dashboard instead.")
            claim_vouchers(paid, refund, lock_vouchers(paid))
        recalculate(paid, reason=f"Refund {refund.pk} {RefundStatus(refund.status).label.lower()}")
        emails.refund_decided(refund)
    if status == RefundStatus.FAILED:
        log.error("Refund %s of transaction %s failed: %s", refund.pk, paid.pk, found.failure_reason)
    return refund


@database.atomic
def erase_reasons(*, user: User) -> None:
    """Empty what the user wrote into refund requests, and forget the keys of their requests."""
    Refund.objects.filter(requested_by=user, origin=RefundOrigin.BUYER).update(reason="", notes="")
    idempotency_keys.discard_all_keys(user)


def _check_refundable(paid: Transaction) -> None:
    if not paid.is_paid:
        raise NotPaid
    if paid.disputes.blocking().exists():
        raise PaymentDisputed
    if paid.unit_price == 0:
        raise NothingToRefund


def _record(
    paid: Transaction,
    vouchers: Collection[Voucher],
    *,
    origin: RefundOrigin,
    by: User,
    reason: str,
    notes: str,
) -> Refund:
    amount = refundable_amount(paid, len(vouchers))
    # Less than the last of them costs is left where some of its price went back as goodwill: then the rest.
    if not vouchers or amount <= paid.unit_price * (len(vouchers) - 1):
        raise NothingToRefund
    refund = Refund.objects.create(
        transaction=paid,
        amount=amount,
        origin=origin,
        requested_by=by,
        reason=redact(reason),  # staff read them, and no code in full
        notes=redact(notes),
    )
    RefundedVoucher.objects.bulk_create(
        RefundedVoucher(refund=refund, voucher=voucher) for voucher in vouchers
    )
    recalculate(paid, reason=f"Refund {refund.pk} requested", actor=by)
    emails.refund_requested(refund)
    return refund


def locked_refund(refund_id: int) -> Refund:
    """The refund, with its transaction's row locked: that lock is the one that guards refunds too."""
    transaction_id = Refund.objects.filter(pk=refund_id).values_list("transaction_id", flat=True).first()
    if transaction_id is None:
        raise RefundNotFound
    paid = lock_transaction(Transaction.objects.filter(pk=transaction_id))
    refund = Refund.objects.get(pk=refund_id)
    refund.transaction = paid
    return refund


def decide(refund: Refund, actor: User, note: str) -> None:
    refund.decided_by, refund.decided_at, refund.decision_note = actor, timezone.now(), note


def _known(paid: Transaction, found: gateway.Refund) -> Refund | None:
    refunds = paid.refunds.select_related("transaction")
    known = refunds.filter(stripe_refund_id=found.id).first()
    reference = _uuid(found.reference)
    if known is None and reference:
        known = refunds.filter(reference=reference, stripe_refund_id=None).first()
    return known


def _adopt(paid: Transaction, found: gateway.Refund) -> Refund:
    """A row for a refund that was made without us."""
    return Refund.objects.create(
        transaction=paid,
        amount=found.amount,
        origin=RefundOrigin.STRIPE,
        status=RefundStatus.APPROVED,
        reason="Made in Stripe's dashboard.",
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
