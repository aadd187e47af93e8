"""Compare the books with Stripe, and with --apply bring them in line."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.payments.services import reconciliation

CLEAN, DIFFERENCES, INCOMPLETE, BUSY = 0, 1, 2, 3


class Command(BaseCommand):
    help = (
        "Compare the books with Stripe, both ways. Changes nothing unless --apply. Exit status: 0 they agree (or do"
        " now), 1 differences are left, 2 Stripe could not be asked, 3 another reconciliation runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="repair what can be repaired")
        parser.add_argument(
            "--since", type=int, default=72, metavar="HOURS", help="how far back to compare (72)"
        )
        parser.add_argument("--json", action="store_true", help="the report as JSON")

    def handle(self, *arguments: Any, **options: Any) -> None:
        until = timezone.now()
        since = until - timedelta(hours=min(max(options["since"], 1), 24 * 3650))
        try:
            report = reconciliation.reconcile(since=since, until=until, apply=options["apply"])
        except reconciliation.AlreadyRunning:
            self.stderr.write("Another reconciliation is running.")
            sys.exit(BUSY)
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
