"""The last purchases and redemptions of a period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal

from django.db.models import BigAutoField, DateTimeField, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from apps.analytics.periods import Period
from apps.core.prepared_queries import Parameter, PreparedRangeQuery
from apps.users.models import User
from apps.vouchers.selectors import without_reversed

from .metrics import DayFigures
from .rows import Books, within

RECENT: Final = 10
_OTHER_RULES: Final = timedelta(hours=2)


@dataclass(frozen=True)
class Event:
    """A purchase, or a redemption, which has no amount. It names no code."""

    type: Literal["purchase", "redemption"]
    at: datetime
    voucher_type: str
    quantity: int
    amount: Decimal | None = None
    currency: str | None = None


def recent_events(owner: User | None, period: Period, by_day: Sequence[DayFigures]) -> list[Event]:
    """The last ten events of the period, the newest first. Two queries, or one where `by_day` has no redemptions.

    `by_day` are the figures of its days. Redemptions are read from the newest on, and of one owner between those of all
    others: so only on the days on which the owner's last ten were.
    """
    purchases, redemptions = _PLATFORM if owner is None else _OWNER
    of_owner = {} if owner is None else {"owner": owner.pk}
    events = purchases.rows(**of_owner, start=period.start, end=period.end)
    redeemed = period if owner is None else _last_redemptions(by_day)
    if redeemed is not None:
        # The database may know other rules for the time zone than Python does.
        start = max(period.start, redeemed.start - _OTHER_RULES)
        end = min(period.end, redeemed.end + _OTHER_RULES)
        events += redemptions.rows(**of_owner, start=start, end=end)
    return sorted(events, key=lambda event: event.at, reverse=True)[:RECENT]


def _last_redemptions(by_day: Sequence[DayFigures]) -> Period | None:
    """The days of the last RECENT redemptions, or of all if there are fewer; None if there is none."""
    days: list[date] = []
    number = 0
    for day in reversed(by_day):
        if number < RECENT and day.figures.redemptions:
            days.append(day.date)
            number += day.figures.redemptions
    return Period(days[-1], days[0]) if days else None


def _purchases(start: Any, end: Any, owner: Parameter | None = None) -> QuerySet[Any, Any]:
    rows = Books(owner).transactions.filter(within("completed_at", [(start, end)]))
    columns = ("completed_at", _sold_as(""), "quantity", "amount", "currency")
    return rows.order_by("-completed_at", "-id").values_list(*columns)[:RECENT]


def _redemptions(start: Any, end: Any, owner: Parameter | None = None) -> QuerySet[Any, Any]:
    rows = without_reversed(Books(owner).usages.filter(within("used_at", [(start, end)])))
    return rows.order_by("-used_at", "-id").values_list("used_at", _sold_as("voucher__"))[:RECENT]


def _sold_as(path: str) -> Coalesce:
    """The name under which what stands at the end of `path` was sold: see vouchers.type_names.WithTypeName."""
    return Coalesce(NullIf(f"{path}type_name", Value("")), f"{path}voucher_type__name")


def _queries(**fields: Any) -> tuple[PreparedRangeQuery[Event], PreparedRangeQuery[Event]]:
    """Of purchases, and of redemptions."""
    return (
        PreparedRangeQuery(partial(Event, "purchase"), _purchases, **_RANGE, **fields),
        PreparedRangeQuery(
            lambda at, name: Event("redemption", at, name, quantity=1), _redemptions, **_RANGE, **fields
        ),
    )


_RANGE: Final = {"start": DateTimeField(), "end": DateTimeField()}
_PLATFORM: Final = _queries()
_OWNER: Final = _queries(owner=BigAutoField())
