"""Money that goes back in the demo history: refunds and disputes of a purchase, and what follows from them."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from uuid import UUID

from apps.core.money import decimal_places
from apps.payments.models import (
    UNDER_WAY,
    Dispute,
    DisputeOutcome,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.payments.services.allocation import COUNTING, total
from apps.users.models import User
from apps.vouchers.models import Voucher
from apps.vouchers.states import MONEY_HOLDS, Hold

from .timeline import Timeline

EVIDENCE_PERIOD: Final = timedelta(days=9)  # for which the bank takes evidence
UNREFUNDABLE: Final = frozenset(Hold) - {Hold.WITHDRAWN}
REASONS: Final = (
    "Bought the wrong voucher.",
    "The school paid for us already.",
    "Bought twice by mistake.",
    "No longer needed.",
)


class RefundsAndDisputes:
    """The refunds and disputes of one paid purchase. At most one of its methods is planned for a purchase."""

    def __init__(self, timeline: Timeline, paid: Transaction, vouchers: list[Voucher]) -> None:
        self.timeline, self.paid, self.vouchers = timeline, paid, vouchers
        self.refunds: list[Refund] = []
        self.disputes: list[Dispute] = []
        self.lines: list[RefundedVoucher] = []

    @property
    def random(self) -> Random:
        return self.timeline.random

    # --- Refunds -------------------------------------------------------------------------------------------------

    def request(self, at: datetime, *, by: User, origin: RefundOrigin) -> None:
        """The buyer, or staff, asks for the money of all unused vouchers; staff decide in the following days."""
        unused = [
            voucher
            for voucher in self.vouchers
            if not voucher.uses_made and voucher.expiry_date > at and not voucher.held_for & UNREFUNDABLE
        ]
        if not unused:
            return
        refund = self._refund(self.paid.unit_price * len(unused), origin, self.random.choice(REASONS), at)
        refund.requested_by = by
        lines = [RefundedVoucher(refund=refund, voucher=voucher) for voucher in unused]
        self.lines += lines
        self.timeline.rows.refunded += lines
        self._recalculate(at, refund, "Refund {} requested", by)
        self.timeline.after(at, (3, 24 * 5), lambda then: self._decide(refund, then))

    def refund_in_dashboard(self, at: datetime) -> None:
        """A part of a voucher's price goes back in Stripe's dashboard, as goodwill: no voucher is void for it."""
        share = self.random.choice((Decimal("0.10"), Decimal("0.20"), Decimal("0.25")))
        part = round(self.paid.unit_price * share, decimal_places(self.paid.currency))
        refund = self._refund(part, RefundOrigin.STRIPE, "Made in Stripe's dashboard.", at)
        refund.stripe_refund_id = self._stripe_id("re")
        self._end(refund, RefundStatus.SUCCEEDED, at)
        self._recalculate(at, refund, "Refund {} succeeded")

    def _refund(self, amount: Decimal, origin: RefundOrigin, reason: str, at: datetime) -> Refund:
        reference = UUID(int=self.random.getrandbits(128), version=4)
        refund = Refund(
            transaction=self.paid,
            reference=reference,
            amount=amount,
            origin=origin,
            reason=reason,
            created_at=at,
        )
        self.refunds.append(refund)
        self.timeline.rows.refunds.append(refund)
        return refund

    def _decide(self, refund: Refund, at: datetime) -> None:
        staff = self.timeline.staff
        refund.decided_by, refund.decided_at = staff, at
        outcome = self.random.choices(("succeeded", "rejected", "failed"), (75, 17, 8))[0]
        if outcome == "rejected":
            refund.decision_note = "The voucher was checked at the counter."
            self._end(refund, RefundStatus.REJECTED, at)
            self._recalculate(at, refund, "Refund {} rejected", staff)
            return
        refund.stripe_refund_id = self._stripe_id("re")
        self._end(refund, RefundStatus.SUCCEEDED, at + timedelta(seconds=2))
        self._recalculate(at + timedelta(seconds=2), refund, "Refund {} succeeded")
        if outcome == "failed":  # the bank sends the money back days after it was on its way
            self.timeline.after(at, (24, 24 * 4), lambda then: self._fail(refund, then))

    def _fail(self, refund: Refund, at: datetime) -> None:
        refund.failure_reason = "expired_or_canceled_card"
        self._end(refund, RefundStatus.FAILED, at)
        self._recalculate(at, refund, "Refund {} failed")

    def _end(self, refund: Refund, status: RefundStatus, at: datetime) -> None:
        refund.status, refund.finished_at = status, at
        if status != RefundStatus.SUCCEEDED:
            for line in self.lines:
                line.live = line.live and line.refund is not refund

    # --- Disputes ------------------------------------------------------------------------------------------------

    def dispute(self, at: datetime) -> None:
        """The buyer's bank takes the payment back, or the price of one voucher; most are decided weeks later."""
        whole = self.random.random() < 0.7
        dispute = Dispute(
            transaction=self.paid,
            stripe_dispute_id=self._stripe_id("du"),
            amount=self.paid.amount if whole else self.paid.unit_price,
            reason=self.random.choice(("fraudulent", "product_not_received", "duplicate")),
            stripe_status="needs_response",
            respond_by=(at + EVIDENCE_PERIOD).replace(microsecond=0),
            opened_at=at,
        )
        self.disputes.append(dispute)
        self.timeline.rows.disputes.append(dispute)
        self._recalculate(at, dispute, "Dispute {} open")
        self.timeline.after(at, (24 * 2, 24 * 8), lambda then: self._answer(dispute))
        self.timeline.after(at, (24 * 12, 24 * 45), lambda then: self._close(dispute, then))

    def _answer(self, dispute: Dispute) -> None:
        """Staff send their evidence in time."""
        dispute.stripe_status = "under_review"

    def _close(self, dispute: Dispute, at: datetime) -> None:
        outcome = self.random.choice((DisputeOutcome.WON, DisputeOutcome.LOST))
        dispute.outcome, dispute.stripe_status, dispute.closed_at = outcome, outcome.value, at
        self._recalculate(at, dispute, f"Dispute {{}} {outcome.label.lower()}")

    # --- What follows --------------------------------------------------------------------------------------------

    def _recalculate(
        self, at: datetime, subject: Refund | Dispute, reason: str, actor: User | None = None
    ) -> None:
        """Derive amounts, status and holds, as `recalculate` does: here refunds and disputes never meet."""
        paid = self.paid
        counting = [refund for refund in self.refunds if refund.status in COUNTING]
        refunding = total(refund.amount for refund in counting if refund.status in UNDER_WAY)
        refunded = total(refund.amount for refund in counting if refund.status == RefundStatus.SUCCEEDED)
        lost = total(each.amount for each in self.disputes if each.outcome == DisputeOutcome.LOST)
        disputed = any(each.outcome == DisputeOutcome.OPEN for each in self.disputes)
        paid.amount_refunding, paid.amount_refunded = refunding, refunded + lost
        paid.amount_goodwill = total(
            refund.amount for refund in counting if refund.origin == RefundOrigin.STRIPE
        )
        all_back = paid.amount_refunded == paid.amount
        paid.status = TransactionStatus.REFUNDED if all_back else TransactionStatus.COMPLETED
        self.timeline.rows.touch(paid, at)

        # Of a lost dispute those are void that were used least, as many as its amount pays for.
        by_use = sorted(self.vouchers, key=lambda each: (not each.uses_remaining, each.uses_made))
        void = by_use[: int(lost / paid.unit_price)]
        refund_of = {id(line.voucher): line.refund for line in self.lines if line.live}
        targets = []
        for voucher in self.vouchers:
            holds = set(voucher.held_for - MONEY_HOLDS)
            refund = refund_of.get(id(voucher))
            # Compared by identity, as the rows have no numbers yet.
            if any(voucher is each for each in void) or (refund and refund.status == RefundStatus.SUCCEEDED):
                holds.add(Hold.REFUNDED)
            elif refund:
                holds.add(Hold.REFUND_PENDING)
            if disputed:
                holds.add(Hold.DISPUTED)
            targets.append((voucher, holds))
        self.timeline.hold(targets, at, reason=reason, actor=actor, subject=subject)

    def _stripe_id(self, prefix: str) -> str:
        return f"{prefix}_demo{self.random.getrandbits(80):020x}"
