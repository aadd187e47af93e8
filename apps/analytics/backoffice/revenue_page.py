"""The page on revenue, for finance: the figures of `GET /api/analytics/revenue/`, day by day and type by type."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from apps.analytics import selectors
from apps.analytics.models import VIEW_FIGURES
from apps.analytics.selectors import CurrencySales, DayBreakage, Metrics, MetricsReport, Obligations
from apps.core.dates import zone_name
from apps.core.money import format_amount
from apps.vouchers.selectors import Refusals, refusals_on

from .charts import Chart, Series, Span, chart, spans_of, time_axis
from .front_page import refusals_chart
from .key_figures import KeyFigure, money_figure, obligations_in, report_before
from .period_picker import Selection, read_selection

MONEY_HEADERS: Final = ("Gross", "Refunded", "Goodwill", "Net", "Refunds paid", "Disputes lost")
USE_HEADERS: Final = ("Vouchers issued", "Without a payment", "Redemptions", "Redeemed", "Time to first use")


@dataclass(frozen=True)
class Table:
    """A table: a column of names, then columns of figures. The last row may be the totals."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    has_totals: bool = False


@require_safe
def revenue_page(request: HttpRequest) -> HttpResponse:
    """The page. Raises PermissionDenied for staff without the permission to view figures."""
    if not request.user.has_perm(VIEW_FIGURES):
        raise PermissionDenied
    now = timezone.now()
    selection = read_selection(request.GET, today=timezone.localdate(now))
    period = selection.period
    with selectors.one_moment():
        revenue = selectors.revenue(period=period, now=now, currency=selection.currency)
        earlier = report_before(selection, now)
        refusals = refusals_on(period.first, period.last)
    report, owed = revenue.tally, [revenue.obligations, *revenue.other_currencies]
    spans = spans_of(report.by_day)
    context = {
        **admin.site.each_context(request),
        "title": "Revenue",
        "selection": selection,
        "currencies": selection.currency_choices({*report.totals.beside, *(each.currency for each in owed)}),
        "figures": _figures(selection, report.totals, None if earlier is None else earlier.totals, owed),
        "charts": [_chart(selection, spans)],
        "refusals_chart": refusals_chart(refusals),
        "tables": [
            _by_day(report, selection.currency, revenue.breakage_by_day),
            _by_type(report, selection.currency),
            _by_currency(report.totals, owed),
            _refusals(refusals),
        ],
        "zone": zone_name(),
        "export": selection.address_of(reverse("admin-revenue-export")),
    }
    return TemplateResponse(request, "analytics/revenue_page.html", context)


def _figures(
    selection: Selection, totals: Metrics, before: Metrics | None, owed: list[Obligations]
) -> list[KeyFigure]:
    currency = selection.currency
    now = obligations_in(owed, currency)
    unpaid, unpaid_expired = (
        format_amount(amount, currency) for amount in (now.unpaid_outstanding, now.unpaid_expired)
    )
    return [
        money_figure(
            "Gross",
            totals.revenue,
            None if before is None else before.revenue,
            currency,
            note=f"{totals.purchases:,} purchases",
        ),
        money_figure(
            "Refunded",
            totals.refunded,
            None if before is None else before.refunded,
            currency,
            note=f"Of these sales, until now; goodwill: {format_amount(totals.goodwill, currency)}",
            is_good=False,
        ),
        money_figure(
            "Net", totals.net, None if before is None else before.net, currency, note="Gross less refunded"
        ),
        KeyFigure(
            "Liability",
            format_amount(now.outstanding_liability, currency),
            f"Paid for, and can still be redeemed, now; issued without a payment: {unpaid}",
        ),
        KeyFigure(
            "Breakage",
            format_amount(now.breakage, currency),
            f"Paid for, and expired unused, until now; issued without a payment: {unpaid_expired}",
        ),
        KeyFigure(
            "Vouchers issued",
            f"{totals.vouchers_issued:,}",
            f"{totals.vouchers_free:,} of them in batches, without a payment here",
        ),
        KeyFigure(
            "Redemption rate",
            _percent(totals.redemption_rate),
            "Of the vouchers issued in the period, used once at least",
        ),
        KeyFigure(
            "Time to first use",
            _duration(totals.time_to_first_use),
            "On average, of first uses in the period",
        ),
    ]


def _chart(selection: Selection, spans: list[Span]) -> Chart:
    return chart(
        f"Net and refunded, {selection.currency}",
        [span.label for span in spans],
        [
            Series("Net", [sum(day.figures.net for day in span.days) for span in spans]),
            Series("Refunded", [sum(day.figures.refunded for day in span.days) for span in spans]),
        ],
        x_title=time_axis(spans),
        y_title=f"Amount in {selection.currency}",
    )


