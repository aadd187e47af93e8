"""What clients read of vouchers and uses all the time, by queries that are compiled once. Their rows: rows.py."""

from typing import Any, Final, NamedTuple

from django.db.models import BigAutoField, CharField, DateTimeField, QuerySet
from django.utils import timezone

from apps.core.prepared_queries import PreparedQuery, PreparedRangeQuery, count_subquery
from apps.users.models import User

from . import codes, selectors
from .errors import VoucherNotFound
from .models import Voucher, VoucherEvent, VoucherUsage
from .owned_counts import number_of_vouchers
from .rows import (
    EVENT_COLUMNS,
    TYPE_COLUMNS,
    USAGE_COLUMNS,
    VOUCHER_COLUMNS,
    EventRow,
    TypeRow,
    UsageRow,
    VoucherRow,
)

Columns = tuple[Any, ...]


class VoucherWithHistory(NamedTuple):
    """A voucher, its latest uses, and what happened to it, from the first event on."""

    voucher: VoucherRow
    usages: list[UsageRow]
    events: list[EventRow]


def types_on_sale() -> list[TypeRow]:
    """The types that can be bought, by name. One query."""
    return _TYPES.rows()


def first_vouchers_of(user: User, *, limit: int, offset: int) -> list[Columns]:
    """Some of the user's vouchers, newest first: VOUCHER_COLUMNS and the number of all. One query."""
    return _VOUCHERS.rows(owner=user.pk, now=timezone.now(), limit=limit, offset=offset)


def first_usages_by(user: User, *, limit: int, offset: int) -> list[Columns]:
    """Some of the user's redemptions, newest first: USAGE_COLUMNS and the number of all. One query."""
    return _USAGES.rows(owner=user.pk, limit=limit, offset=offset)


def voucher_with_history(*, code: str, owner: User | None) -> VoucherWithHistory:
    """A voucher of the owner (None: of anybody) with at most MAX_USES_SHOWN uses and all its events. Two queries.

    Raises VoucherNotFound for a voucher of others; a malformed code is a voucher that isn't there.
    """
    symbols = codes.parse_or_none(code)
    limit = selectors.MAX_USES_SHOWN
    if symbols is None:
        raise VoucherNotFound
    if owner is None:
        rows = _ANY_VOUCHER.rows(code=symbols, limit=limit)
    else:
        rows = _OWN_VOUCHER.rows(code=symbols, owner=owner.pk, limit=limit)
    if not rows:
        raise VoucherNotFound
    end = 1 + len(VOUCHER_COLUMNS)
    voucher_id, voucher = rows[0][0], VoucherRow._make(rows[0][1:end])
    usages = [
        UsageRow(usage_id, voucher.code, False, voucher.type_name, voucher.type_name_today, *columns)
        for usage_id, *columns in (row[end:] for row in rows)
        if usage_id is not None  # without a use, there is one row
    ]
    return VoucherWithHistory(voucher, usages, _EVENTS.rows(voucher=voucher_id))


def _columns(*columns: Any) -> Columns:
    return columns


def _with_usages(vouchers: QuerySet[Voucher]) -> QuerySet[Voucher, Columns]:
    """A row for each use of a voucher, the latest first; one without a use if there is none."""
    names = ("id", "service_type", "used_at", "details", "use_no")
    return vouchers.order_by("-usages__used_at", "-usages__id").values_list(
        "id", *VOUCHER_COLUMNS, *(f"usages__{name}" for name in names)
    )


_TYPES: Final = PreparedQuery(TypeRow, lambda: selectors.types_on_sale().values_list(*TYPE_COLUMNS))
# Planned for each owner: see FewOwnersTests.
_VOUCHERS: Final = PreparedRangeQuery(
    _columns,
    lambda owner, now: selectors.vouchers_of(owner).values_list(
        *VOUCHER_COLUMNS, number_of_vouchers(owner, now)
    ),
    owner=BigAutoField(),
    now=DateTimeField(),
)
_USAGES: Final = PreparedRangeQuery(
    _columns,
    lambda owner: selectors.usages_by(owner).values_list(
        *USAGE_COLUMNS, count_subquery(VoucherUsage.objects.filter(user=owner))
    ),
    owner=BigAutoField(),
)
_OWN_VOUCHER: Final = PreparedQuery(
    _columns,
    lambda code, owner: _with_usages(Voucher.objects.owned_by(owner).filter(code=code)),
    code=CharField(),
    owner=BigAutoField(),
)
_ANY_VOUCHER: Final = PreparedQuery(
    _columns, lambda code: _with_usages(Voucher.objects.filter(code=code)), code=CharField()
)
_EVENTS: Final = PreparedQuery(
    EventRow,
    lambda voucher: VoucherEvent.objects.filter(voucher=voucher).order_by("id").values_list(*EVENT_COLUMNS),
    voucher=BigAutoField(),
)
