"""`manage.py export_daily_figures`: the figures of each day in a file for spreadsheets."""

from datetime import date
from typing import Any

from apps.analytics.exports import DAILY_FIGURES, period_of
from apps.analytics.periods import Period
from apps.core.exports import Days
from apps.core.management.exports import ExportCommand


class Command(ExportCommand):
    help = (
        "Writes a row for each day and currency, with the figures of the dashboard, as CSV or XLSX, as of one"
        " moment, and records that."
    )
    table = DAILY_FIGURES

    def choose(self, days: Days, first: date | None, last: date | None) -> Period:
        return period_of(first, last)

    def count(self, rows: Any) -> int | None:
        return None  # some days have a row for more than one currency
