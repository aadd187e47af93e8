"""The figures of a period as people look at them: the dashboard, the report on revenue."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from apps.analytics.periods import Period
from apps.core.snapshots import one_moment
from apps.users.models import User
from apps.vouchers.selectors import Refusals, refusals_on

from .events import Event, recent_events
from .metrics import MetricsReport
from .obligations import DayBreakage, Obligations, breakage_by_day, obligations
from .people import UserFigures, user_figures
from .reports import figures_of


@dataclass(frozen=True)
class Dashboard:
    """See the package. `users` and `refusals` are of the platform only."""

    scope: Literal["platform", "personal"]
    currency: str
    period: Period
    tally: MetricsReport
    recent: list[Event]
    users: UserFigures | None
    refusals: list[Refusals] | None


@dataclass(frozen=True)
class Revenue:
    """The sales of a period and what expired in it, and the obligations as they are now, first those in `currency`."""

    currency: str
    period: Period
    tally: MetricsReport
    obligations: Obligations
    other_currencies: list[Obligations]
    breakage_by_day: list[DayBreakage]


def dashboard(*, owner: User | None, period: Period, now: datetime, currency: str) -> Dashboard:
    """The figures of one owner, or of the platform if it is None, with the last events of the period."""
    with one_moment() if owner is None else nullcontext():
        tally = figures_of(period=period, now=now, currency=currency, owner=owner, brief=True)
        return Dashboard(
            scope="platform" if owner is None else "personal",
            currency=currency,
            period=period,
            tally=tally,
            recent=recent_events(owner, period, tally.by_day),
            users=user_figures(period) if owner is None else None,
            refusals=refusals_on(period.first, period.last) if owner is None else None,
        )


def revenue(*, period: Period, now: datetime, currency: str) -> Revenue:
    """The platform's sales in the period, and what it owes now."""
    with one_moment():
        first, *others = obligations(now=now, currency=currency)
        tally = figures_of(period=period, now=now, currency=currency)
        return Revenue(
            currency=currency,
            period=period,
            tally=replace(tally, by_type=[each for each in tally.by_type if each.figures.has_sales]),
            obligations=first,
            other_currencies=others,
            breakage_by_day=breakage_by_day(period=period, now=now),
        )


def tally_of_platform(*, period: Period, now: datetime, currency: str) -> MetricsReport:
    """All figures of the platform, without the events."""
    return figures_of(period=period, now=now, currency=currency)
