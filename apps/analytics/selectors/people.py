"""How many people there are, and how many of them did something."""

from dataclasses import dataclass

from django.db.models import Count

from apps.analytics.periods import Period
from apps.users.models import User
from apps.vouchers.selectors import without_reversed

from .rows import Books, within


@dataclass(frozen=True)
class UserFigures:
    """All accounts, those created in the period, and those that bought, redeemed or last signed in in it."""

    total: int
    new: int
    active: int


def user_figures(period: Period) -> UserFigures:
    """Active users as a union of ids: sub-selects under OR that are large would be read again for each user."""
    books, ranges = Books(), [(period.start, period.end)]
    was_here = User.objects.order_by().filter(within("last_login", ranges)).values("pk")
    buyers = books.transactions.filter(within("completed_at", ranges)).values("user")
    redeemers = without_reversed(books.usages.filter(within("used_at", ranges))).values("user")
    return UserFigures(
        **User.objects.aggregate(total=Count("pk"), new=Count("pk", filter=within("date_joined", ranges))),
        active=was_here.union(buyers, redeemers).count(),
    )
