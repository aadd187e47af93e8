"""`manage.py rebuild_daily_figures`: the roll-up of the books, counted anew from the rows."""

import sys
from argparse import ArgumentTypeError
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from apps.analytics.periods import EARLIEST, Period
from apps.analytics.services import daily_figures


def day(text: str) -> date:
    """A date of the command line, not after today. Raises ArgumentTypeError."""
    try:
        value = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no date: write YYYY-MM-DD") from error
    if not EARLIEST <= value <= timezone.localdate():
        raise ArgumentTypeError(f"{text} does not lie between {EARLIEST} and today")
    return value


class Command(BaseCommand):
    help = (
        "Counts the daily figures anew from the rows, after the audit has found a difference or after rows were"
        " loaded: day by day, the last first, each in a transaction of its own. Dashboards are right meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from",
            dest="first",
            type=day,
            metavar="DATE",
            help="the first day, YYYY-MM-DD (of the first row)",
        )
        parser.add_argument("--to", dest="last", type=day, metavar="DATE", help="the last day (today)")

    def handle(self, *arguments: Any, first: date | None, last: date | None, **options: Any) -> None:
        period = None
        if first or last:
            period = Period(first or daily_figures.first_day(), last or timezone.localdate())
            if period.first > period.last:
                raise CommandError(f"--from {period.first} is after {period.last}.")
        total = len(daily_figures.days_to_rebuild(period))
        counted: list[date] = []
        with tqdm(total=total, unit=" days", file=sys.stderr, disable=None, leave=False) as progress:
            try:
                for counted_day in daily_figures.rebuild(period):
                    counted.append(counted_day)
                    progress.update()
            except KeyboardInterrupt as error:
                raise CommandError(_stopped(counted), returncode=130) from error
        self.stdout.write(f"Counted the figures of {len(counted)} days.")


def _stopped(counted: list[date]) -> str:
    if not counted:
        return "Stopped before a day was counted."
    return f"Stopped after {len(counted)} days: go on with --to {counted[-1] - timedelta(days=1)}."
