"""Compare the books with Stripe, and with --apply bring them in line."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from apps.core.dates import start_of_day
from apps.payments.services import reconciliation

HOURS, MOST_HOURS = 72, 24 * 3650
CLEAN, DIFFERENCES, INCOMPLETE, BUSY = 0, 1, 2, 3


class Command(BaseCommand):
    help = (
        "Compare the books with Stripe, both ways. Changes nothing unless --apply. Exit status: 0 they agree (or do"
        " now), 1 differences are left, 2 Stripe or the database could not be asked, 3 another reconciliation runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="repair what can be repaired")
        parser.add_argument("--since", type=int, metavar="HOURS", help=f"how far back to compare ({HOURS})")
        parser.add_argument(
            "--from",
            type=date.fromisoformat,
            metavar="DATE",
            dest="first",
            help="or: the first day, YYYY-MM-DD",
        )
        parser.add_argument(
            "--to", type=date.fromisoformat, metavar="DATE", dest="last", help="and the last (today)"
        )
        parser.add_argument("--json", action="store_true", help="the report as JSON")

    def handle(self, *arguments: Any, **options: Any) -> None:
        since, until = _time_of(options["since"], options["first"], options["last"])
        try:
            report = reconciliation.reconcile(since=since, until=until, apply=options["apply"])
        except reconciliation.AlreadyRunning:
            self.stderr.write("Another reconciliation is running.")
            sys.exit(BUSY)
        except DatabaseError as error:
            raise CommandError(
                f"The database failed: {type(error).__name__}.", returncode=INCOMPLETE
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report), indent=2))
        else:
            self.tell(report)
        if not report.complete:
            sys.exit(INCOMPLETE)
        if report.open:
            sys.exit(DIFFERENCES)

    def tell(self, report: reconciliation.Report) -> None:
        for what, number in report.checked.items():
            self.stdout.write(f"Checked {what}: {number}")
        for difference in report.differences:
            state = "repaired" if difference.repaired else "OPEN"
            self.stdout.write(f"{state:8} {difference.name}: {difference.about}")
        if not report.complete:
            self.stderr.write("Stripe did not answer: the comparison is not complete.")
        elif not report.differences:
            self.stdout.write("The books and Stripe agree.")


def _time_of(hours: int | None, first: date | None, last: date | None) -> tuple[datetime, datetime]:
    """The time to compare: so many hours until now, or local days, both included."""
    now, today = timezone.now(), timezone.localdate()
    if first is None:
        hours = HOURS if hours is None else hours
        if last is not None or not 1 <= hours <= MOST_HOURS:
            raise CommandError(
                f"--since is 1 to {MOST_HOURS} hours; --to needs --from.", returncode=INCOMPLETE
            )
        return now - timedelta(hours=hours), now
    last = min(last or today, today)
    if hours is not None or not today - timedelta(hours=MOST_HOURS) <= first <= last:
        raise CommandError(
            "--from is a day of the last ten years, not later than --to, and goes without --since.",
            returncode=INCOMPLETE,
        )
    return start_of_day(first), min(start_of_day(last + timedelta(days=1)) - timedelta(seconds=1), now)
