"""The admin's front page, for unfold a dashboard: how the platform does. Those of the API: selectors/dashboards.py."""

from collections import Counter
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.models import VIEW_FIGURES
from apps.analytics.selectors import MetricsReport, Obligations
from apps.core.money import format_amount
from apps.vouchers.selectors import Refusals, refusals_on

from .charts import Chart, Series, Span, chart, spans_of, time_axis
from .key_figures import KeyFigure, money_figure, number_figure, obligations_in, report_before
from .period_picker import Selection, read_selection

MOST_REASONS: Final = 8  # in the chart of refusals; the others are one bar together


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add figures and charts to the context of `front_page.html` (UNFOLD's DASHBOARD_CALLBACK).

    Nothing is counted for staff without the permission to view figures.
    """
    if not request.user.has_perm(VIEW_FIGURES):
        return context
    now = timezone.now()
    selection = read_selection(request.GET, today=timezone.localdate(now))
    period, before = selection.period, selection.period_before
    with selectors.one_moment():
        report = selectors.figures_of(period=period, now=now, currency=selection.currency)
        earlier = report_before(selection, now)
        owed = selectors.obligations(now=now, currency=selection.currency)
        active = selectors.vouchers_active(now)
        refusals = refusals_on(period.first, period.last)
        refusals_before = refusals_on(before.first, before.last) if before else None
    spans = spans_of(report.by_day)
    currencies = {*report.totals.beside, *(each.currency for each in owed)}
    context |= {
        "selection": selection,
        "currencies": selection.currency_choices(currencies),
        "figures": [
            *_figures(selection, report, earlier),
            number_figure(
                "Refused redemptions",
                _number(refusals),
                None if refusals_before is None else _number(refusals_before),
                note="Attempts that took no use",
                is_good=False,
            ),
            *_figures_of_now(active, obligations_in(owed, selection.currency)),
        ],
        "charts": [_sales_chart(selection, spans), _use_chart(spans)],
        "refusals_chart": refusals_chart(refusals),
        "revenue_address": selection.address_of(reverse("admin-revenue")),
    }
    return context


def refusals_chart(refusals: list[Refusals]) -> Chart | None:
    """Refused redemptions by reason, the most frequent first; None if there are none."""
    numbers: Counter[str] = Counter()
    for each in refusals:
        numbers[each.reason_name] += each.number
    if not numbers:
        return None
    bars = numbers.most_common(MOST_REASONS)
    if others := sum(numbers.values()) - sum(number for _, number in bars):
        bars.append(("Other reasons", others))
    return chart(
        "Refused redemptions by reason",
        [name for name, _ in bars],
        [Series("Refused", [number for _, number in bars])],
        x_title="",
        y_title="Number of refused redemptions",
        is_horizontal=True,
        height=80 + 32 * len(bars),
    )


def _figures(selection: Selection, report: MetricsReport, earlier: MetricsReport | None) -> list[KeyFigure]:
    """What happened in the period, beside the period before."""
    totals, currency = report.totals, selection.currency
    before = None if earlier is None else earlier.totals
    return [
        money_figure(
            "Sales",
            totals.revenue,
            None if before is None else before.revenue,
            currency,
            note=_others(totals.other_currencies) or f"{totals.purchases:,} purchases, in all currencies",
        ),
        money_figure(
            "Refunded",
            totals.refunded,
            None if before is None else before.refunded,
            currency,
            note="Of these sales, until now",
            is_good=False,
        ),
        number_figure(
            "Vouchers issued",
            totals.vouchers_issued,
            None if before is None else before.vouchers_issued,
            note=f"{totals.vouchers_active:,} of them can be redeemed now",
            is_good=None,
        ),
        number_figure(
            "Redemptions",
            totals.redemptions,
            None if before is None else before.redemptions,
            note="Uses that were not reversed",
        ),
    ]


def _figures_of_now(active: int, owed: Obligations) -> list[KeyFigure]:
    """How things stand, whichever period is shown."""
    unpaid = format_amount(owed.unpaid_outstanding, owed.currency)
    return [
        KeyFigure("Active vouchers", f"{active:,}", "Redeemable now"),
        KeyFigure(
            "Outstanding",
            format_amount(owed.outstanding_liability, owed.currency),
            f"Paid for, and can still be redeemed; issued without a payment: {unpaid}",
        ),
        KeyFigure(
            "Breakage", format_amount(owed.breakage, owed.currency), "Paid for, and expired unused; until now"
        ),
    ]


def _sales_chart(selection: Selection, spans: list[Span]) -> Chart:
    return chart(
        f"Sales, {selection.currency}",
        [span.label for span in spans],
        [Series("Sales", [sum(day.figures.revenue for day in span.days) for span in spans])],
        x_title=time_axis(spans),
        y_title=f"Sales in {selection.currency}",
    )


def _use_chart(spans: list[Span]) -> Chart:
    return chart(
        "Vouchers issued and redemptions",
        [span.label for span in spans],
        [
            Series(
                "Vouchers issued", [sum(day.figures.vouchers_issued for day in span.days) for span in spans]
            ),
            Series("Redemptions", [sum(day.figures.redemptions for day in span.days) for span in spans]),
        ],
        x_title=time_axis(spans),
        y_title="Number",
        kind="line",
    )


def _others(sales: list[selectors.CurrencySales]) -> str:
    """What was sold in other currencies, as a note."""
    amounts = [format_amount(each.revenue, each.currency) for each in sales if each.revenue]
    return f"Beside it {', '.join(amounts)}" if amounts else ""


def _number(refusals: list[Refusals]) -> int:
    return sum(each.number for each in refusals)
