"""What a rule of the books is, and what checking it gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, QuerySet, Window

MAX_LISTED: Final = 20  # so many rows that break a rule are named; all are counted
CLOCK_SKEW: Final = timedelta(minutes=1)  # that the clocks of web servers and of the database may differ


@dataclass(frozen=True)
class Finding:
    """What broke a rule: how many rows, the ids of the first of them, or notes where it is about no rows."""

    number: int = 0
    ids: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rule:
    """Something that must hold. `row_noun` says what rows the ids are of. `check` gets the time of the audit."""

    name: str
    description: str
    row_noun: str
    check: Callable[[datetime], Finding]


def rule(name: str, description: str, row_noun: str) -> Callable[[Callable[[datetime], Iterable[Any]]], Rule]:
    """Makes a rule of a function that gives the querysets of what breaks it; no row may be in two of them."""

    def decorate(broken_by: Callable[[datetime], Iterable[QuerySet[Any]]]) -> Rule:
        return Rule(name, description, row_noun, lambda now: _finding(broken_by(now)))

    return decorate


def _finding(querysets: Iterable[QuerySet[Any]]) -> Finding:
    number, ids = 0, []
    for rows in querysets:
        # Counted in the same query: with a mere LIMIT, PostgreSQL would plan for finding some rows early.
        pairs = list(rows.order_by("pk").values_list("pk", Window(Count("*")))[:MAX_LISTED])
        number += pairs[0][1] if pairs else 0
        ids += [pk for pk, _ in pairs]
    return Finding(number, sorted(ids)[:MAX_LISTED])
