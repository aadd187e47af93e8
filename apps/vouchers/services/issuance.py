"""Issuing vouchers, with the terms of their sale."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.core.dates import end_of_day
from apps.vouchers import price_checks
from apps.vouchers.models import Voucher, VoucherEvent, VoucherType
from apps.vouchers.states import VoucherEventKind

from .voucher_rows import CODE_TRIES as CODE_TRIES
from .voucher_rows import insert_vouchers


@dataclass(frozen=True)
class Terms:
    """What a voucher promises, as it was at the sale: later edits of its type don't reach it."""

    type_name: str
    service_type: str
    face_value: Decimal
    currency: str
    validity_days: int
    max_uses: int


def terms_of(voucher_type: VoucherType) -> Terms:
    """What a voucher of this type promises if it is sold now."""
    return Terms(
        type_name=voucher_type.name,
        service_type=voucher_type.service_type,
        face_value=voucher_type.price,
        currency=voucher_type.currency,
        validity_days=voucher_type.validity_days,
        max_uses=voucher_type.max_uses,
    )


def expiry_of(issued_at: datetime, validity_days: int) -> datetime:
    """The last second of the day, in the project's time zone, that is `validity_days` after the issue."""
    return end_of_day(timezone.localdate(issued_at) + timedelta(days=validity_days))


def issue_vouchers(
    *,
    voucher_type_id: int,
    owner_id: int,
    quantity: int,
    terms: Terms,
    issued_at: datetime,
    actor_id: int | None = None,
    reason: str = "",
    batch_id: int | None = None,
) -> list[Voucher]:
    """Make `quantity` vouchers with new codes, and their history's first row; in the order of their primary keys.

    `actor_id` and `reason` tell who gave them out and why; a purchase has neither.

    The caller sees to it that they are paid for, and that this happens once. The unique index decides whether
    the codes are new: for one that exists already (a chance of one in 2^74 for each) another is drawn. Raises
    IntegrityError where that fails again and again; then nothing is issued, and the caller's transaction is to be
    rolled back.
    """
    voucher = Voucher(
        batch_id=batch_id,
        voucher_type_id=voucher_type_id,
        user_id=owner_id,
        type_name=terms.type_name,
        service_type=terms.service_type,
        face_value=terms.face_value,
        currency=terms.currency,
        purchase_date=issued_at,
        expiry_date=expiry_of(issued_at, terms.validity_days),
        total_uses=terms.max_uses,
        uses_remaining=terms.max_uses,
    )
    event = VoucherEvent(kind=VoucherEventKind.ISSUED, at=issued_at, actor_id=actor_id, reason=reason)
    return insert_vouchers(voucher, event, quantity)


def save_voucher_type(*, name: str, price: Decimal, currency: str, **values: Any) -> bool:
    """Make the type with this name, or give it these values and put it on sale; whether it is new.

    Raises the DomainError of whoever takes the money for a price that nobody could pay (see price_checks.py).
    """
    price_checks.check(price, currency)
    values.update(price=price, currency=currency)
    _, created = VoucherType.objects.update_or_create(name=name, defaults={**values, "is_active": True})
    return created
