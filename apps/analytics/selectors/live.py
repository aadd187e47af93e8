"""What a visit counts from the rows: the figures of rows.py and changes.py, compiled once.

All figures of a range of time, or all that changed in it, are one statement: a UNION of sums by day, type and currency,
each with all of the figures as columns.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db.models import BigAutoField, DateTimeField, QuerySet

from apps.analytics.periods import ALL_DAYS
from apps.core.prepared_queries import Parameter, PreparedQuery, PreparedRangeQuery
from apps.users.models import User

from . import changes, rows
from .constants import nothing
from .coverage import Coverage
from .metrics import Row, names_of
from .rows import Books, Ranges, row_of

KEY: Final = ("day", "type_id", "currency")


def all_figures(owner: User | None, ranges: Ranges, now: datetime, *, brief: bool) -> list[Row]:
    """Every figure of the days in the ranges, of the platform or an owner: rows.all_figures. One query a range."""
    figures: list[Row] = []
    for start, end in ranges:
        figures += _all(owner is None, brief).rows(**_owner(owner), start=start, end=end, now=now)
    return figures


def figures_since(owner: User | None, coverage: Coverage, now: datetime, *, brief: bool) -> list[Row]:
    """What has to be added to the roll-up's figures of the days that are counted, but for what went back.

    One query for each run of these days.
    """
    since = coverage.since
    if since is None:
        return []
    figures: list[Row] = []
    for start, end in coverage.ranges:
        # A range that is over before `since` has nothing new: it begins at its end.
        new = min(max(start, since), end)
        figures += _since(owner is None, brief).rows(
            **_owner(owner), start=start, end=end, new=new, since=since, now=now
        )
    return figures


def additions(
    books: Books, ranges: rows.AnyRanges, new: rows.AnyRanges, since: rows.Moment, now: rows.Moment
) -> list[QuerySet[Any, Any]]:
    """What has to be added to the figures of the ranges, but for what went back; `new` is what of them is since."""
    figures = [
        rows.reversed_uses(books, [(since, ALL_DAYS.end)], ranges),
        changes.voucher_differences(books, ranges, since, now),
    ]
    if new:
        figures += [rows.sales(books, new, with_returns=False), rows.uses(books, new, but_reversed=False)]
        if books.of_platform:
            figures.append(rows.reversals(books, new))
    return figures


def in_one(figures: Iterable[QuerySet[Any, Any]], names: Iterable[str]) -> QuerySet[Any, Any]:
    """These figures as one queryset, with KEY and the figures of these names as columns, in this order."""
    names = tuple(names)
    first, *others = (_with_all(each, names) for each in figures)
    return first.union(*others, all=True)


def _with_all(figures: QuerySet[Any, Any], names: tuple[str, ...]) -> QuerySet[Any, Any]:
    """The figures with nothing in the place of those that they lack."""
    lacking = {name: nothing(name) for name in names if name not in figures.query.annotations}
    return rows.annotated(figures, **lacking).values_list(*KEY, *names)


def _owner(owner: User | None) -> dict[str, Any]:
    return {} if owner is None else {"owner": owner.pk}


@cache
def _all(of_platform: bool, brief: bool) -> PreparedQuery[Row]:
    def build(start: Any, end: Any, now: Any, owner: Parameter | None = None) -> QuerySet[Any, Any]:
        return in_one(rows.all_figures(Books(owner, brief=brief), [(start, end)], now), names)

    names = names_of(of_platform=of_platform, brief=brief)
    # Planned for its range, of which it reads all.
    return _query(PreparedRangeQuery, build, names, of_platform, "start", "end", "now")


@cache
def _since(of_platform: bool, brief: bool) -> PreparedQuery[Row]:
    def build(
        start: Any, end: Any, now: Any, new: Any, since: Any, owner: Parameter | None = None
    ) -> QuerySet[Any, Any]:
        books = Books(owner, brief=brief, by_ids=True)
        return in_one(additions(books, [(start, end)], [(new, end)], since, now), names)

    names = names_of(of_platform=of_platform, brief=brief)
    return _query(PreparedQuery, build, names, of_platform, "start", "end", "now", "new", "since")


def _query(
    kind: type[PreparedQuery[Row]],
    build: Callable[..., QuerySet[Any, Any]],
    names: tuple[str, ...],
    of_platform: bool,
    *moments: str,
) -> PreparedQuery[Row]:
    fields: dict[str, Any] = {name: DateTimeField() for name in moments}
    if not of_platform:
        fields["owner"] = BigAutoField()
    keys = (*KEY, *names)
    return kind(row_of(keys), build, **fields)
