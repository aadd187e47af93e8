"""The purchases of the demo history: paid, failed and given up, and what is planned for their vouchers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from apps.payments.models import RefundOrigin, SoldVoucher, Transaction, TransactionStatus
from apps.users.models import User
from apps.vouchers import services
from apps.vouchers.models import VoucherType

from . import catalogue, redemptions, rhythm
from .people import People, Person
from .refunds_and_disputes import RefundsAndDisputes
from .rows import ABANDONED_AFTER, Rows
from .timeline import Timeline

FAILED: Final = 0.08  # share that is never paid: declined, or given up and canceled a day later
# Shares of the paid ones of which money goes back, or is asked for.
REQUESTED, BY_STAFF, DISPUTED, GOODWILL = 0.06, 0.015, 0.02, 0.012


def voucher_terms(voucher_type: VoucherType, owner: User, at: datetime) -> dict[str, Any]:
    """The columns of a voucher of this type that is issued now, but for those that say where it is from."""
    terms = services.terms_of(voucher_type)
    return {
        "voucher_type": voucher_type,
        "user": owner,
        "type_name": terms.type_name,
        "service_type": terms.service_type,
        "face_value": terms.face_value,
        "currency": terms.currency,
        "expiry_date": services.expiry_of(at, terms.validity_days),
        "total_uses": terms.max_uses,
        "uses_remaining": terms.max_uses,
    }


class Purchases:
    """Makes purchases one after the other."""

    def __init__(self, rows: Rows, people: People, types: list[VoucherType], end: datetime) -> None:
        self.rows, self.people, self.types, self.end = rows, people, types, end

    def add(self, random: Random, at: datetime) -> None:
        """A purchase that is started at this time, with all that comes of it."""
        buyer = self.people.draw(random, at)
        if buyer is None or at > self.end:
            return
        peak = rhythm.results_peak(timezone.localdate(at)) > 1
        purchase = _started(random, buyer.user, catalogue.draw_type(random, self.types, peak=peak), at)
        fails = random.random() < FAILED
        if fails and at + ABANDONED_AFTER > self.end:
            return  # it would be pending still
        self.rows.transactions.append(purchase)
        if fails:
            purchase.status = TransactionStatus.FAILED
        else:
            self._pay(random, purchase, buyer, at + timedelta(seconds=random.randint(15, 240)))

    def _pay(self, random: Random, paid: Transaction, buyer: Person, at: datetime) -> None:
        at = min(at, self.end)
        paid.status, paid.completed_at = TransactionStatus.COMPLETED, at
        if buyer.closed_at is None or buyer.closed_at > self.end:
            paid.buyer_name, paid.buyer_email = buyer.user.full_name, buyer.user.email
        timeline = Timeline(self.rows, random, self.end, self.people.staff)
        terms = voucher_terms(paid.voucher_type, buyer.user, at)
        vouchers = timeline.issue(paid.quantity, terms, at)
        self.rows.sold += [
            SoldVoucher(transaction=paid, line_no=line_no, voucher=voucher)
            for line_no, voucher in enumerate(vouchers, start=1)
        ]
        for voucher in vouchers:
            redemptions.plan(timeline, voucher, buyer, self.people, at)
        self._plan_return(timeline, RefundsAndDisputes(timeline, paid, vouchers), buyer, at)
        if buyer.closed_at:
            timeline.at(buyer.closed_at, timeline.close_owner)
        timeline.run()

    def _plan_return(
        self, timeline: Timeline, returns: RefundsAndDisputes, buyer: Person, at: datetime
    ) -> None:
        """Plan at most one thing that sends money back."""
        staff = self.people.staff

        def ask(then: datetime) -> None:
            if buyer.is_open(then):
                returns.request(then, by=buyer.user, origin=RefundOrigin.BUYER)

        plans: Mapping[Any, tuple[float, tuple[float, float]]] = {
            ask: (REQUESTED, (0.2, 24 * 10)),
            lambda then: returns.request(then, by=staff, origin=RefundOrigin.STAFF): (BY_STAFF, (2, 24 * 20)),
            returns.dispute: (DISPUTED, (24 * 3, 24 * 40)),
            returns.refund_in_dashboard: (GOODWILL, (5, 24 * 5)),
        }
        chance = timeline.random.random()
        for step, (share, hours) in plans.items():
            if chance < share:
                timeline.after(at, hours, step)
                return
            chance -= share


def _started(random: Random, buyer: User, voucher_type: VoucherType, at: datetime) -> Transaction:
    terms, quantity = services.terms_of(voucher_type), catalogue.draw_quantity(random)
    return Transaction(
        reference=UUID(int=random.getrandbits(128), version=4),
        user=buyer,
        voucher_type=voucher_type,
        type_name=terms.type_name,
        quantity=quantity,
        unit_price=terms.face_value,
        amount=terms.face_value * quantity,
        currency=terms.currency,
        service_type=terms.service_type,
        validity_days=terms.validity_days,
        max_uses=terms.max_uses,
        stripe_payment_intent_id=f"pi_demo{random.getrandbits(80):020x}",
        created_at=at,
    )
