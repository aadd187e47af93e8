"""What the roll-up has of a period: sums by day and by voucher type, by queries that are compiled once."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.db.models import BigAutoField, DateField, QuerySet, Subquery, Sum

from apps.analytics.models import DailyFigures, FiguresState, OwnerDailyFigures
from apps.core.prepared_queries import PreparedRangeQuery
from apps.users.models import User

from .coverage import Coverage
from .metrics import OF_SERIES, Row, SoldType, names_of
from .rows import annotated, with_cents


class TypeRow(NamedTuple):
    """A voucher type, and its figures in one currency. `version` is that of the roll-up in which they stand."""

    voucher_type: SoldType
    figures: Row
    version: int


def counted_by_day(owner: User | None, coverage: Coverage, *, brief: bool) -> list[Row]:
    """The figures of each counted day and currency; with `brief` those in OF_SERIES alone. One query."""
    if not coverage.counted:
        return []
    return _by_day(owner is None, brief).rows(**_values(owner, coverage))


def counted_by_type(owner: User | None, coverage: Coverage, *, brief: bool) -> list[TypeRow]:
    """The figures of each type and currency on the counted days, the types by name; see names_of. One query."""
    if not coverage.counted:
        return []
    return _by_type(owner is None, brief).rows(**_values(owner, coverage))


def _values(owner: User | None, coverage: Coverage) -> dict[str, Any]:
    days: dict[str, Any] = {"first": coverage.counted[0].first, "last": coverage.counted[-1].last}
    return days if owner is None else {**days, "owner": owner.pk}


@cache
def _by_day(of_platform: bool, brief: bool) -> PreparedRangeQuery[Row]:
    names = OF_SERIES if brief else names_of(of_platform=of_platform, brief=brief)
    keys = ("day", "currency")
    return PreparedRangeQuery(
        lambda *columns: with_cents(dict(zip((*keys, *names), columns, strict=True))),
        _sums(keys, names),
        **_fields(of_platform),
    )


@cache
def _by_type(of_platform: bool, brief: bool) -> PreparedRangeQuery[TypeRow]:
    names = names_of(of_platform=of_platform, brief=brief)
    keys = ("voucher_type", "voucher_type__name", "voucher_type__service_type", "currency")

    def row(*columns: Any) -> TypeRow:
        figures = dict(zip(("currency", *names), columns[3:-1], strict=True))
        return TypeRow(SoldType(*columns[:3]), with_cents(figures), columns[-1])

    def build(**values: Any) -> QuerySet[Any, Any]:
        rows = _sums(keys, names, "voucher_type__name", "voucher_type")(**values)
        return annotated(rows, version=_Version(FiguresState.objects.values("version")))

    return PreparedRangeQuery(row, build, **_fields(of_platform))


class _Version(Subquery):
    """The version of the roll-up, by which no rows are grouped."""

    def get_group_by_cols(self) -> list[Any]:
        return []


def _fields(of_platform: bool) -> dict[str, Any]:
    days = {"first": DateField(), "last": DateField()}
    return days if of_platform else {**days, "owner": BigAutoField()}


def _sums(keys: Sequence[str], names: Sequence[str], *order: str) -> Callable[..., QuerySet[Any, Any]]:
    def build(first: Any, last: Any, owner: Any = None) -> QuerySet[Any, Any]:
        rows: QuerySet[Any] = DailyFigures.objects.all()
        if owner is not None:
            rows = OwnerDailyFigures.objects.filter(owner=owner)
        rows = rows.filter(day__gte=first, day__lte=last).order_by(*order)
        sums: QuerySet[Any, Any] = rows.values_list(*keys).annotate(*(Sum(name) for name in names))
        return sums

    return build
