"""How many people there are, and how many of them did something."""

from dataclasses import dataclass

from django.db.models import Count

from apps.analytics.periods import Period
from apps.core.snapshots import one_moment
from apps.users.models import User

from .active_users import active_users
from .rows import within


@dataclass(frozen=True)
class UserFigures:
    """All accounts, those created in the period, and those that bought, redeemed or last signed in in it."""

    total: int
    new: int
    active: int


def user_figures(period: Period) -> UserFigures:
    """The users of the platform."""
    created = within("date_joined", [(period.start, period.end)])
    with one_moment():
        return UserFigures(
            **User.objects.aggregate(total=Count("pk"), new=Count("pk", filter=created)),
            active=active_users(period),
        )
