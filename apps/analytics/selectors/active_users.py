"""How many users were active in a period: bought, redeemed, or signed in for the last time.

Who did something since it was counted, or had it taken back, is looked up in the rows, and what the roll-up says of
them is left out. Looking up more users than these does no harm.
"""

from datetime import datetime
from typing import Any, Final

from django.db.models import Count, DateField, DateTimeField, Exists, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from apps.analytics.models import ActiveDay, ActiveGap, ErasedSignIn
from apps.analytics.periods import ALL_DAYS, Period
from apps.core.prepared_queries import PreparedQuery
from apps.payments.models import Transaction
from apps.users.models import User
from apps.vouchers.models import UsageReversal, VoucherUsage
from apps.vouchers.selectors import without_reversed

from .named_rows import NamedIds
from .rows import AnyRanges, Books, Moment, within


def gaps_of(first: Any, last: Any, *, by_begin: bool) -> QuerySet[ActiveGap]:
    """The gaps of which everybody has exactly one who was active from one day to another, as the roll-up has it.

    Those that begin in these days and end after them, or those that end in them and began before.
    """
    if by_begin:
        return ActiveGap.objects.filter(next_day__gt=last, previous_day__gte=first, previous_day__lte=last)
    return ActiveGap.objects.filter(next_day__gte=first, next_day__lte=last, previous_day__lt=first)


def is_counted_by_begin(period: Period) -> bool:
    """Which of the two kinds of gaps are fewer to read."""
    return (timezone.localdate() - period.last).days <= period.length


def active_difference(period: Period, since: datetime) -> int:
    """What has to be added to the number of active users in the roll-up, as something happened since. One query."""
    days, moments = {"first": period.first, "last": period.last}, {"start": period.start, "end": period.end}
    return _DIFFERENCE.first(since=since, **days, **moments) or 0


def count_rows(period: Period) -> int:
    """How many different users were active in the period, from nothing but the rows. One query.

    As a union of ids: sub-selects under OR that are large would be read again for each user.
    """
    ranges = [(period.start, period.end)]
    was_here = User.objects.order_by().filter(within("last_login", ranges)).values("pk")
    return was_here.union(_purchases(ranges).values("user"), _uses(ranges).values("user")).count()


def _difference(since: Any, first: Any, last: Any, start: Any, end: Any) -> QuerySet[Any, Any]:
    """Of the users who changed: how many were active, less how many the roll-up counts as active."""
    ranges = [(start, end)]
    active = within("last_login", ranges)
    for rows in (_purchases(ranges), _uses(ranges)):
        active |= Q(Exists(rows.filter(user=OuterRef("pk"))))
    noted = Exists(ActiveDay.objects.filter(user=OuterRef("pk"), day__gte=first, day__lte=last))
    users = User.objects.filter(pk__in=NamedIds(_changed_users(since))).order_by().values(all=Value(1))
    difference = Count("pk", filter=active) - Count("pk", filter=Q(noted))
    return users.annotate(difference=difference).values_list("difference")


_DIFFERENCE: Final = PreparedQuery(
    int,
    _difference,
    since=DateTimeField(),
    first=DateField(),
    last=DateField(),
    start=DateTimeField(),
    end=DateTimeField(),
)


def _changed_users(since: Moment) -> QuerySet[Any, Any]:
    """The ids of all users who bought, redeemed or signed in since, or had a use or their last sign-in taken back."""
    new = [(since, ALL_DAYS.end)]
    bought = Transaction.objects.filter(within("completed_at", new)).order_by().values_list("user_id")
    return bought.union(
        VoucherUsage.objects.filter(within("used_at", new)).order_by().values_list("user_id"),
        UsageReversal.objects.filter(within("reversed_at", new)).order_by().values_list("usage__user_id"),
        User.objects.filter(within("last_login", new)).order_by().values_list("pk"),
        ErasedSignIn.objects.order_by().values_list("user_id"),
    )


def _purchases(ranges: AnyRanges) -> QuerySet[Any]:
    return Books().transactions.filter(within("completed_at", ranges))


def _uses(ranges: AnyRanges) -> QuerySet[Any]:
    return without_reversed(Books().usages.filter(within("used_at", ranges)))
