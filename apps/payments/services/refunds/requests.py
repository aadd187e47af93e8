"""Requests for refunds: by the buyer, by staff, and without anybody for an account that is closed."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction as database
from django.utils import timezone

from apps.core.idempotency import RequestKey
from apps.core.logs import redact
from apps.payments.errors import NothingToRefund, NotPaid, PaymentDisputed
from apps.payments.models import Refund, RefundedVoucher, RefundOrigin, Transaction
from apps.payments.services import emails, idempotency_keys
from apps.payments.services.allocation import amount_needs_second_person, going_back, refundable_amount
from apps.payments.services.recalculation import lock_transaction, lock_vouchers, recalculate
from apps.users.models import User
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold

# A dispute that is no mere inquiry is refused before.
_UNREFUNDABLE: Final = frozenset(Hold) - {Hold.WITHDRAWN, Hold.DISPUTED}


@dataclass(frozen=True)
class RefundRequest:
    """A requested refund, and the earlier answer to the same request, if there was one."""

    refund: Refund
    first_answer: dict[str, Any] | None = None


def request_refund(
    *, user: User, payment_id: int | str, reason: str, notes: str = "", key: RequestKey | None = None
) -> RefundRequest:
    """Ask for the money of all unused vouchers of one's payment, as far as it did not go back as goodwill.

    The vouchers are held at once, and staff decide.

    `payment_id` is the transaction's number or its payment intent. The same request under the same key gives the
    refund that it requested before. Raises TransactionNotFound, NotPaid, PaymentDisputed, NothingToRefund (used,
    expired and held vouchers are not refunded), AccountClosed, IdempotencyKeyReused or RequestInProgress.
    """
    earlier = idempotency_keys.earlier_request(user, key)
    if earlier is not None and earlier.refund is not None:
        return RefundRequest(earlier.refund, earlier.answer)
    with idempotency_keys.begin_request(user, key) as note:
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
        emails.refund_requested(refund)
        note(refund)
    return RefundRequest(refund)


@database.atomic
def request_refund_by_staff(
    *,
    transaction_id: int,
    actor: User,
    reason: str,
    voucher_ids: Collection[int] | None = None,
    decided_at_once: bool = False,
) -> Refund:
    """Ask for the money of these vouchers of a payment (None: of all unused ones), for staff; not decided yet.

    With `decided_at_once` the caller approves it next, in the same act of staff: the buyer then gets a mail about what
    came of it and none about the request, unless a second person has to approve it.

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
    refund = _record(paid, vouchers, origin=RefundOrigin.STAFF, by=actor, reason=reason, notes="")
    if refund.needs_second_person or not decided_at_once:
        emails.refund_requested(refund)
    return refund


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
        needs_second_person=amount_needs_second_person(paid, going_back(paid) + amount),
    )
    RefundedVoucher.objects.bulk_create(
        RefundedVoucher(refund=refund, voucher=voucher) for voucher in vouchers
    )
    recalculate(paid, reason=f"Refund {refund.pk} requested", actor=by)
    return refund