def _by_day(report: MetricsReport, currency: str, breakage: list[DayBreakage]) -> Table:
    """A row for each day on which something happened, the newest first, and the totals."""
    expired = {each.date: each.amount for each in breakage if each.currency == currency}
    rows = [
        [
            date_format(day.date, "j M Y"),
            *_cells(day.figures, currency),
            _amount(expired.get(day.date, Decimal(0)), currency),
        ]
        for day in reversed(report.by_day)
        if any(_raw(day.figures)) or day.date in expired
    ]
    table = _with_totals("By day", "Day", rows, report.totals, currency)
    if table.rows:
        table.rows[-1].append(_amount(sum(expired.values(), Decimal(0)), currency))
    table.headers.append(f"Expired unused, {currency}")
    return table


def _by_type(report: MetricsReport, currency: str) -> Table:
    rows = [[each.voucher_type.name, *_cells(each.figures, currency)] for each in report.by_type]
    return _with_totals("By voucher type", "Type", rows, report.totals, currency)


def _by_currency(totals: Metrics, owed: Iterable[Obligations]) -> Table:
    sales: dict[str, Metrics | CurrencySales] = {totals.currency: totals, **totals.beside}
    values = {each.currency: each for each in owed}
    rows = []
    for currency in dict.fromkeys((*values, *sales)):
        sold, due = sales.get(currency), obligations_in(list(values.values()), currency)
        amounts = (sold.revenue, sold.refunded, sold.goodwill, sold.net) if sold else (Decimal(0),) * 4
        rows.append(
            [
                currency,
                *(
                    format_amount(amount, currency)
                    for amount in (
                        *amounts,
                        due.outstanding_liability,
                        due.breakage,
                        due.unpaid_outstanding,
                        due.unpaid_expired,
                    )
                ),
            ]
        )
    headers = (
        *("Currency", "Gross", "Refunded", "Goodwill", "Net", "Liability now", "Breakage"),
        *("Outstanding, without a payment", "Expired, without a payment"),
    )
    return Table("By currency", list(headers), rows)


def _refusals(refusals: list[Refusals]) -> Table:
    rows = [[each.reason_name, each.service_type or "—", f"{each.number:,}"] for each in refusals]
    if rows:
        rows.append(["Total", "", f"{sum(each.number for each in refusals):,}"])
    return Table("Refused redemptions", ["Reason", "Service", "Number"], rows, has_totals=bool(rows))


def _with_totals(title: str, name: str, rows: list[list[str]], totals: Metrics, currency: str) -> Table:
    """A table of sales and uses; money is in one currency, which its headers name."""
    headers = [name, "Purchases", *(f"{header}, {currency}" for header in MONEY_HEADERS), *USE_HEADERS]
    if rows:
        rows = [*rows, ["Total", *_cells(totals, currency)]]
    return Table(title, headers, rows, has_totals=bool(rows))


def _raw(figures: Metrics) -> tuple[Any, ...]:
    return (
        figures.purchases,
        figures.revenue,
        figures.refunded,
        figures.goodwill,
        figures.refunds_paid,
        figures.disputes_lost,
        figures.vouchers_issued,
        figures.redemptions,
    )


def _cells(figures: Metrics, currency: str) -> list[str]:
    money = (
        figures.revenue,
        figures.refunded,
        figures.goodwill,
        figures.net,
        figures.refunds_paid,
        figures.disputes_lost,
    )
    return [
        f"{figures.purchases:,}",
        *(_amount(amount, currency) for amount in money),
        f"{figures.vouchers_issued:,}",
        f"{figures.vouchers_free:,}",
        f"{figures.redemptions:,}",
        _percent(figures.redemption_rate),
        _duration(figures.time_to_first_use),
    ]


def _amount(amount: Decimal, currency: str) -> str:
    """An amount without its currency, which stands in the header."""
    return format_amount(amount, currency).partition("\N{NO-BREAK SPACE}")[0]


def _percent(share: Fraction | None) -> str:
    return "—" if share is None else f"{float(share * 100):.1f} %"


def _duration(time: timedelta | None) -> str:
    """A duration in its largest unit that fits: days, hours or minutes."""
    if time is None:
        return "—"
    for unit, length in (("days", timedelta(days=1)), ("hours", timedelta(hours=1))):
        if time >= length:
            return f"{time / length:,.1f} {unit}"
    return f"{time / timedelta(minutes=1):,.1f} minutes"
