"""Giving a voucher more time. `expiry_date` stays the last second of a day in the project's time zone."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from apps.core.dates import end_of_day
from apps.core.errors import DomainError
from apps.users.models import User
from apps.vouchers.errors import ExtensionBackwards, VoucherInactive, VoucherNotFound
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import VOID, VoucherEventKind

from .holds import lock_vouchers
from .owner_notices import StaffAct, tell_owners


def extend_voucher(*, voucher_id: int, until: date, actor: User, reason: str) -> Voucher:
    """Let a voucher, expired or not, be redeemed until the end of that day; recorded with actor and reason.

    Raises VoucherNotFound, VoucherInactive for one that is void, or ExtensionBackwards.
    """
    extended, refused = extend_vouchers([voucher_id], until=until, actor=actor, reason=reason)
    for error in refused.values():
        raise error
    if not extended:
        raise VoucherNotFound
    return extended[0]


@transaction.atomic
def extend_vouchers(
    voucher_ids: Iterable[int], *, until: date, actor: User, reason: str
) -> tuple[list[Voucher], dict[int, DomainError]]:
    """The same for several in one act of staff, with one mail to each owner.

    Gives those that were extended, and of those that could not be, by id, why: VoucherInactive or ExtensionBackwards.
    """
    expiry = end_of_day(until)
    extended: list[Voucher] = []
    refused: dict[int, DomainError] = {}
    for voucher in lock_vouchers(voucher_ids):
        if voucher.held_for & VOID:
            refused[voucher.pk] = VoucherInactive(reason=voucher.inactive_reason)
        elif expiry <= max(voucher.expiry_date, timezone.now()):
            refused[voucher.pk] = ExtensionBackwards()
        else:
            _extend(voucher, expiry, reason=reason, actor=actor)
            extended.append(voucher)
    tell_owners(StaffAct.EXTENDED, extended, reason=reason)
    return extended, refused


def give_days_back(voucher: Voucher, *, days: int, reason: str) -> None:
    """Move the expiry of a voucher, whose row the caller has locked, so many days on."""
    expiry = end_of_day(timezone.localdate(voucher.expiry_date) + timedelta(days=days))
    _extend(voucher, expiry, reason=reason, actor=None)


def _extend(voucher: Voucher, expiry: datetime, *, reason: str, actor: User | None) -> None:
    before = voucher.expiry_date
    voucher.expiry_date = expiry
    # Only this column: the counter of uses is never written back from what was read.
    voucher.save(update_fields=("expiry_date",))
    VoucherEvent.objects.create(
        voucher=voucher,
        kind=VoucherEventKind.EXTENDED,
        actor=actor,
        reason=reason,
        details={"from": before.isoformat(), "to": expiry.isoformat()},
    )
