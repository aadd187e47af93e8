"""What the admin's search knows of vouchers: by code, by its last four symbols, and batches by label."""

from collections.abc import Iterable
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from apps.core.backoffice.search import MOST_HITS, Finder, Hit, register
from apps.vouchers import codes
from apps.vouchers.code_spelling import LENGTH, readings
from apps.vouchers.models import Batch, Voucher

MISTYPED: Final = "This code is mistyped: its check symbol does not fit the others."
UNKNOWN: Final = "No voucher has this code."


def vouchers(text: str) -> Iterable[Hit] | str:
    """The voucher with a code, in whatever spelling; those that end in four symbols; or what is wrong with the code."""
    code = codes.parse_or_none(text)
    if code is not None:
        return list(_hits(Voucher.objects.filter(code=code), is_certain=True)) or UNKNOWN
    if any(len(symbols) == LENGTH for symbols in readings(text)):
        return MISTYPED
    ending = text.strip("·- ").upper()
    if codes.is_last_four(ending):
        return _hits(Voucher.objects.filter(code__last_four=ending))
    return []


def batches(text: str) -> Iterable[Hit]:
    """The batches with this text in their label."""
    rows = Batch.objects.filter(label__icontains=text).select_related("owner")[: MOST_HITS + 1]
    return [Hit(row, str(row), f"{row.quantity} vouchers for {row.owner}") for row in rows]


def register_search() -> None:
    """Add both to the search of the admin."""
    register(
        Finder("Vouchers", "confirmation_number", "vouchers.view_voucher", vouchers),
        Finder("Batches", "inventory_2", "vouchers.view_batch", batches),
    )


def _hits(rows: QuerySet[Voucher], *, is_certain: bool = False) -> Iterable[Hit]:
    now = timezone.now()
    for voucher in rows.select_related("voucher_type", "user").order_by("-pk")[: MOST_HITS + 1]:
        status = voucher.status_at(now).label
        detail = f"{voucher.voucher_type}, {voucher.user}, {status}"
        yield Hit(voucher, f"Voucher {voucher}", detail, is_certain=is_certain)
