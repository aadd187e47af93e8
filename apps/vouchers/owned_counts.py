"""How many vouchers an owner has, as a column of a query.

To count a hundred thousand takes ten times as long as to read a page of them. Whoever keeps such numbers, as the
roll-up of figures does, registers them here, and what was issued since is counted.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.db.models import BigIntegerField, DateTimeField, QuerySet, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from apps.core.prepared_queries import count_subquery

from .models import Voucher

BEFORE_ALL: Final = Value(datetime(1900, 1, 1, tzinfo=UTC), DateTimeField())


class KeptNumber(NamedTuple):
    """Queries of one column: how many vouchers an owner had, and until when. Of no row where this is not known."""

    number: QuerySet[Any, Any]
    until: QuerySet[Any, Any]


KeptNumberOf = Callable[[Any, Any], KeptNumber]

_registered: list[KeptNumberOf] = []


def register(kept_number: KeptNumberOf) -> None:
    """Register where kept numbers are read, from the `ready` of an AppConfig.

    `kept_number` gets an owner's id and the time, or Parameters for them. Its number is that of all vouchers that the
    owner has of those issued before `until`; whoever gives vouchers to another owner has the app forget it before
    (services/reassignment.py).
    """
    _registered.append(kept_number)


def number_of_vouchers(owner: Any, now: Any) -> Combinable:
    """The number of vouchers of an owner at `now`."""
    vouchers = Voucher.objects.filter(user=owner)
    if not _registered:
        return count_subquery(vouchers)
    kept = _registered[0](owner, now)
    since = vouchers.filter(purchase_date__gte=Coalesce(Subquery(kept.until), BEFORE_ALL))
    return Coalesce(Subquery(kept.number, output_field=BigIntegerField()), 0) + count_subquery(since)
