"""What happens to the vouchers of one purchase or batch, one step after the other, as the services would record it.

Each step is a function of the moment at which it happens, and may plan later ones. So no step sees what comes after it,
and a voucher can't be used, say, while it is held.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Final

from django.utils import timezone

from apps.core.dates import end_of_day
from apps.payments.models import Dispute, Refund
from apps.users.models import User
from apps.vouchers import codes
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.services.holds import ALL_HOLDS, EVENT_OF
from apps.vouchers.states import MONEY_HOLDS, VOID, Hold, VoucherEventKind, VoucherStatus

from .people import Person
from .rows import Rows

Step = Callable[[datetime], None]

REVERSED: Final = 0.015  # share of the uses that staff give back


class Timeline:
    """Vouchers that were issued together, and what happens to them until `end`."""

    def __init__(self, rows: Rows, random: Random, end: datetime, staff: User) -> None:
        self.rows, self.random, self.end, self.staff = rows, random, end, staff
        self.vouchers: list[Voucher] = []
        self.held_since: dict[int, datetime] = {}  # by identity: the vouchers have no numbers yet
        self._steps: list[tuple[datetime, int, Step]] = []
        self._numbers = count()

    def at(self, moment: datetime, step: Step) -> None:
        """Plan a step; one after the end of the history never comes."""
        if moment <= self.end:
            heappush(self._steps, (moment, next(self._numbers), step))

    def after(self, now: datetime, hours: tuple[float, float], step: Step) -> None:
        """Plan a step for so many hours from now, by chance between two numbers."""
        self.at(now + timedelta(hours=self.random.uniform(*hours)), step)

    def run(self) -> None:
        """Do all steps in the order of time."""
        while self._steps:
            moment, _, step = heappop(self._steps)
            step(moment)

    # --- What services do ----------------------------------------------------------------------------------------

    def issue(
        self,
        quantity: int,
        terms: Mapping[str, Any],
        at: datetime,
        *,
        actor: User | None = None,
        reason: str = "",
    ) -> list[Voucher]:
        """New vouchers with these columns, as `issue_vouchers` makes them."""
        # The codes are no part of what the seed decides: they are money, wherever the rows end up.
        issued = [Voucher(code=codes.make(), **terms, purchase_date=at) for _ in range(quantity)]
        self.vouchers += issued
        self.rows.vouchers += issued
        for voucher in issued:
            self.tell(voucher, VoucherEventKind.ISSUED, at, actor=actor, reason=reason)
        return issued

    def tell(self, voucher: Voucher, kind: VoucherEventKind, at: datetime, **fields: Any) -> VoucherEvent:
        """Add to the history of a voucher."""
        event = VoucherEvent(voucher=voucher, kind=kind, at=at, **fields)
        self.rows.events.append(event)
        return event

    def use(self, voucher: Voucher, person: Person, at: datetime) -> None:
        """Take a use, as `redeem_voucher` does; nothing where that would be refused."""
        if voucher.status_at(at) != VoucherStatus.ACTIVE or not person.is_open(at):
            return
        voucher.uses_remaining -= 1
        usage = VoucherUsage(
            voucher=voucher,
            user=person.user,
            service_type=voucher.service_type,
            used_at=at,
            use_no=voucher.uses_made + voucher.uses_reversed,
        )
        self.rows.usages.append(usage)
        if self.random.random() < REVERSED:
            self.after(at, (0.5, 60), lambda then: self.reverse(usage, then))

    def reverse(self, usage: VoucherUsage, at: datetime) -> None:
        """Give a use back, as `reverse_usage` does."""
        voucher = usage.voucher
        if not voucher.is_active:
            return
        voucher.uses_remaining += 1
        voucher.uses_reversed += 1
        reason = self.random.choice(("The results page failed to load.", "Redeemed for the wrong candidate."))
        self.rows.reversals.append(
            UsageReversal(usage=usage, reversed_at=at, actor=self.staff, reason=reason)
        )
        self.tell(
            voucher,
            VoucherEventKind.REVERSED,
            at,
            actor=self.staff,
            reason=reason,
            details={"use_no": usage.use_no},
        )

    def extend(self, voucher: Voucher, days: int, at: datetime, *, actor: User | None, reason: str) -> None:
        """Move the expiry by days, as `extend_voucher` does."""
        before = voucher.expiry_date
        voucher.expiry_date = end_of_day(timezone.localdate(before) + timedelta(days=days))
        self.tell(
            voucher,
            VoucherEventKind.EXTENDED,
            at,
            actor=actor,
            reason=reason,
            details={"from": before.isoformat(), "to": voucher.expiry_date.isoformat()},
        )

    def hold(
        self,
        targets: Iterable[tuple[Voucher, Collection[Hold]]],
        at: datetime,
        *,
        reason: str,
        actor: User | None = None,
        subject: Refund | Dispute | None = None,
    ) -> None:
        """Give vouchers these holds and no others, as `change_holds` does; "{}" in the reason is the subject's number.

        Those that MONEY_HOLDS leave get back the days that they lost, as in `sync_money_holds`.
        """
        for voucher, holds in targets:
            before, after = voucher.held_for, frozenset(holds)
            if before == after:
                continue
            voucher.set_holds(after)
            changes = [(EVENT_OF[hold], hold) for hold in Hold if hold in after - before] or [
                (VoucherEventKind.RELEASED, hold) for hold in Hold if hold in before - after
            ]
            for kind, hold in changes:
                event = self.tell(
                    voucher,
                    kind,
                    at,
                    hold=hold,
                    actor=actor,
                    reason=reason,
                    details={ALL_HOLDS: voucher.holds},
                )
                self._number(event, subject)
            if after & MONEY_HOLDS and not before & MONEY_HOLDS:
                self.held_since[id(voucher)] = at
            elif before & MONEY_HOLDS and not after & MONEY_HOLDS:
                self._give_days_back(voucher, at, reason, subject)

    def _give_days_back(
        self, voucher: Voucher, at: datetime, reason: str, subject: Refund | Dispute | None
    ) -> None:
        since = self.held_since.pop(id(voucher))
        days = (timezone.localdate(at) - timezone.localdate(since)).days
        if days > 0 and voucher.expiry_date > since and not voucher.held_for & VOID:
            self.extend(voucher, days, at, actor=None, reason=reason)
            self._number(self.rows.events[-1], subject)

    def _number(self, event: VoucherEvent, subject: Refund | Dispute | None) -> None:
        if subject is not None:
            self.rows.numbered.append((event, subject))

    def close_owner(self, at: datetime) -> None:
        """Note that the owner closed the account, as `record_closing` does."""
        for voucher in self.vouchers:
            self.tell(voucher, VoucherEventKind.CLOSED, at, actor=voucher.user)

    def suspend_for_a_while(self, vouchers: Iterable[Voucher], at: datetime) -> None:
        """Staff suspend vouchers; most are released some days later."""
        suspended = [voucher for voucher in vouchers if not voucher.held_for & VOID]
        self.hold(
            [(voucher, voucher.held_for | {Hold.SUSPENDED}) for voucher in suspended],
            at,
            actor=self.staff,
            reason="Reported as lost.",
        )

        def release(then: datetime) -> None:
            self.hold(
                [(voucher, voucher.held_for - {Hold.SUSPENDED}) for voucher in suspended],
                then,
                actor=self.staff,
                reason="The owner has it again.",
            )

        if self.random.random() < 0.7:
            self.after(at, (24, 24 * 8), release)

    def extend_by_staff(self, voucher: Voucher, at: datetime) -> None:
        """Staff give a voucher that has expired a month more."""
        if voucher.status_at(at) == VoucherStatus.EXPIRED and not voucher.held_for & VOID:
            days = 30 + (timezone.localdate(at) - timezone.localdate(voucher.expiry_date)).days
            self.extend(voucher, days, at, actor=self.staff, reason="The results came out late.")
