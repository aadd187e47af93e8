"""Whether the books are in order: each rule that must always hold, checked over all rows as of one moment.

Every rule is a few queries over whole tables. No voucher code is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from . import figures, holds, money, roll_up, timeliness, uses, vouchers
from .rule import Finding, Rule

RULES: Final[tuple[Rule, ...]] = (
    *vouchers.RULES,
    *uses.RULES,
    *money.RULES,
    *holds.RULES,
    *timeliness.RULES,
    *figures.RULES,
    *roll_up.RULES,
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


@contextmanager
def snapshot() -> Iterator[None]:
    """A read-only transaction in which every query sees the same moment, and which keeps nobody from writing.

    Inside a transaction already, that one is used as it is.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # These limits are for requests. The queries of an audit read whole tables, and sort them.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL work_mem = '64MB'")
            yield
        return
    connection.ensure_connection()
    sqlite: Any = connection
    mode, sqlite.transaction_mode = (
        sqlite.transaction_mode,
        "DEFERRED",
    )  # IMMEDIATE would keep writers waiting
    try:
        with transaction.atomic():
            yield
    finally:
        sqlite.transaction_mode = mode
