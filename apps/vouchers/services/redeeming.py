"""Taking a use from a voucher. See docs/locking.md for what is locked, and in which order."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.core.errors import DomainError, UnavailableError
from apps.users.models import User
from apps.vouchers import codes
from apps.vouchers.errors import (
    ServiceMismatch,
    VoucherExpired,
    VoucherInactive,
    VoucherNotFound,
    VoucherUsedUp,
)
from apps.vouchers.models import Voucher, VoucherStatus, VoucherUsage


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
        use_no=voucher.uses_made + voucher.uses_reversed,
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


def erase_details(*, user: User) -> None:
    """Empty what the user wrote into the redemptions that they made; the redemptions stay."""
    VoucherUsage.objects.filter(user=user).update(details={})
