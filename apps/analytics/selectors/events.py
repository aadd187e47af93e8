"""The last purchases and redemptions of a period."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal

from django.db.models import BigAutoField, DateTimeField, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from apps.analytics.periods import Period
from apps.core.prepared_queries import Parameter, PreparedRangeQuery
from apps.users.models import User
from apps.vouchers.selectors import without_reversed

from .rows import Books, within

RECENT: Final = 10


@dataclass(frozen=True)
class Event:
    """A purchase, or a redemption, which has no amount. It names no code."""

    type: Literal["purchase", "redemption"]
    at: datetime
    voucher_type: str
    quantity: int
    amount: Decimal | None = None
    currency: str | None = None


def recent_events(owner: User | None, period: Period) -> list[Event]:
    """The last ten events of the period, the newest first. Two queries."""
    values: dict[str, Any] = {"start": period.start, "end": period.end}
    if owner is not None:
        values["owner"] = owner.pk
    purchases, redemptions = _PLATFORM if owner is None else _OWNER
    events = [*purchases.rows(**values), *redemptions.rows(**values)]
    return sorted(events, key=lambda event: event.at, reverse=True)[:RECENT]


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
