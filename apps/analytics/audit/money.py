"""Rules on transactions, refunds and disputes."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, Exists, F, IntegerField, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least, Round

from apps.payments.models import (
    PAID,
    UNDER_WAY,
    Dispute,
    DisputeOutcome,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundStatus,
    SoldVoucher,
    Transaction,
    TransactionStatus,
)
from apps.users.models import CLOSED_DOMAIN
from apps.vouchers.states import Hold, VoucherStatus, status_condition

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
    "What went back of a transaction, what is on its way back, and the price of its vouchers that can be redeemed are"
    " together less than its amount and one price more.",
    "transaction",
)
def redeemable(now: datetime) -> Iterable[Any]:
    usable = status_condition(VoucherStatus.ACTIVE, now, "sold_vouchers__voucher__")
    some_back = Q(amount_refunded__gt=0) | Q(amount_refunding__gt=0)
    most = cents(F("amount") + F("unit_price") - F("amount_refunded") - F("amount_refunding"))
    valued = Transaction.objects.filter(some_back).annotate(
        value=Sum("sold_vouchers__voucher__face_value", filter=usable)
    )
    yield valued.filter(value__gte=most)


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
    "A refund that somebody asked for here is of what its vouchers were sold for, or of what goodwill has left of the"
    " last one's price.",
    "refund",
)
def of_vouchers(now: datetime) -> Iterable[Any]:
    requested = Refund.objects.exclude(origin__in=(RefundOrigin.STRIPE, RefundOrigin.AUTOMATIC))
    summed = requested.annotate(sold_for=Coalesce(Sum("lines__voucher__face_value"), NOTHING))
    but_one = cents(F("sold_for") - F("transaction__unit_price"))
    yield summed.exclude(amount__lte=cents(F("sold_for")), amount__gt=but_one)


@rule(
    "dashboard_refunds",
    "The refunds of a transaction in Stripe's dashboard together give the money back for as many vouchers as they pay"
    " for in full.",
    "transaction",
)
def dashboard_refunds(now: datetime) -> Iterable[Any]:
    in_dashboard = Refund.objects.filter(
        origin=RefundOrigin.STRIPE,
        status__in=(*UNDER_WAY, RefundStatus.SUCCEEDED),
        transaction=OuterRef("pk"),
    )
    lines = RefundedVoucher.objects.filter(
        live=True, refund__origin=RefundOrigin.STRIPE, refund__transaction=OuterRef("pk")
    )
    counted = Transaction.objects.filter(refunds__origin=RefundOrigin.STRIPE).distinct()
    counted = counted.annotate(back=cents(_total(in_dashboard)), void=_count(lines, "refund__transaction"))
    pays_for = Q(
        back__gte=cents(F("void") * F("unit_price")), back__lt=cents((F("void") + 1) * F("unit_price"))
    )
    yield counted.exclude(pays_for)


@rule(
    "lost_disputes",
    "Lost disputes about a transaction void as many of its vouchers, beside those that refunds are for, as their amount"
    " pays for even in part, or all of them.",
    "transaction",
)
def lost_disputes(now: datetime) -> Iterable[Any]:
    refunds = Refund.objects.filter(SUCCEEDED, transaction=OuterRef("pk"))
    counted = Transaction.objects.filter(Exists(Dispute.objects.filter(LOST, transaction=OuterRef("pk"))))
    counted = counted.annotate(
        lost=cents(F("amount_refunded") - _total(refunds)),
        void=_count(_void().exclude(Exists(_refunded(OuterRef("voucher")))), "transaction"),
    )
    free = SoldVoucher.objects.filter(transaction=OuterRef("pk")).exclude(
        Exists(_refunded(OuterRef("voucher"))) | Q(voucher__holds__contains=Hold.REFUNDED)
    )
    too_few = Q(lost__gt=cents(F("void") * F("unit_price"))) & Exists(free)
    too_many = Q(void__gt=0, lost__lte=cents((F("void") - 1) * F("unit_price")))
    yield counted.filter(too_few | too_many)


@rule(
    "goodwill",
    "The goodwill of a transaction is what went back in Stripe's dashboard and no voucher is void for, and less than a"
    " voucher's price.",
    "transaction",
)
def goodwill(now: datetime) -> Iterable[Any]:
    some = Transaction.objects.filter(Q(amount_refunded__gt=0) | ~Q(amount_goodwill=0))
    dashboard_refunds = Refund.objects.filter(
        SUCCEEDED, origin=RefundOrigin.STRIPE, transaction=OuterRef("pk")
    )
    lines = RefundedVoucher.objects.filter(
        live=True,
        refund__origin=RefundOrigin.STRIPE,
        refund__status=RefundStatus.SUCCEEDED,
        refund__transaction=OuterRef("pk"),
    )
    counted = some.annotate(
        unpaid=cents(F("amount_refunded") - F("unit_price") * _count(_void(), "transaction")),
        rest=cents(_total(dashboard_refunds) - F("unit_price") * _count(lines, "refund__transaction")),
    )
    right = Q(
        amount_goodwill=Greatest(Least("unpaid", "rest", output_field=MONEY), NOTHING, output_field=MONEY)
    )
    yield counted.exclude(right, amount_goodwill__lt=F("unit_price"))


def _void() -> Any:
    """The lines of a transaction whose vouchers are void because money went back."""
    return SoldVoucher.objects.filter(transaction=OuterRef("pk"), voucher__holds__contains=Hold.REFUNDED)


def _refunded(voucher: Any) -> Any:
    """What refunds are for a voucher that count."""
    return RefundedVoucher.objects.filter(voucher=voucher, live=True)


def _count(rows: Any, transaction: str) -> Any:
    number = rows.order_by().values(transaction).values(number=Count("pk"))
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


@rule("buyers_of_closed_accounts", "A purchase of an account that was closed names no buyer.", "transaction")
def buyers(now: datetime) -> Iterable[Any]:
    named = Transaction.objects.exclude(buyer_name="", buyer_email="")
    yield named.filter(user__email__endswith=f"@{CLOSED_DOMAIN}")


RULES = (
    amount,
    status,
    at_stripe,
    within_amount,
    under_way,
    done,
    redeemable,
    lines,
    of_vouchers,
    dashboard_refunds,
    lost_disputes,
    goodwill,
    buyers,
)
