"""The JSON of vouchers and their uses, built from rows: equal to what the serializers of the same name write.

For what is read at every request. The OpenAPI document is generated from the serializers; tests/test_documents.py of
this app compares the two.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any, Final

from django.utils import timezone

from apps.core.api.documents import money_text, utc_text

from . import codes
from .row_queries import VoucherWithHistory
from .rows import EventRow, SoldTypeRow, TypeRow, UsageRow, VoucherRow
from .selectors import Statistics
from .states import VoucherStatus, days_left_at, status_at

REDEEMED: Final = "Voucher redeemed."


def type_document(row: TypeRow) -> dict[str, Any]:
    """A type as `VoucherTypeOutput` writes it."""
    return {**row._asdict(), "price": money_text(row.price)}


def sold_type_document(row: SoldTypeRow) -> dict[str, Any]:
    """The type of what was sold or issued, as `AsSold` writes it: called as it was then."""
    return {
        "id": row.type_id,
        "name": row.type_name or row.type_name_today,
        "description": row.type_description,
        "price": money_text(row.type_price),
        "currency": row.type_currency,
        "service_type": row.service_type,
        "validity_days": row.type_validity_days,
        "max_uses": row.type_max_uses,
        "is_active": row.type_is_active,
    }


def voucher_documents(rows: Iterable[VoucherRow], now: datetime) -> list[dict[str, Any]]:
    """Vouchers as `VoucherOutput` writes them at `now`, an aware datetime."""
    zone = timezone.get_current_timezone()
    return [voucher_document(row, now, zone) for row in rows]


def voucher_document(row: VoucherRow, now: datetime, zone: tzinfo | None = None) -> dict[str, Any]:
    """The same of one voucher; `zone` is the local one, where it is at hand."""
    status = status_at(
        now, is_active=row.is_active, uses_remaining=row.uses_remaining, expiry_date=row.expiry_date
    )
    return {
        "code": codes.format_code(row.code),
        "voucher_type": sold_type_document(row),
        "status": status.value,
        "is_active": row.is_active,
        "is_valid": status is VoucherStatus.ACTIVE,
        "inactive_reason": row.inactive_reason,
        "purchase_date": utc_text(row.purchase_date),
        "expiry_date": utc_text(row.expiry_date),
        "days_until_expiry": days_left_at(now, expiry_date=row.expiry_date, zone=zone),
        "uses_remaining": row.uses_remaining,
        "total_uses": row.total_uses,
        "face_value": money_text(row.face_value),
        "currency": row.currency,
    }


def usage_document(row: UsageRow) -> dict[str, Any]:
    """A use as `UsageOutput` writes it."""
    return {
        "id": row.id,
        "voucher_code": codes.HIDDEN if row.hides_code else codes.format_code(row.voucher_code),
        "voucher_type_name": row.type_name or row.type_name_today,
        "service_type": row.service_type,
        "used_at": utc_text(row.used_at),
        "details": row.details,
        "use_no": row.use_no,
        "service_data": row.details,
    }


def event_document(row: EventRow, *, viewer_id: int, sees_actors: bool) -> dict[str, Any]:
    """An event as `VoucherEventOutput` writes it for this viewer, who may see who acted or only on which side."""
    if row.actor_id is None:
        actor: str | None = "system"
    elif sees_actors:
        actor = row.actor_email
    else:
        actor = "you" if row.actor_id == viewer_id else "staff"
    return {"kind": row.kind, "reason": row.reason, "at": utc_text(row.at), "actor": actor}


def voucher_detail_document(
    detail: VoucherWithHistory, now: datetime, *, viewer_id: int, sees_actors: bool
) -> dict[str, Any]:
    """A voucher as `VoucherDetailOutput` writes it at `now` for this viewer."""
    return {
        **voucher_document(detail.voucher, now),
        "usages": [usage_document(usage) for usage in detail.usages],
        "history": [
            event_document(event, viewer_id=viewer_id, sees_actors=sees_actors) for event in detail.events
        ],
    }


def statistics_document(statistics: Statistics) -> dict[str, Any]:
    """Statistics as `StatisticsOutput` writes them."""
    return {
        "total_vouchers": statistics.total_vouchers,
        "active_vouchers": statistics.active_vouchers,
        "used_vouchers": statistics.used_vouchers,
        "expired_vouchers": statistics.expired_vouchers,
        "inactive_vouchers": statistics.inactive_vouchers,
        "total_redemptions": statistics.total_redemptions,
        "total_value": money_text(statistics.total_value),
        "currency": statistics.currency,
        "other_currencies": [
            {"currency": other.currency, "total_value": money_text(other.total_value)}
            for other in statistics.other_currencies
        ],
    }


def redeem_document(voucher: VoucherRow, usage: UsageRow, now: datetime) -> dict[str, Any]:
    """The answer to a redemption at `now`, as `RedeemOutput` writes it."""
    return {
        "message": REDEEMED,
        "voucher": voucher_document(voucher, now),
        "usage": usage_document(usage),
    }
