"""The figures of each day, as the dashboard has them, in a file for whoever keeps the books."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from apps.core.exports import Column, Days, DaysInvalid, Kind, Table
from apps.core.money import round_to_currency
from apps.payments.models import Transaction

from . import selectors
from .models import VIEW_FIGURES
from .periods import MOST_DAYS, Period
from .selectors import CurrencySales
from .services.daily_figures import first_day

# The figures of a day in all currencies, by the titles of their columns.
COUNTS: Final = {
    "vouchers issued": "vouchers_issued",
    "of these free": "vouchers_free",
    "of these redeemed": "vouchers_redeemed",
    "of these active now": "vouchers_active",
    "of these used now": "vouchers_used",
    "of these expired now": "vouchers_expired",
    "of these inactive now": "vouchers_inactive",
    "redemptions": "redemptions",
    "reversals": "reversals",
    "first uses": "first_uses",
}
# The sums of a day in a currency. The first four are of the day's purchases, whenever money went back; the last two are
# what went back on the day, of whichever purchases.
MONEY: Final = {
    "revenue": "revenue",
    "refunded": "refunded",
    "net": "net",
    "goodwill": "goodwill",
    "refunds of the day": "refunds_paid",
    "disputes lost on the day": "disputes_lost",
}

BREAKAGE: Final = "expired unused on the day"  # of vouchers that were paid for


class DailyFiguresTable(Table):
    """A row for each day and currency. What is counted over all currencies stands in the day's first row alone."""

    def rows(self, queryset: Any, *, at: datetime) -> Iterator[list[Any]]:
        """The cells of each row; `queryset` is a Period instead."""
        default = settings.DEFAULT_CURRENCY
        for part in _parts(queryset):
            report = selectors.tally_of_platform(period=part, now=at, currency=default)
            expired: dict[date, dict[str, Decimal]] = defaultdict(dict)
            for each in selectors.breakage_by_day(period=part, now=at):
                expired[each.date][each.currency] = each.amount
            for day in report.by_day:
                figures, breakage = day.figures, expired[day.date]
                counts = [getattr(figures, name) for name in ("purchases", *COUNTS.values())]
                counts.append(round(figures.first_use_time / timedelta(seconds=1)))
                yield [day.date, default, *_money(figures, default, breakage), *counts]
                for currency in sorted({*figures.beside, *breakage} - {default}):
                    sales = figures.beside.get(currency, CurrencySales(currency))
                    yield [day.date, currency, *_money(sales, currency, breakage), *(None for _ in counts)]


DAILY_FIGURES: Final = DailyFiguresTable(
    name="daily figures",
    model=Transaction,
    permission=VIEW_FIGURES,
    columns=(
        Column("day", kind=Kind.DAY),
        Column("currency"),
        *(Column(name, kind=Kind.AMOUNT) for name in (*MONEY, BREAKAGE)),
        *(Column(name, kind=Kind.INTEGER) for name in ("purchases", *COUNTS)),
        Column("seconds to first use, in all", kind=Kind.INTEGER),
    ),
    days=(Days("of days", "day", holds_dates=True),),
)


def period_of(first: date | None, last: date | None) -> Period:
    """The days from `first` to `last`, but for those to come; by default from the first that has figures to today.

    Raises DaysInvalid if there is no such day.
    """
    today = timezone.localdate()
    last = min(last or today, today)
    first = first or min(first_day(), last)
    if first > last or first.year < 1970:
        raise DaysInvalid
    return Period(first, last)


def _parts(period: Period) -> Iterator[Period]:
    """The period in stretches that are not longer than a dashboard's."""
    first = period.first
    while first <= period.last:
        last = min(first + timedelta(days=MOST_DAYS - 1), period.last)
        yield Period(first, last)
        first = last + timedelta(days=1)


def _money(sales: Any, currency: str, breakage: dict[str, Decimal]) -> list[Any]:
    amounts = [getattr(sales, name) for name in MONEY.values()]
    return [round_to_currency(each, currency) for each in (*amounts, breakage.get(currency, Decimal(0)))]
