"""The last purchases and redemptions of a period."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf

from apps.analytics.periods import Period
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
    """The last ten events of the period, the newest first."""
    books, ranges = Books(owner), [(period.start, period.end)]
    purchases = books.transactions.filter(within("completed_at", ranges)).order_by("-completed_at", "-id")
    redemptions = without_reversed(books.usages.filter(within("used_at", ranges))).order_by("-used_at", "-id")
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
