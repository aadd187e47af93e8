"""Giving vouchers to another owner, as when a batch was issued to the wrong account.

Codes, uses, value and expiry stay. Whoever counts by owner registers to be told before anything changes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from django.utils import timezone

from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import VoucherEventKind

BeforeReassignment = Callable[[Collection[int]], object]

_listeners: list[BeforeReassignment] = []


def register(listener: BeforeReassignment) -> None:
    """Have `listener` called with the ids of former and new owners, from the `ready` of an AppConfig.

    It is called in the transaction of the change, before any voucher is locked.
    """
    _listeners.append(listener)


def announce(voucher_ids: Iterable[int], *, new_owner_id: int) -> None:
    """Tell the listeners whose vouchers are about to change. Call it in the transaction, before locking them."""
    owners = Voucher.objects.filter(pk__in=list(voucher_ids)).order_by().values_list("user", flat=True)
    for listener in _listeners:
        listener({new_owner_id, *owners.distinct()})


def reassign_vouchers(
    vouchers: Collection[Voucher],
    *,
    new_owner_id: int,
    actor: User,
    reason: str,
    details: Mapping[str, Any],
) -> None:
    """Give each voucher, whose row the caller has locked as that of the new owner, to that one; with its history."""
    now = timezone.now()
    events = [
        VoucherEvent(
            voucher=voucher,
            kind=VoucherEventKind.REASSIGNED,
            at=now,
            actor=actor,
            reason=reason,
            details={"from": voucher.user_id, "to": new_owner_id, **details},
        )
        for voucher in vouchers
    ]
    # Only this column: the counter of uses is never written back from what was read.
    Voucher.objects.filter(pk__in=[voucher.pk for voucher in vouchers]).update(user=new_owner_id)
    VoucherEvent.objects.bulk_create(events, batch_size=1000)
