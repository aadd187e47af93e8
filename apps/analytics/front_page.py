"""The admin's front page: how the platform does."""

import json
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from . import periods, selectors

CHART_DAYS: Final = 14


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures and the chart to the context of `front_page.html` (UNFOLD's DASHBOARD_CALLBACK)."""
    now = timezone.now()
    currency = settings.DEFAULT_CURRENCY
    period = periods.days_until(timezone.localdate(now))
    tally = selectors.tally_of_platform(period=period, now=now, currency=currency)
    owed = selectors.obligations(now=now, currency=currency)
    totals, today = tally.totals, tally.by_day[-1].figures
    lately = f"In the last {period.length} days"
    context["figures"] = [
        ("Sales today", _money(today.revenue), f"Purchases: {today.purchases:,}"),
        ("Revenue", _money(totals.revenue), f"{lately}; refunded: {_money(totals.refunded)}"),
        ("Vouchers issued", f"{totals.vouchers_issued:,}", lately),
        ("Redemptions", f"{totals.redemptions:,}", lately),
        ("Active vouchers", f"{selectors.vouchers_active(now):,}", "Redeemable now"),
        ("Outstanding", _money(owed.outstanding_liability), "Paid for, and can still be redeemed"),
    ]
    context["chart_title"] = f"Sales in the last {CHART_DAYS} days, {currency}"
    context["chart"] = _chart(tally.by_day[-CHART_DAYS:])
    return context


def _chart(days: list[selectors.DayFigures]) -> str:
    return json.dumps(
        {
            "labels": [f"{day.date:%b} {day.date.day}" for day in days],
            "datasets": [
                {
                    "label": "Sales",
                    "data": [str(day.figures.revenue) for day in days],
                    "backgroundColor": "var(--color-primary-600)",
                    "borderRadius": 4,
                    "maxBarThickness": 28,
                    "displayYAxis": True,
                    "maxTicksXLimit": CHART_DAYS,
                }
            ],
        }
    )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f} {settings.DEFAULT_CURRENCY}"
