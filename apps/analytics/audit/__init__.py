"""Whether the books are in order: each rule that must always hold, checked over all rows as of one moment.

Every rule is a few queries over whole tables. No voucher code is given out.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import DatabaseError
from django.utils import timezone

from apps.core.snapshots import snapshot

from . import (
    active_days,
    addresses,
    figures,
    holds,
    money,
    receipts,
    registrations,
    roll_up,
    timeliness,
    uses,
    vouchers,
)
from .rule import Finding, Rule

RULES: Final[tuple[Rule, ...]] = (
    *vouchers.RULES,
    *uses.RULES,
    *money.RULES,
    *receipts.RULES,
    *addresses.RULES,
    *holds.RULES,
    *timeliness.RULES,
    *figures.RULES,
    *roll_up.RULES,
    *active_days.RULES,
    *registrations.RULES,
)


class NotChecked(Exception):
    """The audit could not be done; the books may be right or wrong."""


@dataclass(frozen=True)
class Result:
    """A rule, and what broke it."""

    rule: Rule
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All rules with what broke them, as of `at`."""

    at: datetime
    results: list[Result]

    @property
    def broken(self) -> list[Result]:
        """Those that do not hold."""
        return [result for result in self.results if result.finding.number]


def audit() -> Report:
    """Check every rule in one snapshot of the database. Raises NotChecked when the database does not let us."""
    name = "the start"
    try:
        with snapshot():
            at = timezone.now()
            results = []
            for rule in RULES:
                name = rule.name
                results.append(Result(rule, rule.check(at)))
    except DatabaseError as error:
        raise NotChecked(f"The database failed at {name}: {type(error).__name__}.") from error
    return Report(at, results)
