"""The columns of vouchers and their uses that the API shows, as named tuples.

A constant below names the columns of each as `values_list` takes them, in the order of its fields. What the API makes
of a row stands in documents.py.
"""

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

from django.db.models import F, Q


class TypeRow(NamedTuple):
    """A voucher type as it is today."""

    id: int
    name: str
    description: str
    price: Decimal
    currency: str
    service_type: str
    validity_days: int
    max_uses: int
    is_active: bool


class SoldTypeRow(Protocol):
    """A row with SOLD_TYPE_COLUMNS."""

    @property
    def service_type(self) -> str: ...
    @property
    def type_name(self) -> str: ...  # as it was at the sale; empty if that was not kept
    @property
    def type_id(self) -> int: ...
    @property
    def type_name_today(self) -> str: ...
    @property
    def type_description(self) -> str: ...
    @property
    def type_price(self) -> Decimal: ...
    @property
    def type_currency(self) -> str: ...
    @property
    def type_validity_days(self) -> int: ...
    @property
    def type_max_uses(self) -> int: ...
    @property
    def type_is_active(self) -> bool: ...


class VoucherRow(NamedTuple):
    """A voucher with the columns of its type. Times are aware datetimes."""

    code: str
    is_active: bool
    inactive_reason: str
    purchase_date: datetime
    expiry_date: datetime
    uses_remaining: int
    total_uses: int
    face_value: Decimal
    currency: str
    service_type: str
    type_name: str  # as it was at the sale; empty if that was not kept
    type_id: int
    type_name_today: str
    type_description: str
    type_price: Decimal
    type_currency: str
    type_validity_days: int
    type_max_uses: int
    type_is_active: bool


class UsageRow(NamedTuple):
    """A use of a voucher. `used_at` is an aware datetime, `details` any value that JSON has."""

    id: int
    voucher_code: str
    hides_code: bool  # the reader may not see the code that the voucher has now
    type_name: str  # as it was at the voucher's sale; empty if that was not kept
    type_name_today: str
    service_type: str
    used_at: datetime
    details: Any
    use_no: int


TYPE_COLUMNS: Final = TypeRow._fields

# Of what has a type, for `documents.sold_type_document`: what of it was kept at the sale, and what it is today.
SOLD_TYPE_COLUMNS: Final = (
    "service_type",
    "type_name",
    "voucher_type_id",
    "voucher_type__name",
    "voucher_type__description",
    "voucher_type__price",
    "voucher_type__currency",
    "voucher_type__validity_days",
    "voucher_type__max_uses",
    "voucher_type__is_active",
)

VOUCHER_COLUMNS: Final = (
    "code",
    "is_active",
    "inactive_reason",
    "purchase_date",
    "expiry_date",
    "uses_remaining",
    "total_uses",
    "face_value",
    "currency",
    *SOLD_TYPE_COLUMNS,
)

# Of selectors.usages_by(): who used the old code of somebody else's voucher does not see the new one.
USAGE_COLUMNS: Final[tuple[Any, ...]] = (
    "id",
    "voucher__code",
    ~Q(voucher__user=F("user")) & Q(reissued=True),
    "voucher__type_name",
    "voucher__voucher_type__name",
    "service_type",
    "used_at",
    "details",
    "use_no",
)


class EventRow(NamedTuple):
    """What happened to a voucher. `at` is an aware datetime; nobody acted where the system did."""

    kind: str
    reason: str
    at: datetime
    actor_id: int | None
    actor_email: str | None


EVENT_COLUMNS: Final = ("kind", "reason", "at", "actor_id", "actor__email")

_columns_of_voucher: Final = attrgetter(*(name.replace("__", ".") for name in VOUCHER_COLUMNS))


def voucher_row(voucher: Any) -> VoucherRow:
    """The row of a Voucher that is loaded with its type."""
    return VoucherRow(*_columns_of_voucher(voucher))


def usage_row(usage: Any) -> UsageRow:
    """The row of a VoucherUsage that is loaded with its voucher and type, for who has just redeemed it."""
    voucher = usage.voucher
    return UsageRow(
        id=usage.pk,
        voucher_code=voucher.code,
        hides_code=False,
        type_name=voucher.type_name,
        type_name_today=voucher.voucher_type.name,
        service_type=usage.service_type,
        used_at=usage.used_at,
        details=usage.details,
        use_no=usage.use_no,
    )
