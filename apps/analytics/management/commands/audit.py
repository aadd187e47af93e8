"""`manage.py audit`: whether the books are in order."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.analytics.audit import NotChecked, Report, Result, audit
from apps.analytics.audit.rule import MAX_LISTED


class Command(BaseCommand):
    help = (
        "Checks every rule of the books over all rows as of one moment, and changes nothing."
        " Exit status: 0 all hold, 1 some do not, 2 it could not be checked. No voucher code is read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="write one JSON object")

    def handle(self, *arguments: Any, as_json: bool, **options: Any) -> None:
        try:
            report = audit()
        except NotChecked as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(json.dumps(_document(report), indent=2) if as_json else _text(report))
        if report.broken:
            raise CommandError(
                f"{len(report.broken)} of {len(report.results)} rules do not hold.", returncode=1
            )


def _document(report: Report) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(),
        "clean": not report.broken,
        "rules": [
            {
                "name": result.rule.name,
                "rule": result.rule.description,
                "about": result.rule.row_noun,
                "found": result.finding.number,
                "ids": result.finding.ids,
                "notes": result.finding.notes,
            }
            for result in report.results
        ],
    }


def _text(report: Report) -> str:
    lines = [_line(result) for result in report.results]
    closing = "All rules hold." if not report.broken else ""
    return "\n".join([f"The books as of {report.at:%Y-%m-%d %H:%M:%S %Z}", *lines, closing]).rstrip()


def _line(result: Result) -> str:
    rule, finding = result.rule, result.finding
    if not finding.number:
        return f"  holds   {rule.name}"
    what = "; ".join(finding.notes) or f"{rule.row_noun} {', '.join(map(str, finding.ids))}"
    more = f" and {finding.number - MAX_LISTED} more" if finding.number > MAX_LISTED else ""
    return f"  BROKEN  {rule.name}: {rule.description}\n          {finding.number} found: {what}{more}"
