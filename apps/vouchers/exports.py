"""What of vouchers and their uses can be exported: for whoever keeps the books, and never a code in full.

Of a code no more than the last four symbols is read from the database.
"""

from datetime import datetime
from typing import Final

from django.db.models import Case, CharField, F, Value, When
from django.db.models.functions import Coalesce, NullIf

from apps.core.exports import Column, Days, Kind, Table, moment_columns

from . import codes
from .models import Voucher, VoucherUsage
from .states import Hold, VoucherStatus, status_condition


def status_of_voucher(at: datetime) -> Case:
    """The status of a voucher at a moment, as a column."""
    whens = [When(status_condition(status, at), then=Value(status.value)) for status in VoucherStatus]
    return Case(*whens, output_field=CharField())


def sold_as(prefix: str = "") -> Coalesce:
    """The name under which a row was sold or issued, as a column; `prefix` is a path to the row."""
    sold_name = NullIf(F(f"{prefix}type_name"), Value(""))
    return Coalesce(sold_name, F(f"{prefix}voucher_type__name"))


def hold_labels(holds: str) -> str:
    """What keeps a voucher from being redeemed, in words for people."""
    return ", ".join(str(Hold(hold).label) for hold in holds.split())


VOUCHERS: Final = Table(
    name="vouchers",
    model=Voucher,
    permission="vouchers.export_voucher",
    columns=(
        Column("number", "pk", Kind.INTEGER),
        Column("code", "code__last_four", convert=codes.mask_code),
        Column("status", status_of_voucher),
        Column("held for", "holds", convert=hold_labels),
        Column("voucher type", sold_as(), free_text=True),
        Column("service", "service_type"),
        Column("owner number", "user_id", Kind.INTEGER),
        Column("owner", "user__email"),
        Column("face value", "face_value", Kind.AMOUNT),
        Column("currency", "currency"),
        *moment_columns("issued", "purchase_date"),
        *moment_columns("expires", "expiry_date"),
        Column("uses in all", "total_uses", Kind.INTEGER),
        Column("uses made", F("total_uses") - F("uses_remaining"), Kind.INTEGER),
        Column("uses left", "uses_remaining", Kind.INTEGER),
        Column("uses given back", "uses_reversed", Kind.INTEGER),
        Column("batch", "batch__label", free_text=True),
    ),
    days=(Days("issued", "purchase_date"), Days("expires", "expiry_date")),
)

USAGES: Final = Table(
    name="usages",
    model=VoucherUsage,
    permission="vouchers.export_usage",
    columns=(
        Column("number", "pk", Kind.INTEGER),
        *moment_columns("used", "used_at"),
        Column("voucher number", "voucher_id", Kind.INTEGER),
        Column("code", "voucher__code__last_four", convert=codes.mask_code),
        Column("use", "use_no", Kind.INTEGER),
        Column("voucher type", sold_as("voucher__"), free_text=True),
        Column("service", "service_type"),
        Column("redeemed by number", "user_id", Kind.INTEGER),
        Column("redeemed by", "user__email"),
        *moment_columns("given back", "reversal__reversed_at"),
        Column("given back by", "reversal__actor__email"),
        Column("why it was given back", "reversal__reason", free_text=True),
    ),
    days=(Days("used", "used_at"), Days("given back", "reversal__reversed_at")),
)
