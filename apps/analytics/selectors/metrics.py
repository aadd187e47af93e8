"""Sums over rows: of a day, of a voucher type, of a period."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from apps.vouchers.states import VoucherStatus

CENT: Final = Decimal("0.01")
ZERO: Final = Decimal("0.00")
RATE: Final = Decimal("0.0001")

# Figures by name. A name in MONEY is a sum in one currency, one in COUNTS a number over all of them.
MONEY: Final = ("revenue", "refunded", "goodwill", "refunds_paid", "disputes_lost")
COUNTS: Final = (
    "purchases",
    "vouchers_issued",
    "vouchers_free",
    "vouchers_redeemed",
    *(f"vouchers_{status}" for status in VoucherStatus),
    "redemptions",
    "reversals",
    "first_uses",
)
TIME: Final = "first_use_time"
NAMES: Final = (*MONEY, *COUNTS, TIME)
OF_PLATFORM: Final = ("refunds_paid", "disputes_lost", "reversals")  # no query for what nobody reads
OF_OWNER: Final = tuple(name for name in NAMES if name not in OF_PLATFORM)
# Those that a dashboard shows of a day. A year of them is read, added up and written in half the time of all.
OF_SERIES: Final = ("revenue", "refunded", "goodwill", "purchases", "vouchers_issued", "redemptions")


def names_of(*, of_platform: bool, brief: bool) -> tuple[str, ...]:
    """The figures that are read: `brief`, as a dashboard shows them, without those in OF_PLATFORM."""
    return NAMES if of_platform and not brief else OF_OWNER


Row = Mapping[str, Any]  # figures by name, with the `currency` of its money


@dataclass
class CurrencySales:
    """What was paid in one currency, and what of it went back. See the package for the words."""

    currency: str
    revenue: Decimal = ZERO
    refunded: Decimal = ZERO
    goodwill: Decimal = ZERO
    refunds_paid: Decimal = ZERO
    disputes_lost: Decimal = ZERO

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return any(getattr(self, name) for name in MONEY)

    @property
    def net(self) -> Decimal:
        return self.revenue - self.refunded


@dataclass
class Metrics:
    """What happened on a day, with a type, or in all. Money is in `currency`, and in `beside` by other currencies."""

    currency: str = ""
    purchases: int = 0
    revenue: Decimal = ZERO
    refunded: Decimal = ZERO
    goodwill: Decimal = ZERO
    refunds_paid: Decimal = ZERO
    disputes_lost: Decimal = ZERO
    vouchers_issued: int = 0
    vouchers_free: int = 0
    vouchers_redeemed: int = 0
    vouchers_active: int = 0
    vouchers_used: int = 0
    vouchers_expired: int = 0
    vouchers_inactive: int = 0
    redemptions: int = 0
    reversals: int = 0
    first_uses: int = 0
    first_use_time: timedelta = timedelta(0)
    beside: dict[str, CurrencySales] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.beside) or any(getattr(self, name) for name in NAMES)

    @property
    def has_sales(self) -> bool:
        """Whether something was sold, or went back."""
        return bool(self.beside or self.purchases or self.refunds_paid or self.disputes_lost)

    @property
    def net(self) -> Decimal:
        return self.revenue - self.refunded

    @property
    def other_currencies(self) -> list[CurrencySales]:
        """Sales in other currencies, by their code."""
        return [self.beside[currency] for currency in sorted(self.beside)] if self.beside else []

    @property
    def other_sales(self) -> list[CurrencySales]:
        """Those of them with revenue, and not only with money that went back of the sales of other days."""
        return [sales for sales in self.other_currencies if sales.revenue] if self.beside else []

    @property
    def redemption_rate(self) -> Fraction | None:
        """The share of the vouchers issued that were redeemed, once at least; None where none was issued."""
        return Fraction(self.vouchers_redeemed, self.vouchers_issued) if self.vouchers_issued else None

    @property
    def redemption_share(self) -> Decimal | None:
        """The same to four places."""
        if self.redemption_rate is None:
            return None
        return (Decimal(self.vouchers_redeemed) / self.vouchers_issued).quantize(RATE)

    @property
    def time_to_first_use(self) -> timedelta | None:
        """From issue to first use, on average over the first uses; None where there was none."""
        return self.first_use_time / self.first_uses if self.first_uses else None

    @property
    def seconds_to_first_use(self) -> int | None:
        """The same to the second."""
        time = self.time_to_first_use
        return None if time is None else round(time.total_seconds())

    def drop_empty_currencies(self) -> None:
        """Forget currencies in which sums have come to nothing."""
        if self.beside:
            self.beside = {currency: sales for currency, sales in self.beside.items() if sales}

    def add(self, row: Row) -> None:
        """Add those figures that the row has. What is free has no currency to stand beside another."""
        own = self.__dict__
        for name, value in row.items():
            if not value:
                continue
            if name in _MONEY:
                if row["currency"] == self.currency:
                    own[name] += value
                else:
                    beside = self.beside.setdefault(row["currency"], CurrencySales(row["currency"]))
                    beside.__dict__[name] += value
            elif name in _OTHERS:
                own[name] += value


_MONEY: Final = frozenset(MONEY)
_OTHERS: Final = frozenset((*COUNTS, TIME))


@dataclass(frozen=True)
class DayFigures:
    date: date
    figures: Metrics


class SoldType(NamedTuple):
    """A voucher type, under the name that it has today."""

    id: int
    name: str
    service_type: str


@dataclass(frozen=True)
class TypeFigures:
    voucher_type: SoldType
    figures: Metrics


@dataclass(frozen=True)
class MetricsReport:
    """The figures of a period: in all, for every day of it, and for every type with any, by name."""

    totals: Metrics
    by_day: list[DayFigures]
    by_type: list[TypeFigures]


def cents(value: Decimal | None) -> Decimal:
    """A sum of the database to the cent: SQLite adds decimals as floats."""
    return (value or Decimal(0)).quantize(CENT)
