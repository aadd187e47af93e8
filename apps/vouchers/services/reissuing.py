"""Giving a voucher another code, when the old one was lost or seen by others."""

from django.db import transaction

from apps.users.models import User
from apps.vouchers import codes
from apps.vouchers.errors import VoucherInactive, VoucherNotFound
from apps.vouchers.models import Hold, Voucher, VoucherEvent, VoucherEventKind

from .holding import locked


@transaction.atomic
def reissue_voucher(*, voucher_id: int, actor: User, reason: str) -> Voucher:
    """Give the voucher a new code; from now on the old one is unknown. Uses, value and expiry stay.

    The same row keeps its place in the books, so that nothing is issued twice. Raises VoucherNotFound, or
    VoucherInactive for one that is void.
    """
    found = locked([voucher_id])
    if not found:
        raise VoucherNotFound
    (voucher,) = found
    if voucher.held_for & {Hold.VOIDED, Hold.REFUNDED}:
        raise VoucherInactive(reason=voucher.inactive_reason)
    before = codes.masked(voucher.code)
    voucher.code = codes.make()
    voucher.save(update_fields=("code",))
    VoucherEvent.objects.create(
        voucher=voucher,
        kind=VoucherEventKind.REISSUED,
        actor=actor,
        reason=reason,
        details={"from": before, "to": codes.masked(voucher.code)},
    )
    return voucher
