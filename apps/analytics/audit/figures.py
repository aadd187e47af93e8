"""A rule on the figures that people are shown: they are sums over the rows, counted here in another way."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import Case, CharField, Count, F, FloatField, Min, Q, Sum, Value, When
from django.db.models.functions import Cast
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.periods import EARLIEST, Period
from apps.payments.models import PAID, Transaction
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.states import VoucherStatus

from .rule import MAX_LISTED, Finding, Rule

CENT: Final = Decimal("0.01")


def _check(now: datetime) -> Finding:
    notes = list(_differences(now))
    return Finding(len(notes), notes=notes[:MAX_LISTED])


def _differences(now: datetime) -> Iterator[str]:
    """Each figure that is not what the rows add up to, over all time."""
    period, default = _all_days(now), settings.DEFAULT_CURRENCY
    sales, vouchers = _sales(), _vouchers(now)
    statuses = {
        status: sum(row["number"] for row in vouchers if row["status"] == status) for status in VoucherStatus
    }
    counts = {
        "purchases": sum(row["purchases"] for row in sales),
        "redemptions": VoucherUsage.objects.filter(reversal=None).count(),
        "vouchers_issued": sum(statuses.values()),
        **{f"vouchers_{status}": number for status, number in statuses.items()},
    }
    shown = selectors.tally_of_platform(period=period, now=now, currency=default).totals
    for name, number in counts.items():
        yield from _compare(name, getattr(shown, name), number)
    for currency in sorted({default, *(row["currency"] for row in (*sales, *vouchers))}):
        revenue = selectors.revenue(period=period, now=now, currency=currency)
        totals, obligations = revenue.tally.totals, revenue.obligations
        sold = next(
            (row for row in sales if row["currency"] == currency),
            {"revenue": 0, "refunded": 0, "goodwill": 0},
        )
        paid, unpaid = (
            {
                row["status"]: row["unused"]
                for row in vouchers
                if row["currency"] == currency and row["is_sold"] is is_sold
            }
            for is_sold in (True, False)
        )
        for name, amount, counted, tolerance in (
            ("revenue", totals.revenue, sold["revenue"], 0),
            ("refunded", totals.refunded, sold["refunded"], 0),
            ("goodwill", totals.goodwill, sold["goodwill"], 0),
            # Of quotients: the sum here is one of floats.
            ("liability", obligations.outstanding_liability, paid.get(VoucherStatus.ACTIVE, 0), CENT),
            ("breakage", obligations.breakage, paid.get(VoucherStatus.EXPIRED, 0), CENT),
            ("unpaid outstanding", obligations.unpaid_outstanding, unpaid.get(VoucherStatus.ACTIVE, 0), CENT),
            ("unpaid expired", obligations.unpaid_expired, unpaid.get(VoucherStatus.EXPIRED, 0), CENT),
        ):
            yield from _compare(f"{name} in {currency}", amount, Decimal(counted).quantize(CENT), tolerance)


def _compare(name: str, shown: Any, counted: Any, tolerance: Any = 0) -> Iterator[str]:
    if abs(shown - counted) > tolerance:
        yield f"{name}: shown {shown}, counted {counted}"


def _sales() -> list[Mapping[str, Any]]:
    by_currency = Transaction.objects.filter(status__in=PAID).order_by().values("currency")
    return list(
        by_currency.annotate(
            purchases=Count("pk"),
            revenue=Sum("amount"),
            refunded=Sum("amount_refunded"),
            goodwill=Sum("amount_goodwill"),
        )
    )


def _vouchers(now: datetime) -> list[Mapping[str, Any]]:
    status = Case(
        When(is_active=False, then=Value(VoucherStatus.INACTIVE.value)),
        When(uses_remaining=0, then=Value(VoucherStatus.USED.value)),
        When(expiry_date__lte=now, then=Value(VoucherStatus.EXPIRED.value)),
        default=Value(VoucherStatus.ACTIVE.value),
        output_field=CharField(),
    )
    unused = Cast("face_value", FloatField()) * F("uses_remaining") / F("total_uses")
    by_status = Voucher.objects.order_by().values("currency", status=status, is_sold=Q(batch=None))
    return list(by_status.annotate(number=Count("pk"), unused=Sum(unused, output_field=FloatField())))


def _all_days(now: datetime) -> Period:
    """From the first row until tomorrow; what lies in the future is not shown to anybody."""
    moments = [
        rows.aggregate(first=Min(moment))["first"]
        for rows, moment in (
            (Transaction.objects.all(), "completed_at"),
            (Voucher.objects.all(), "purchase_date"),
            (VoucherUsage.objects.all(), "used_at"),
        )
    ]
    first = min((moment for moment in moments if moment), default=now)
    return Period(max(timezone.localdate(first), EARLIEST), timezone.localdate(now + timedelta(days=1)))


RULES = (
    Rule(
        "figures_shown",
        "The figures on the dashboard and in the revenue report are the sums over the rows.",
        "figure",
        _check,
    ),
)
