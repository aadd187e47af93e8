"""Figures counted from the rows at each request.

What they mean, for the platform or for one owner:

* A purchase is a paid transaction (completed or refunded), at the moment its money arrived (`completed_at`).
* Revenue, or gross, is the amount of these purchases; refunded is what of this amount went back since,
  whenever that was, so both belong to the day of the purchase. Net is revenue less refunded. Goodwill is the part
  of refunded that no voucher is void for.
* A voucher is issued on its `purchase_date`. The vouchers issued in the period are active, used, expired or
  inactive as they are now, and these four add up to them.
* A redemption is one use, at its `used_at`, unless it was reversed since, whenever that was. An owner's
  redemptions are the uses of the vouchers that they own, whoever redeemed them, as in the voucher statistics.
* Money is counted in one currency, and that in each other one stands beside it; purchases, vouchers and redemptions
  are counted in all of them.
* Days are those of the project's time zone.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, NullIf, TruncDate
from django.utils import timezone

from apps.payments.models import Transaction
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherStatus, VoucherType, VoucherUsage, status_condition
from apps.vouchers.selectors import without_reversed

from .periods import Period

CENT: Final = Decimal("0.01")
RECENT: Final = 10

Row = Mapping[str, Any]


@dataclass
class CurrencySales:
    """What was paid in one currency, and what of it went back since."""

    currency: str
    revenue: Decimal = Decimal("0.00")
    refunded: Decimal = Decimal("0.00")
    goodwill: Decimal = Decimal("0.00")

    @property
    def net(self) -> Decimal:
        return self.revenue - self.refunded


@dataclass
class Metrics:
    """What happened on a day, with a type, or in all. Money is in the default currency, and `beside` it by others."""

    purchases: int = 0
    revenue: Decimal = Decimal("0.00")
    refunded: Decimal = Decimal("0.00")
    goodwill: Decimal = Decimal("0.00")
    vouchers_issued: int = 0
    vouchers_active: int = 0
    vouchers_used: int = 0
    vouchers_expired: int = 0
    vouchers_inactive: int = 0
    redemptions: int = 0
    beside: dict[str, CurrencySales] = field(default_factory=dict)

    @property
    def net(self) -> Decimal:
        return self.revenue - self.refunded

    @property
    def other_currencies(self) -> list[CurrencySales]:
        """Sales in other currencies, by their code."""
        return [self.beside[currency] for currency in sorted(self.beside)]

    def add(self, row: Row) -> None:
        """Add those figures that the row has; its money is in its `other_currency`, or in the default one."""
        money: Metrics | CurrencySales = self
        if other := row.get("other_currency"):
            money = self.beside.setdefault(other, CurrencySales(other))
        for name in row.keys() & _COUNTS:
            setattr(self, name, getattr(self, name) + row[name])
        for name in row.keys() & _MONEY:
            setattr(money, name, getattr(money, name) + row[name])


_MONEY: Final = {"revenue", "refunded", "goodwill"}
_COUNTS: Final = {
    "purchases",
    "vouchers_issued",
    *(f"vouchers_{status}" for status in VoucherStatus),
    "redemptions",
}


@dataclass(frozen=True)
class DayFigures:
    date: date
    figures: Metrics


@dataclass(frozen=True)
class TypeFigures:
    voucher_type: VoucherType
    figures: Metrics


@dataclass(frozen=True)
class MetricsReport:
    """The figures of a period: in all, for every day of it, and for every type with any, by name."""

    totals: Metrics
    by_day: list[DayFigures]
    by_type: list[TypeFigures]


@dataclass(frozen=True)
class Event:
    """A purchase, or a redemption, which has no amount. It names no code."""

    type: Literal["purchase", "redemption"]
    at: datetime
    voucher_type: str
    quantity: int
    amount: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True)
class UserFigures:
    """All accounts, those created in the period, and those that bought, redeemed or last signed in in it."""

    total: int
    new: int
    active: int


@dataclass(frozen=True)
class Dashboard:
    """See the module. `users` is of the platform only."""

    scope: Literal["platform", "personal"]
    currency: str
    period: Period
    tally: MetricsReport
    recent: list[Event]
    users: UserFigures | None


@dataclass(frozen=True)
class Obligations:
    """The worth of unused uses in one currency: those that can still be redeemed, and those that expired.

    Of vouchers that were paid for; and apart from them, of those in batches, for which nobody paid.
    """

    currency: str
    outstanding_liability: Decimal
    breakage: Decimal
    unpaid_outstanding: Decimal
    unpaid_expired: Decimal


@dataclass(frozen=True)
class Revenue:
    """The sales of a period, and the obligations as they are now, first those in `currency`."""

    currency: str
    period: Period
    tally: MetricsReport
    obligations: Obligations
    other_currencies: list[Obligations]


@dataclass(frozen=True)
class _Scope:
    """The rows to count."""

    transactions: QuerySet[Transaction]
    vouchers: QuerySet[Voucher]
    usages: QuerySet[VoucherUsage]


def dashboard(*, owner: User | None, period: Period, now: datetime, currency: str) -> Dashboard:
    """The figures of one owner, or of the platform if it is None, with the last events of the period."""
    books = _books_of(owner)
    return Dashboard(
        scope="platform" if owner is None else "personal",
        currency=currency,
        period=period,
        tally=_whole_tally(books, period, now, currency),
        recent=_recent(books, period),
        users=_users(period) if owner is None else None,
    )


def tally_of_platform(*, period: Period, now: datetime, currency: str) -> MetricsReport:
    """All figures of the platform, without the events."""
    return _whole_tally(_books_of(None), period, now, currency)


def revenue(*, period: Period, now: datetime, currency: str) -> Revenue:
    """The platform's sales in the period, and what it owes now."""
    first, *others = obligations(now=now, currency=currency)
    return Revenue(
        currency=currency,
        period=period,
        tally=_tally(_sales(_books_of(None), period, currency), period),
        obligations=first,
        other_currencies=others,
    )


