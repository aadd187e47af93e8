"""The admin's front page: how the platform does."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from apps.core.money import format_amount

from . import periods, selectors
from .models import VIEW_FIGURES

CHART_DAYS: Final = 14


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures and the charts to the context of `front_page.html` (UNFOLD's DASHBOARD_CALLBACK).

    Nothing is counted for staff without the permission to view figures.
    """
    if not request.user.has_perm(VIEW_FIGURES):
        return context
    now = timezone.now()
    currency = settings.DEFAULT_CURRENCY
    period = periods.days_until(timezone.localdate(now))
    tally = selectors.tally_of_platform(period=period, now=now, currency=currency)
    owed = selectors.obligations(now=now, currency=currency)
    totals, today = tally.totals, tally.by_day[-1].figures
    lately = f"In the last {period.length} days"
    context["figures"] = [
        ("Sales today", _revenue(today), f"Purchases: {today.purchases:,}"),
        ("Revenue", _revenue(totals), f"{lately}; refunded: {_refunded(totals)}"),
        ("Vouchers issued", f"{totals.vouchers_issued:,}", lately),
        ("Redemptions", f"{totals.redemptions:,}", lately),
        ("Active vouchers", f"{selectors.vouchers_active(now):,}", "Redeemable now"),
        (
            "Outstanding",
            _money((each.outstanding_liability, each.currency) for each in owed),
            "Paid for, and can still be redeemed; issued without a payment: "
            + _money((each.unpaid_outstanding, each.currency) for each in owed),
        ),
    ]
    days = tally.by_day[-CHART_DAYS:]
    others = sorted({other for day in days for other in day.figures.beside})
    context["charts"] = [
        (f"Sales in the last {CHART_DAYS} days, {each}", _chart(days, each)) for each in (currency, *others)
    ]
    return context


def _chart(days: list[selectors.DayFigures], currency: str) -> str:
    return json.dumps(
        {
            "labels": [f"{day.date:%b} {day.date.day}" for day in days],
            "datasets": [
                {
                    "label": "Sales",
                    "data": [str(_sold(day.figures, currency)) for day in days],
                    "backgroundColor": "var(--color-primary-600)",
                    "borderRadius": 4,
                    "maxBarThickness": 28,
                    "displayYAxis": True,
                    "maxTicksXLimit": CHART_DAYS,
                }
            ],
        }
    )


def _sold(figures: selectors.Metrics, currency: str) -> Decimal:
    if currency == settings.DEFAULT_CURRENCY:
        return figures.revenue
    return figures.beside.get(currency, selectors.CurrencySales(currency)).revenue


def _revenue(figures: selectors.Metrics) -> str:
    others = ((other.revenue, other.currency) for other in figures.other_currencies)
    return _money([(figures.revenue, settings.DEFAULT_CURRENCY), *others])


def _refunded(figures: selectors.Metrics) -> str:
    others = ((other.refunded, other.currency) for other in figures.other_currencies)
    return _money([(figures.refunded, settings.DEFAULT_CURRENCY), *others])


def _money(amounts: Iterable[tuple[Decimal, str]]) -> str:
    """The amount in the default currency, which is the first, and those in others beside it, unless they are zero."""
    first, *others = amounts
    return " · ".join(format_amount(*each) for each in (first, *(each for each in others if each[0])))
