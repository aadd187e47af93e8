"""The JSON of a dashboard, equal to what `DashboardOutput` writes; a test compares the two."""

from collections.abc import Iterable
from typing import Any

from apps.core.api.documents import money_text, utc_text

from .selectors import CurrencySales, Dashboard, Event, Metrics


def dashboard_document(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as `DashboardOutput` writes it."""
    period, tally = dashboard.period, dashboard.tally
    document: dict[str, Any] = {
        "scope": dashboard.scope,
        "currency": dashboard.currency,
        "period": {"from": period.first.isoformat(), "to": period.last.isoformat()},
        "totals": _totals(tally.totals),
        "series": [
            {
                "date": day.date.isoformat(),
                "purchases": day.figures.purchases,
                "revenue": money_text(day.figures.revenue),
                "other_currencies": _sales(day.figures.other_sales),
                "vouchers_issued": day.figures.vouchers_issued,
                "redemptions": day.figures.redemptions,
            }
            for day in tally.by_day
        ],
        "by_voucher_type": [
            {
                "voucher_type": {
                    "id": each.voucher_type.id,
                    "name": each.voucher_type.name,
                    "service_type": each.voucher_type.service_type,
                },
                "sold": each.figures.vouchers_issued,
                "revenue": money_text(each.figures.revenue),
                "other_currencies": _sales(each.figures.other_sales),
                "redeemed": each.figures.redemptions,
            }
            for each in tally.by_type
        ],
        "recent": [_event(event) for event in dashboard.recent],
    }
    if users := dashboard.users:
        document["users"] = {"total": users.total, "new": users.new, "active": users.active}
    if dashboard.refusals is not None:
        document["refusals"] = [
            {"reason": each.reason, "service_type": each.service_type, "number": each.number}
            for each in dashboard.refusals
        ]
    return document


def _totals(figures: Metrics) -> dict[str, Any]:
    return {
        "purchases": figures.purchases,
        "revenue": money_text(figures.revenue),
        "refunded": money_text(figures.refunded),
        "goodwill": money_text(figures.goodwill),
        "net": money_text(figures.net),
        "other_currencies": _sales(figures.other_sales),
        "vouchers_issued": figures.vouchers_issued,
        "vouchers_free": figures.vouchers_free,
        "vouchers_redeemed": figures.vouchers_redeemed,
        "redemption_rate": None if (rate := figures.redemption_share) is None else str(rate),
        "vouchers_active": figures.vouchers_active,
        "vouchers_used": figures.vouchers_used,
        "vouchers_expired": figures.vouchers_expired,
        "vouchers_inactive": figures.vouchers_inactive,
        "redemptions": figures.redemptions,
        "seconds_to_first_use": figures.seconds_to_first_use,
    }


def _sales(currencies: Iterable[CurrencySales]) -> list[dict[str, str]]:
    return [
        {
            "currency": sales.currency,
            "revenue": money_text(sales.revenue),
            "refunded": money_text(sales.refunded),
            "goodwill": money_text(sales.goodwill),
            "net": money_text(sales.net),
        }
        for sales in currencies
    ]


def _event(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "at": utc_text(event.at),
        "voucher_type": event.voucher_type,
        "quantity": event.quantity,
        "amount": None if event.amount is None else money_text(event.amount),
        "currency": event.currency,
    }