def obligations(*, now: datetime, currency: str) -> list[Obligations]:
    """Outstanding liability and breakage at `now`, in `currency` first, then in others: see Obligations.

    They are the unused part of what active and expired vouchers cost: face value × uses remaining / total uses. It
    is summed without rounding, and the total rounded to the cent, half up. A voucher that is used up or inactive is
    in neither. What belongs to no batch was sold (the audit's rule voucher_origin).
    """
    value = F("face_value") * F("uses_remaining")
    active = status_condition(VoucherStatus.ACTIVE, now)
    expired = status_condition(VoucherStatus.EXPIRED, now)
    # Divided here and not in the database, which would round each quotient.
    rows = list(
        Voucher.objects.filter(active | expired, face_value__gt=0)
        .order_by()
        .values("currency", "total_uses", is_sold=Q(batch=None))
        .annotate(active=Sum(value, filter=active), expired=Sum(value, filter=expired))
    )

    def unused(currency: str, column: Literal["active", "expired"], *, sold: bool) -> Decimal:
        return _quotients(
            (row[column], row["total_uses"])
            for row in rows
            if row["currency"] == currency and row["is_sold"] == sold
        )

    others = sorted({row["currency"] for row in rows} - {currency})
    return [
        Obligations(
            currency=each,
            outstanding_liability=unused(each, "active", sold=True),
            breakage=unused(each, "expired", sold=True),
            unpaid_outstanding=unused(each, "active", sold=False),
            unpaid_expired=unused(each, "expired", sold=False),
        )
        for each in (currency, *others)
    ]


def vouchers_active(now: datetime) -> int:
    """How many vouchers can be redeemed at `now`, whenever they were issued."""
    return Voucher.objects.redeemable(now).count()


def _books_of(owner: User | None) -> _Scope:
    transactions = Transaction.objects.paid()
    usages = without_reversed(VoucherUsage.objects.all())
    if owner is None:
        return _Scope(transactions, Voucher.objects.all(), usages)
    return _Scope(
        transactions.owned_by(owner),
        Voucher.objects.owned_by(owner),
        usages.filter(voucher__user=owner),
    )


def _whole_tally(books: _Scope, period: Period, now: datetime, currency: str) -> MetricsReport:
    rows = (*_sales(books, period, currency), *_issued(books, period, now), *_redeemed(books, period))
    return _tally(rows, period)


def _sales(books: _Scope, period: Period, currency: str) -> list[Row]:
    rows = _by_day_and_type(books.transactions, "completed_at", "voucher_type_id", period, "currency")
    return [
        {
            **row,
            **{name: _money(row[name]) for name in ("revenue", "refunded", "goodwill")},
            # What is free has no currency to stand beside another.
            "other_currency": row["currency"] if row["currency"] != currency and row["revenue"] else None,
        }
        for row in rows.annotate(
            purchases=Count("pk"),
            revenue=Sum("amount"),
            refunded=Sum("amount_refunded"),
            goodwill=Sum("amount_goodwill"),
        )
    ]


