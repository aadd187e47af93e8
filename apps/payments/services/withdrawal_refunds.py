"""Giving the money back for what was never used of a service that was withdrawn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone

from apps.core.batching import id_chunks
from apps.core.second_person import SecondPersonNeeded
from apps.payments.errors import NothingToRefund, PaymentDisputed, RefundDecided
from apps.payments.models import Refund, RefundStatus, SoldVoucher, Transaction
from apps.users.models import User
from apps.vouchers.models import VoucherType
from apps.vouchers.states import Hold

from .allocation import refundable_amount
from .refunds.decisions import approve_refund, execute_refund
from .refunds.requests import request_refund_by_staff


@dataclass(frozen=True)
class Refundable:
    """What is left to refund of a type: so many vouchers of so many payments and buyers, and how much by currency."""

    vouchers: int
    payments: int
    buyers: int
    amounts: dict[str, Decimal]


def refundable_of(voucher_type: VoucherType, *, now: datetime) -> Refundable:
    """What `refund_unused` would ask the money back for, if all that is usable were withdrawn at `now`."""
    unused = _unused(voucher_type, now)
    rows = (
        unused.values("transaction__currency")
        .annotate(
            vouchers=Count("pk"),
            payments=Count("transaction", distinct=True),
            amount=Sum("transaction__unit_price"),
        )
        .order_by("transaction__currency")
    )
    amounts = {row["transaction__currency"]: row["amount"] for row in rows}
    with_goodwill = Transaction.objects.filter(pk__in=unused.values("transaction"), amount_goodwill__gt=0)
    for paid in with_goodwill:
        number = unused.filter(transaction=paid).count()
        amounts[paid.currency] -= paid.unit_price * number - refundable_amount(paid, number)
    return Refundable(
        vouchers=sum(row["vouchers"] for row in rows),
        payments=sum(row["payments"] for row in rows),
        buyers=unused.aggregate(buyers=Count("transaction__user", distinct=True))["buyers"],
        amounts=amounts,
    )


@dataclass
class Refunded:
    """What came of it, in vouchers where nothing else is said."""

    succeeded: int = 0
    under_way: int = 0
    failed: int = 0
    disputed_payments: int = 0
    waiting_for_second_person: int = 0


def refund_unused(
    *,
    voucher_type: VoucherType,
    actor: User,
    reason: str,
    on_progress: Callable[[int], object] = lambda payments: None,
) -> Refunded:
    """Ask for the money of all vouchers of a type that are withdrawn and were never used, and approve it.

    Refunds of such payments that wait for a decision, the buyers' own too, are approved with them; those that
    were approved and not heard of go on. One payment after the other, so that it can be stopped and called
    again; `on_progress` hears how many are done. Vouchers without a payment, expired or used ones, those that staff
    stopped, and payments in dispute are left alone; refunds that somebody else has to approve wait.

    Raises PaymentProviderUnavailable.
    """
    outcome = Refunded()
    for number, _ in enumerate(refund_each(voucher_type, actor, reason, outcome), start=1):
        on_progress(number)
    return outcome


def refund_each(voucher_type: VoucherType, actor: User, reason: str, outcome: Refunded) -> Iterator[None]:
    """As `refund_unused`, a payment at each `next`; what came of it is added to `outcome`."""
    for transaction_id in _payments(voucher_type):
        try:
            _refund_payment(voucher_type, transaction_id, actor, reason, outcome)
        except PaymentDisputed:
            outcome.disputed_payments += 1
        except (NothingToRefund, RefundDecided):
            pass  # somebody else was at it at this moment
        yield


def payments_to_refund(voucher_type: VoucherType) -> int:
    """How many payments `refund_unused` would look at."""
    return _concerned(voucher_type).count()


def _refund_payment(
    voucher_type: VoucherType, transaction_id: int, actor: User, reason: str, outcome: Refunded
) -> None:
    unused = _unused(voucher_type, timezone.now()).filter(
        transaction=transaction_id, voucher__holds=Hold.WITHDRAWN
    )
    if voucher_ids := list(unused.values_list("voucher_id", flat=True)):
        request_refund_by_staff(
            transaction_id=transaction_id,
            actor=actor,
            reason=reason,
            voucher_ids=voucher_ids,
            decided_at_once=True,
        )
    open_ones = Refund.objects.filter(
        transaction=transaction_id, status__in=(RefundStatus.REQUESTED, RefundStatus.APPROVED)
    )
    for refund in open_ones.order_by("pk"):
        vouchers = refund.lines.count()
        if refund.status == RefundStatus.REQUESTED:
            try:
                refund = approve_refund(refund_id=refund.pk, actor=actor, note=reason)
            except SecondPersonNeeded:
                outcome.waiting_for_second_person += vouchers
                continue
        else:
            refund = execute_refund(refund.pk)
        match refund.status:
            case RefundStatus.SUCCEEDED:
                outcome.succeeded += vouchers
            case RefundStatus.FAILED | RefundStatus.CANCELED:
                outcome.failed += vouchers
            case _:
                outcome.under_way += vouchers


def _unused(voucher_type: VoucherType, now: datetime) -> QuerySet[SoldVoucher]:
    """The lines of payments whose vouchers were paid for, never used, and are stopped by nobody else."""
    return SoldVoucher.objects.filter(
        transaction__in=Transaction.objects.paid().filter(voucher_type=voucher_type, unit_price__gt=0),
        voucher__uses_remaining=F("voucher__total_uses"),
        voucher__expiry_date__gt=now,
        voucher__holds__in=("", Hold.WITHDRAWN),
    )


def _concerned(voucher_type: VoucherType) -> QuerySet[Transaction]:
    unused = _unused(voucher_type, timezone.now()).filter(voucher__holds=Hold.WITHDRAWN)
    waiting = Refund.objects.filter(
        transaction__voucher_type=voucher_type,
        status__in=(RefundStatus.REQUESTED, RefundStatus.APPROVED),
    )
    return Transaction.objects.filter(
        Q(pk__in=unused.values("transaction")) | Q(pk__in=waiting.values("transaction"))
    )


def _payments(voucher_type: VoucherType) -> Iterator[int]:
    for ids in id_chunks(_concerned(voucher_type), 500):
        yield from ids
