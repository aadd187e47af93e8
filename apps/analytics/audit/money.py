"""Rules on transactions, refunds and disputes."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, Exists, F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Least, Round

from apps.payments.models import (
    PAID,
    UNDER_WAY,
    Dispute,
    DisputeOutcome,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.vouchers.models import VoucherStatus, status_condition

from .rule import rule

MONEY = DecimalField(max_digits=14, decimal_places=2)
NOTHING = Value(Decimal(0), output_field=MONEY)
SUCCEEDED = Q(status=RefundStatus.SUCCEEDED)
LOST = Q(outcome=DisputeOutcome.LOST)


def cents(expression: Any) -> Any:
    """Rounded to the cent, because SQLite counts decimals as floats."""
    return Round(expression, precision=2, output_field=MONEY)


@rule("amount_of_transaction", "The amount of a transaction is quantity × price.", "transaction")
def amount(now: datetime) -> Iterable[Any]:
    yield Transaction.objects.exclude(amount=cents(F("quantity") * F("unit_price")))


@rule(
    "status_of_transaction",
    "A transaction is refunded if all of its amount went back, and has a time of completion if it was paid;"
    " of one that was not paid nothing goes back.",
    "transaction",
)
def status(now: datetime) -> Iterable[Any]:
    paid, refunded = Q(status__in=PAID), Q(status=TransactionStatus.REFUNDED)
    all_back = Q(amount__gt=0, amount_refunded=F("amount"))
    some_back = Q(amount_refunded__gt=0) | Q(amount_refunding__gt=0)
    completed = Q(completed_at__isnull=False)
    yield Transaction.objects.filter(
        refunded & ~all_back | ~refunded & all_back | paid & ~completed | ~paid & (completed | some_back)
    )


@rule("paid_at_stripe", "A paid transaction that was not free has a payment intent.", "transaction")
def at_stripe(now: datetime) -> Iterable[Any]:
    yield Transaction.objects.filter(status__in=PAID, amount__gt=0, stripe_payment_intent_id=None)


@rule("refunds_within_amount", "What goes back of a transaction is not more than its amount.", "transaction")
def within_amount(now: datetime) -> Iterable[Any]:
    back = cents(F("amount_refunded") + F("amount_refunding"))
    yield Transaction.objects.filter(
        Q(amount__lt=back) | Q(amount_refunded__lt=0) | Q(amount_refunding__lt=0)
    )


@rule(
    "refunds_under_way",
    "What a transaction counts as on its way back is the sum of its refunds that have not ended.",
    "transaction",
)
def under_way(now: datetime) -> Iterable[Any]:
    counting = Q(amount_refunding__gt=0) | Q(refunds__isnull=False)
    total = Sum("refunds__amount", filter=Q(refunds__status__in=UNDER_WAY))
    summed = Transaction.objects.filter(counting).annotate(total=Coalesce(total, NOTHING))
    yield summed.exclude(amount_refunding=cents(F("total")))


@rule(
    "refunds_done",
    "What a transaction counts as given back is the sum of its refunds that succeeded and its disputes that were"
    " lost, at most what is not on its way back.",
    "transaction",
)
def done(now: datetime) -> Iterable[Any]:
    refunds = Refund.objects.filter(SUCCEEDED, transaction=OuterRef("pk"))
    disputes = Dispute.objects.filter(LOST, transaction=OuterRef("pk"))
    rest = F("amount") - F("amount_refunding")
    back = Least(rest, _total(refunds) + _total(disputes), output_field=MONEY)
    yield Transaction.objects.filter(amount_refunded__gt=0).exclude(amount_refunded=cents(back))
    nothing = Transaction.objects.filter(amount_refunded__lte=0)
    yield nothing.filter(Exists(refunds))
    yield nothing.exclude(Exists(refunds)).filter(Exists(disputes), amount_refunding__lt=F("amount"))


def _total(rows: Any) -> Any:
    total = rows.order_by().values("transaction").values(total=Sum("amount"))
    return Coalesce(Subquery(total, output_field=MONEY), NOTHING)


@rule(
    "redeemable_value",
    "The vouchers of a transaction that can be redeemed were not sold for more than is left of its amount.",
    "transaction",
)
def redeemable(now: datetime) -> Iterable[Any]:
    usable = status_condition(VoucherStatus.ACTIVE, now, "sold_vouchers__voucher__")
    some_back = Q(amount_refunded__gt=0) | Q(amount_refunding__gt=0)
    left = cents(F("amount") - F("amount_refunded") - F("amount_refunding"))
    valued = Transaction.objects.filter(some_back).annotate(
        value=Sum("sold_vouchers__voucher__face_value", filter=usable)
    )
    yield valued.filter(value__gt=left)


@rule(
    "refunded_vouchers",
    "A refund names vouchers of its own transaction, and they count as given back only while it is under way or"
    " has succeeded.",
    "line of a refund",
)
def lines(now: datetime) -> Iterable[Any]:
    counts = Q(refund__status__in=(*UNDER_WAY, RefundStatus.SUCCEEDED))
    own = Q(voucher__sale__transaction=F("refund__transaction"))
    yield RefundedVoucher.objects.filter(Q(live=True) & ~counts | Q(live=False) & counts | ~own)


@rule(
    "refund_of_vouchers",
    "A refund that was asked for here is of what its vouchers were sold for.",
    "refund",
)
def of_vouchers(now: datetime) -> Iterable[Any]:
    asked = Refund.objects.exclude(origin=RefundOrigin.STRIPE)
    summed = asked.annotate(sold_for=Coalesce(Sum("lines__voucher__face_value"), NOTHING))
    yield summed.exclude(amount=cents(F("sold_for")))


RULES = (amount, status, at_stripe, within_amount, under_way, done, redeemable, lines, of_vouchers)
