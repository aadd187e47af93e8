"""The audit of the books, for tests of all kinds: whatever happened, they are in order afterwards."""

from typing import Any

from apps.analytics.audit import audit


def broken_rules() -> dict[str, Any]:
    """What the audit finds now, by the names of the rules: ids, or notes."""
    return {result.rule.name: result.finding.ids or result.finding.notes for result in audit().broken}
