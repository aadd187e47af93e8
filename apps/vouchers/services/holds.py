"""Keeping vouchers from being redeemed, and letting them go again.

A voucher may be held for several reasons at once, and each ends by itself: a dispute that is won does not lift
what staff suspended meanwhile. Every function locks the vouchers by primary key, and writes the history.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold, VoucherEventKind

from .owner_notices import StaffAct, tell_owners

EVENT_OF: Final = {
    Hold.VOIDED: VoucherEventKind.VOIDED,
    Hold.REFUNDED: VoucherEventKind.VOIDED,
    Hold.DISPUTED: VoucherEventKind.SUSPENDED,
    Hold.SUSPENDED: VoucherEventKind.SUSPENDED,
    Hold.REFUND_PENDING: VoucherEventKind.HELD,
    Hold.WITHDRAWN: VoucherEventKind.HELD,
}
# In the details of such an event: every hold on the voucher after it, as in its column.
ALL_HOLDS: Final = "holds"


def lock_vouchers(voucher_ids: Iterable[int]) -> list[Voucher]:
    """The vouchers with these ids by primary key, their rows locked. Call it in a transaction.

    A lock that lets foreign keys be checked: what only refers to them, in whatever order, waits for nobody.
    """
    rows = Voucher.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=list(voucher_ids))
    return list(rows.order_by("pk"))


def suspend_vouchers(voucher_ids: Iterable[int], *, actor: User, reason: str) -> list[Voucher]:
    """Keep these vouchers from being redeemed until staff release them, and mail their owners; those that changed."""
    return _change_by_staff(
        voucher_ids,
        lambda voucher: voucher.held_for | {Hold.SUSPENDED},
        StaffAct.SUSPENDED,
        actor=actor,
        reason=reason,
    )


def release_vouchers(voucher_ids: Iterable[int], *, actor: User, reason: str) -> list[Voucher]:
    """End what staff did with `suspend_vouchers`, and no other hold, and mail the owners; those that changed."""
    return _change_by_staff(
        voucher_ids,
        lambda voucher: voucher.held_for - {Hold.SUSPENDED},
        StaffAct.RELEASED,
        actor=actor,
        reason=reason,
    )


def void_vouchers(voucher_ids: Iterable[int], *, actor: User, reason: str) -> list[Voucher]:
    """End these vouchers for good, and mail their owners; those that changed."""
    return _change_by_staff(
        voucher_ids,
        lambda voucher: voucher.held_for | {Hold.VOIDED},
        StaffAct.VOIDED,
        actor=actor,
        reason=reason,
    )


@transaction.atomic
def _change_by_staff(
    voucher_ids: Iterable[int],
    new_holds: Callable[[Voucher], frozenset[Hold]],
    act: StaffAct,
    *,
    actor: User,
    reason: str,
) -> list[Voucher]:
    """Change the holds in one act of staff, and tell the owners; the vouchers that changed."""
    vouchers = [each for each in lock_vouchers(voucher_ids) if new_holds(each) != each.held_for]
    change_holds(vouchers, new_holds, reason=reason, actor=actor)
    tell_owners(act, vouchers, reason=reason)
    return vouchers


def change_holds(
    vouchers: Iterable[Voucher],
    new_holds: Callable[[Voucher], frozenset[Hold]],
    *,
    reason: str,
    actor: User | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Give each voucher, whose row the caller has locked, the holds that `new_holds` says; how many changed.

    `details` are noted with each event of the history.
    """
    now = timezone.now()
    changed: dict[str, list[Voucher]] = defaultdict(list)
    events = []
    for voucher in vouchers:
        before, after = voucher.held_for, new_holds(voucher)
        if before == after:
            continue
        voucher.set_holds(after)
        changed[voucher.holds].append(voucher)
        # A hold that gave way to another (pending, then refunded) has only the event of the other.
        changes = [(EVENT_OF[hold], hold) for hold in Hold if hold in after - before] or [
            (VoucherEventKind.RELEASED, hold) for hold in Hold if hold in before - after
        ]
        events += [
            VoucherEvent(
                voucher=voucher,
                kind=kind,
                hold=hold,
                at=now,
                actor=actor,
                reason=reason,
                details={ALL_HOLDS: voucher.holds, **(details or {})},
            )
            for kind, hold in changes
        ]
    for group in changed.values():
        first = group[0]
        Voucher.objects.filter(pk__in=[voucher.pk for voucher in group]).update(
            holds=first.holds, is_active=first.is_active, inactive_reason=first.inactive_reason
        )
    VoucherEvent.objects.bulk_create(events, batch_size=1000)
    return sum(map(len, changed.values()))
