"""What the roll-up has of a period: sums by day and by voucher type, by a query that is compiled once."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from django.db.models import (
    BigAutoField,
    BigIntegerField,
    CharField,
    DateField,
    F,
    QuerySet,
    Subquery,
    Sum,
    Value,
)

from apps.analytics.models import DailyFigures, FiguresState, OwnerDailyFigures
from apps.core.prepared_queries import PreparedQuery
from apps.users.models import User

from .constants import Constant, nothing
from .coverage import Coverage
from .metrics import OF_SERIES, Row, SoldType, names_of
from .rows import annotated, row_of


class TypeRow(NamedTuple):
    """A voucher type, and its figures in one currency."""

    voucher_type: SoldType
    figures: Row


class CountedSums(NamedTuple):
    """Figures of each day and currency, and the same by type and currency, the types by name.

    `version` is that of the roll-up in which they stand; None where there are none.
    """

    by_day: list[Row]
    by_type: list[TypeRow]
    version: int | None


def counted_sums(owner: User | None, coverage: Coverage, *, brief: bool) -> CountedSums:
    """The figures of the counted days, see names_of; by day with `brief` those in OF_SERIES alone. One query."""
    by_day: list[Row] = []
    by_type: list[TypeRow] = []
    version = None
    if coverage.counted:
        values: dict[str, Any] = {"first": coverage.counted[0].first, "last": coverage.counted[-1].last}
        if owner is not None:
            values["owner"] = owner.pk
        for kind, of_version, figures in _sums(owner is None, brief).rows(**values):
            if kind is None:
                by_day.append(figures)
            else:
                by_type.append(TypeRow(kind, figures))
                version = of_version
    return CountedSums(by_day, by_type, version)


_KEYS: Final = ("sold_type_id", "sold_type_name", "sold_service_type", "version", "on_day", "currency")


@cache
def _sums(of_platform: bool, brief: bool) -> PreparedQuery[tuple[SoldType | None, int, Row]]:
    names = names_of(of_platform=of_platform, brief=brief)
    figures_of = row_of(("day", "currency", *names))

    def row(type_id: int, name: str, service_type: str, version: int, *figures: Any) -> Any:
        kind = SoldType(type_id, name, service_type) if type_id else None
        return kind, version, figures_of(*figures)

    def build(first: Any, last: Any, owner: Any = None) -> QuerySet[Any, Any]:
        rows: QuerySet[Any] = DailyFigures.objects.all()
        if owner is not None:
            rows = OwnerDailyFigures.objects.filter(owner=owner)
        rows = rows.filter(day__gte=first, day__lte=last).order_by()
        by_day = rows.values(
            "currency",
            on_day=F("day__day"),
            sold_type_id=_no(BigIntegerField(), 0),
            sold_type_name=_no(CharField(), ""),
            sold_service_type=_no(CharField(), ""),
            version=_no(BigIntegerField(), 0),
        )
        by_type = rows.values(
            "currency",
            on_day=_no(DateField(), None),
            sold_type_id=F("voucher_type_id"),
            sold_type_name=F("voucher_type__name"),
            sold_service_type=F("voucher_type__service_type"),
            version=_Version(FiguresState.objects.values("version")),
        )
        of_days = _with_sums(by_day, names, OF_SERIES if brief else names)
        return of_days.union(_with_sums(by_type, names, names), all=True).order_by(*_KEYS[1::-1])

    days = {"first": DateField(), "last": DateField()}
    return PreparedQuery(row, build, **days if of_platform else {**days, "owner": BigAutoField()})


def _no(kind: Any, value: Any) -> Constant:
    return Constant(Value(value), kind)


def _with_sums(rows: QuerySet[Any, Any], names: Sequence[str], summed: Sequence[str]) -> QuerySet[Any, Any]:
    """The rows with a column for each of the names, of which those in `summed` are added up."""
    figures = {f"sum_{name}": Sum(name) if name in summed else nothing(name) for name in names}
    return annotated(rows, **figures).values_list(*_KEYS, *figures)


class _Version(Subquery):
    """The version of the roll-up, by which no rows are grouped."""

    def get_group_by_cols(self) -> list[Any]:
        return []
