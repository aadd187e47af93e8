"""Issuing and redeeming vouchers. See docs/locking.md for what is locked, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from apps.core.errors import DomainError, UnavailableError
from apps.users.models import User

from . import codes
from .errors import ServiceMismatch, VoucherExpired, VoucherInactive, VoucherNotFound, VoucherUsedUp
from .models import Voucher, VoucherStatus, VoucherType, VoucherUsage


@dataclass(frozen=True)
class Terms:
    """What a voucher promises, as it was at the sale: later edits of its type don't reach it."""

    service_type: str
    face_value: Decimal
    currency: str
    validity_days: int
    max_uses: int


def terms_of(voucher_type: VoucherType) -> Terms:
    """What a voucher of this type promises if it is sold now."""
    return Terms(
        service_type=voucher_type.service_type,
        face_value=voucher_type.price,
        currency=voucher_type.currency,
        validity_days=voucher_type.validity_days,
        max_uses=voucher_type.max_uses,
    )


def expiry_of(issued_at: datetime, validity_days: int) -> datetime:
    """The last second of the day, in the project's time zone, that is `validity_days` after the issue."""
    last_day = timezone.localdate(issued_at) + timedelta(days=validity_days)
    return timezone.make_aware(datetime.combine(last_day, time(23, 59, 59)))


CODE_TRIES = 3


def issue_vouchers(
    *, voucher_type_id: int, owner_id: int, quantity: int, terms: Terms, issued_at: datetime
) -> list[Voucher]:
    """Make `quantity` vouchers with new codes, in one statement.

    The caller sees to it that they are paid for, and that this happens once. The unique index decides whether
    the codes are new: with one that exists already (a chance of one in 2^74 for each), all are made anew.
    """
    for tries_left in reversed(range(CODE_TRIES)):
        try:
            with transaction.atomic():
                return Voucher.objects.bulk_create(
                    Voucher(
                        code=codes.make(),
                        voucher_type_id=voucher_type_id,
                        user_id=owner_id,
                        service_type=terms.service_type,
                        face_value=terms.face_value,
                        currency=terms.currency,
                        purchase_date=issued_at,
                        expiry_date=expiry_of(issued_at, terms.validity_days),
                        total_uses=terms.max_uses,
                        uses_remaining=terms.max_uses,
                    )
                    for _ in range(quantity)
                )
        except IntegrityError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def redeem_voucher(
    *, code: str, user: User, service_type: str | None = None, details: Mapping[str, Any] | None = None
) -> VoucherUsage:
    """Take one use from the voucher with this code, and record that `user` redeemed it.

    One guarded UPDATE decides, by the database's clock: it re-checks every condition under the row's lock,
    so of any number of simultaneous calls as many succeed as there are uses. All conditions stand on the
    voucher's own row: PostgreSQL re-evaluates only those after it has waited for another transaction.

    Returns the usage, with its voucher and the voucher's type loaded. Raises CodeMalformed, VoucherNotFound,
    VoucherInactive, VoucherUsedUp, VoucherExpired or ServiceMismatch, and then nothing has changed.
    """
    symbols = codes.parse(code)
    candidates = Voucher.objects.filter(code=symbols).redeemable(Now())
    if service_type is not None:
        candidates = candidates.filter(service_type=service_type)
    changed = candidates.update(uses_remaining=F("uses_remaining") - 1)
    voucher = Voucher.objects.read_with_clock(code=symbols)
    if voucher is None:
        raise VoucherNotFound
    if not changed:
        raise _refusal(voucher, service_type)
    return VoucherUsage.objects.create(
        voucher=voucher,
        user=user,
        service_type=voucher.service_type,
        # The clock ran on between the two statements, perhaps past an expiry that the first still met.
        used_at=min(voucher.read_at, voucher.expiry_date),
        details=dict(details or {}),
        use_no=voucher.uses_made,
    )


def _refusal(voucher: Voucher, service_type: str | None) -> DomainError:
    """Why the UPDATE found nothing to change, from the row as it is a moment later."""
    if service_type is not None and service_type != voucher.service_type:
        return ServiceMismatch()
    match voucher.status_at(voucher.read_at):
        case VoucherStatus.INACTIVE:
            return VoucherInactive(reason=voucher.inactive_reason)
        case VoucherStatus.EXPIRED:
            return VoucherExpired()
        case VoucherStatus.USED:
            return VoucherUsedUp()
    return UnavailableError("The voucher has just changed. Please send the request again.")


def save_voucher_type(*, name: str, **values: Any) -> bool:
    """Make the type with this name, or give it these values and put it on sale; whether it was made."""
    _, created = VoucherType.objects.update_or_create(name=name, defaults={**values, "is_active": True})
    return created


def erase_details(*, user: User) -> None:
    """Empty what the user wrote into the redemptions that they made; the redemptions stay."""
    VoucherUsage.objects.filter(user=user).update(details={})
