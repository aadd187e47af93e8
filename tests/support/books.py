"""The audit of the books, for tests of all kinds: whatever happened, they are in order afterwards."""

from typing import Any

from django.utils import timezone

from apps.analytics.audit import RULES, Result, audit
from apps.analytics.services import daily_figures


def broken_rules(*names: str) -> dict[str, Any]:
    """What the audit finds now, by the names of the rules: ids, or notes. With names, it checks these rules alone."""
    if names:
        now = timezone.now()
        results = [Result(rule, rule.check(now)) for rule in RULES if rule.name in names]
    else:
        results = audit().results
    return {each.rule.name: each.finding.ids or each.finding.notes for each in results if each.finding.number}


def rebuild_figures() -> None:
    """Count the roll-up of figures anew, from all rows."""
    for _ in daily_figures.rebuild():
        pass
