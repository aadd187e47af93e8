"""How many users were active in a period: bought, redeemed, or signed in for the last time.

Who did something since it was counted, or had it taken back, is looked up in the rows, and what the roll-up says of
them is left out. Looking up more users than these does no harm.
"""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from apps.analytics.models import ActiveDay, ActiveGap, ErasedSignIn, FiguresState
from apps.analytics.periods import Period
from apps.payments.models import Transaction
from apps.users.models import User
from apps.vouchers.models import UsageReversal, VoucherUsage
from apps.vouchers.selectors import without_reversed

from .rows import Books, Ranges, within


def active_users(period: Period) -> int:
    """How many different users were active in the period. To be called in `one_moment()`."""
    since = counted_until()
    if since is None:
        return count_rows(period)
    number = counted_users(period)
    users = changed_users(since)
    if users:
        noted = ActiveDay.objects.filter(user__in=users, day__gte=period.first, day__lte=period.last)
        number += _active_among(users, period) - noted.order_by().values("user").distinct().count()
    return number


def counted_until() -> datetime | None:
    """Until when active days are counted, or None if they are not."""
    zone, now = timezone.get_default_timezone_name(), timezone.now()
    states = FiguresState.objects.filter(time_zone=zone, counted_until__lte=now)  # as coverage_of
    return states.values_list("active_until", flat=True).first()


def counted_users(period: Period) -> int:
    """How many users were active in the period according to the roll-up.

    By the gaps that begin in the period, or by those that end in it, whichever are fewer to read.
    """
    if (timezone.localdate() - period.last).days <= period.length:
        gaps = Q(next_day__gt=period.last, previous_day__gte=period.first, previous_day__lte=period.last)
    else:
        gaps = Q(next_day__gte=period.first, next_day__lte=period.last, previous_day__lt=period.first)
    return ActiveGap.objects.filter(gaps).aggregate(number=Sum("users"))["number"] or 0


def changed_users(since: datetime) -> list[int]:
    """The ids of all users who bought, redeemed or signed in since, or had a use or their last sign-in taken back."""
    bought = Transaction.objects.filter(completed_at__gte=since).order_by().values_list("user_id")
    changed = bought.union(
        VoucherUsage.objects.filter(used_at__gte=since).order_by().values_list("user_id"),
        UsageReversal.objects.filter(reversed_at__gte=since).order_by().values_list("usage__user_id"),
        User.objects.filter(last_login__gte=since).order_by().values_list("pk"),
        ErasedSignIn.objects.values_list("user_id"),
    )
    return [user for (user,) in changed]


def count_rows(period: Period) -> int:
    """The same from nothing but the rows.

    As a union of ids: sub-selects under OR that are large would be read again for each user.
    """
    ranges = [(period.start, period.end)]
    was_here = User.objects.order_by().filter(within("last_login", ranges)).values("pk")
    return was_here.union(_purchases(ranges).values("user"), _uses(ranges).values("user")).count()


def _active_among(users: list[int], period: Period) -> int:
    """How many of these users were active, from the rows. For each of them one row is enough."""
    ranges = [(period.start, period.end)]
    active = within("last_login", ranges)
    for rows in (_purchases(ranges), _uses(ranges)):
        active |= Q(Exists(rows.filter(user=OuterRef("pk"))))
    return User.objects.filter(active, pk__in=users).count()


def _purchases(ranges: Ranges) -> QuerySet[Any]:
    return Books().transactions.filter(within("completed_at", ranges))


def _uses(ranges: Ranges) -> QuerySet[Any]:
    return without_reversed(Books().usages.filter(within("used_at", ranges)))