def _issued(books: _Scope, period: Period, now: datetime) -> list[Row]:
    by_status = {
        f"vouchers_{status}": Count("pk", filter=status_condition(status, now)) for status in VoucherStatus
    }
    rows = _by_day_and_type(books.vouchers, "purchase_date", "voucher_type_id", period)
    return list(rows.annotate(vouchers_issued=Count("pk"), **by_status))


def _redeemed(books: _Scope, period: Period) -> list[Row]:
    rows = _by_day_and_type(books.usages, "used_at", "voucher__voucher_type_id", period)
    return list(rows.annotate(redemptions=Count("pk")))


def _by_day_and_type(
    rows: QuerySet[Any], moment: str, type_id: str, period: Period, *columns: str
) -> QuerySet[Any, Any]:
    day = TruncDate(moment, tzinfo=timezone.get_default_timezone())
    return _within(rows, moment, period).order_by().values(*columns, day=day, type_id=F(type_id))


def _within(rows: QuerySet[Any], moment: str, period: Period) -> QuerySet[Any]:
    return rows.filter(_moment_within(moment, period))


def _moment_within(moment: str, period: Period) -> Q:
    return Q(**{f"{moment}__gte": period.start, f"{moment}__lt": period.end})


def _tally(rows: Iterable[Row], period: Period) -> MetricsReport:
    totals = Metrics()
    by_day = {day: Metrics() for day in period.days}
    by_type: dict[int, Metrics] = {}
    for row in rows:
        # Clamped because the database may know other rules for the time zone than Python does.
        for figures in (
            totals,
            by_day[period.clamp(row["day"])],
            by_type.setdefault(row["type_id"], Metrics()),
        ):
            figures.add(row)
    types = VoucherType.objects.filter(pk__in=by_type).order_by("name", "id")
    return MetricsReport(
        totals=totals,
        by_day=[DayFigures(*item) for item in by_day.items()],
        by_type=[TypeFigures(voucher_type, by_type[voucher_type.pk]) for voucher_type in types],
    )


def _recent(books: _Scope, period: Period) -> list[Event]:
    purchases = _within(books.transactions, "completed_at", period).order_by("-completed_at", "-id")
    redemptions = _within(books.usages, "used_at", period).order_by("-used_at", "-id")
    events = [
        Event("purchase", *values)
        for values in purchases.values_list("completed_at", _sold_as(""), "quantity", "amount", "currency")[
            :RECENT
        ]
    ]
    events += [
        Event("redemption", at, name, quantity=1)
        for at, name in redemptions.values_list("used_at", _sold_as("voucher__"))[:RECENT]
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)[:RECENT]


def _sold_as(path: str) -> Coalesce:
    """The name under which what stands at the end of `path` was sold: see vouchers.type_names.WithTypeName."""
    return Coalesce(NullIf(f"{path}type_name", Value("")), f"{path}voucher_type__name")


def _users(period: Period) -> UserFigures:
    """Active users as a union of ids: sub-selects under OR that are large would be read again for each user."""
    books = _books_of(None)
    was_here = _within(User.objects.order_by(), "last_login", period).values("pk")
    buyers = _within(books.transactions.order_by(), "completed_at", period).values("user")
    redeemers = _within(books.usages.order_by(), "used_at", period).values("user")
    joined = _moment_within("date_joined", period)
    return UserFigures(
        **User.objects.aggregate(total=Count("pk"), new=Count("pk", filter=joined)),
        active=was_here.union(buyers, redeemers).count(),
    )


def _money(value: Decimal | None) -> Decimal:
    """A sum of the database to the cent: SQLite adds decimals as floats."""
    return (value or Decimal(0)).quantize(CENT)


def _quotients(parts: Iterable[tuple[Decimal | None, int]]) -> Decimal:
    """The sum of dividend / divisor, exact until it is rounded to the cent, half up."""
    exact = sum((Fraction(_money(dividend)) / divisor for dividend, divisor in parts), Fraction(0))
    return Decimal(math.floor(exact * 100 + Fraction(1, 2))).scaleb(-2)
