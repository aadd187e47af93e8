"""One run through all that is compared, and the loop that repairs."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db.models import Q
from django.utils import timezone

from apps.core import leases
from apps.payments import gateway, selectors
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import (
    PAID,
    Dispute,
    DisputeOutcome,
    Refund,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.payments.services.fulfilment import is_paid_in_full

from .comparison import (
    Difference,
    compare_dispute,
    compare_listed,
    compare_paid,
    compare_refund,
    compare_unfinished,
    is_foreign,
    paid_intents_of,
    transactions_of,
)
from .paging import PAGE, SECOND, pages, patiently, spans
from .repairs import REPAIRS
from .report import Report, ReportedDifference

log = logging.getLogger(__name__)

GRACE: Final = timedelta(minutes=5)  # what is younger may still be on its way
PAUSE: Final = 0.05  # seconds between single look-ups: Stripe takes 25 a second of a test account
SILENCES: Final = 3  # one after the other, and Stripe is away; a single one may be the fault of one object
ENDED_BY_RETURN: Final = ("paid_unknown_order", "paid_twice", "amount_mismatch")

Part = Iterator[Difference]


class AlreadyRunning(Exception):
    """Another reconciliation runs now."""


def reconcile(*, since: datetime, until: datetime, apply: bool) -> Report:
    """Compare the books with Stripe: everything unfinished, and all that was created between two aware times.

    With `apply` each difference that can be repaired is: paid ones are fulfilled, canceled ones marked as failed,
    abandoned ones canceled at Stripe first and then marked, refunds and disputes brought in line. Without it nothing
    changes here or at Stripe. Raises AlreadyRunning, also where another took over because this one hung for longer
    than its lease: then it repairs nothing more, and what it repaired is in the log.
    """
    with leases.try_acquire("reconcile") as lease:
        if lease is None:
            raise AlreadyRunning
        run = _Run(apply, lease)
        try:
            for part in run.parts(since, until):
                lease.renew()
                with run.going_on():
                    for difference in part:
                        run.handle(difference)
        except PaymentProviderUnavailable:
            log.warning("Reconciliation: Stripe is away")
        except leases.LeaseLost as error:
            raise AlreadyRunning from error
        finally:
            _log(run.report)
    return run.report


def _log(report: Report) -> None:
    for reported in report.differences:
        log.warning(
            "Reconciliation: %s, %s%s",
            reported.name,
            reported.about,
            ", repaired" if reported.repaired else "",
        )


@dataclass
class _Listing:
    """The ids in a list of Stripe's, and whether it could be read to its end."""

    ids: set[str] = field(default_factory=set)
    complete: bool = False


class _Run:
    """One reconciliation, in parts: single rows of ours, and lists of Stripe's.

    A part is requested from Stripe only when its differences are gone through, and each is handled before the next is
    looked for. A part ends where Stripe does not answer, and the next has its turn.
    """

    def __init__(self, apply: bool, lease: leases.HeldLease) -> None:
        self.apply = apply
        self.lease = lease
        self.report = Report()
        self.seen: set[tuple[str, str]] = set()
        self.silences = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """What Stripe does not answer is left out, and the rest has its turn, unless Stripe seems to be away."""
        try:
            yield
        except PaymentProviderUnavailable:
            self.report.complete = False
            self.silences += 1
            if self.silences >= SILENCES:
                raise
        else:
            self.silences = 0

    def handle(self, difference: Difference) -> None:
        """Report a difference, once, and repair it before that if it can be and is to be."""
        mark = (difference.name, difference.key or difference.about)
        if mark in self.seen:
            return
        self.seen.add(mark)
        repaired = False
        if self.apply:
            self.lease.renew()
        try:
            repaired = self.apply and _repair(difference)
        finally:
            self.report.differences.append(ReportedDifference(difference.name, difference.about, repaired))

    def parts(self, since: datetime, until: datetime) -> Iterator[Part]:
        """All parts: first what we have not finished, then Stripe's lists day by day, each with ours beside it."""
        yield from self.unfinished()
        yield from self.refunds_under_way()
        yield from self.unrefunded()
        yield from self.open_disputes()
        for start, end in spans(since, until):
            yield from self.payments(start, end)
            yield from self.refunds(start, end)
            yield self.listed_disputes(start, end)

    # --- What we have not finished -----------------------------------------------------------------------------

    def unfinished(self) -> Iterator[Part]:
        """Every pending transaction is looked up at Stripe, and finished, failed or released."""
        pending = Transaction.objects.filter(
            status=TransactionStatus.PENDING, created_at__lt=timezone.now() - GRACE
        )
        for transaction in pending.select_related("user").order_by("pk").iterator(PAGE):
            self.report.count("unfinished transactions")
            time.sleep(PAUSE)
            yield self.look_up(transaction)

    def look_up(self, transaction: Transaction) -> Part:
        try:
            intent = patiently(partial(_intent_of, transaction))
        except gateway.NotAtStripe:
            about = f"transaction {transaction.pk}, {transaction.stripe_payment_intent_id}"
            yield Difference("intent_not_at_stripe", about)
            return
        mismatch = intent is not None and intent.succeeded and not is_paid_in_full(transaction, intent)
        returned = intent is not None and mismatch and patiently(partial(_is_fully_returned, intent.id))
        if difference := compare_unfinished(transaction, intent, returned=returned, now=timezone.now()):
            yield difference

    def refunds_under_way(self) -> Iterator[Part]:
        """Refunds that are due and perhaps not sent, and those that wait for a bank."""
        under_way = Refund.objects.filter(
            Q(status__in=(RefundStatus.APPROVED, RefundStatus.PENDING))
            | Q(pk__in=Refund.objects.waiting_to_be_sent()),
            updated_at__lt=timezone.now() - GRACE,
        )
        for refund in under_way.order_by("pk").iterator(PAGE):
            self.report.count("refunds under way")
            time.sleep(PAUSE)
            if refund.stripe_refund_id is None:
                yield iter([Difference("refund_not_sent", f"refund {refund.pk}", refund=refund)])
            else:
                yield self.look_up_refund(refund, refund.stripe_refund_id)

    def look_up_refund(self, refund: Refund, refund_id: str) -> Part:
        try:
            at_stripe = patiently(partial(gateway.fetch_refund, refund_id))
        except gateway.NotAtStripe:
            yield Difference("refund_not_at_stripe", f"refund {refund.pk}, {refund_id}")
        else:
            if difference := compare_refund(at_stripe, refund):
                yield difference

    def unrefunded(self) -> Iterator[Part]:
        """Payments of closed accounts whose refund came to nothing."""
        for transaction in selectors.unrefunded_of_closed_accounts().order_by("pk"):
            yield iter([Difference("closed_account_not_refunded", f"transaction {transaction.pk}")])

    def open_disputes(self) -> Iterator[Part]:
        """Disputes whose end we may have missed."""
        for dispute in Dispute.objects.filter(outcome=DisputeOutcome.OPEN).order_by("pk").iterator(PAGE):
            self.report.count("open disputes")
            time.sleep(PAUSE)
            yield self.look_up_dispute(dispute)

    def look_up_dispute(self, dispute: Dispute) -> Part:
        try:
            at_stripe = patiently(partial(gateway.fetch_dispute, dispute.stripe_dispute_id))
        except gateway.NotAtStripe:
            about = f"dispute {dispute.pk}, {dispute.stripe_dispute_id}"
            yield Difference("dispute_not_at_stripe", about)
        else:
            if difference := compare_dispute(at_stripe, dispute):
                yield difference

    # --- Stripe's own list, and back ---------------------------------------------------------------------------

    def payments(self, start: datetime, end: datetime) -> Iterator[Part]:
        """Each paid intent with our metadata has one transaction, of the same amount; and the reverse."""
        paid_at_stripe = _Listing()
        yield self.listed_intents(start, end, paid_at_stripe)
        if not paid_at_stripe.complete:
            return
        claimed = Transaction.objects.filter(
            status__in=PAID, amount__gt=0, created_at__gte=start, created_at__lt=end
        )
        for transaction in claimed.order_by("pk").iterator(PAGE):
            self.report.count("paid transactions")
            if transaction.stripe_payment_intent_id not in paid_at_stripe.ids:
                time.sleep(PAUSE)
                yield self.look_up_paid(transaction)

    def listed_intents(self, start: datetime, end: datetime, paid_at_stripe: _Listing) -> Part:
        started_before = timezone.now() - GRACE
        for page in pages(gateway.intents_created(start, end - SECOND, patiently)):
            self.lease.renew()  # a busy day's list takes longer than a lease
            ours = transactions_of(page)
            for intent in page:
                self.report.count("intents at Stripe")
                transaction = ours.get(intent.id) or ours.get(intent.order_id)
                if intent.succeeded:
                    paid_at_stripe.ids.add(intent.id)
                if transaction is None and is_foreign(intent):
                    self.report.count("intents of others")
                difference = compare_listed(intent, transaction, started_before=started_before)
                if difference and not self.is_ended(difference):
                    yield difference
        paid_at_stripe.complete = True

    def look_up_paid(self, transaction: Transaction) -> Part:
        """One whose intent was not created on the same day, or never."""
        intent: gateway.Intent | None
        try:
            intent = patiently(partial(gateway.fetch_intent, transaction.stripe_payment_intent_id or ""))
        except gateway.NotAtStripe:
            intent = None
        difference = compare_paid(transaction, intent)
        if difference and not self.is_ended(difference):
            yield difference

    def is_ended(self, difference: Difference) -> bool:
        """Whether a person has ended a difference by giving the money back. Unknown counts as ended, for this time."""
        if difference.name not in ENDED_BY_RETURN:
            return False
        time.sleep(PAUSE)
        with self.going_on():
            if not patiently(partial(_is_fully_returned, difference.stripe_id)):
                return False
        return True

    def refunds(self, start: datetime, end: datetime) -> Iterator[Part]:
        """Each refund of a payment that gave vouchers is in the books, as it is at Stripe; and the reverse."""
        at_stripe = _Listing()
        yield self.listed_refunds(start, end, at_stripe)
        if not at_stripe.complete:
            return
        claimed = Refund.objects.filter(
            status=RefundStatus.SUCCEEDED, created_at__gte=start, created_at__lt=end
        )
        for refund in claimed.exclude(stripe_refund_id=None).order_by("pk").iterator(PAGE):
            if refund.stripe_refund_id not in at_stripe.ids:
                time.sleep(PAUSE)
                yield self.look_up_refund(refund, refund.stripe_refund_id or "")

    def listed_refunds(self, start: datetime, end: datetime, listing: _Listing) -> Part:
        for page in pages(gateway.refunds_created(start, end - SECOND, patiently)):
            self.lease.renew()
            ours = paid_intents_of({at_stripe.intent_id for at_stripe in page})
            rows = Refund.objects.filter(stripe_refund_id__in=[at_stripe.id for at_stripe in page])
            refunds = {refund.stripe_refund_id: refund for refund in rows}
            for at_stripe in page:
                self.report.count("refunds at Stripe")
                listing.ids.add(at_stripe.id)
                difference = compare_refund(at_stripe, refunds.get(at_stripe.id))
                if difference and at_stripe.intent_id in ours:
                    yield difference
        listing.complete = True

    def listed_disputes(self, start: datetime, end: datetime) -> Part:
        """Each dispute of a payment that gave vouchers is in the books, as it is at Stripe."""
        for page in pages(gateway.disputes_created(start, end - SECOND, patiently)):
            self.lease.renew()
            ours = paid_intents_of({at_stripe.intent_id for at_stripe in page})
            rows = Dispute.objects.filter(stripe_dispute_id__in=[at_stripe.id for at_stripe in page])
            disputes = {dispute.stripe_dispute_id: dispute for dispute in rows}
            for at_stripe in page:
                self.report.count("disputes at Stripe")
                difference = compare_dispute(at_stripe, disputes.get(at_stripe.id))
                if difference and at_stripe.intent_id in ours:
                    yield difference


def _repair(difference: Difference) -> bool:
    """Repair a difference; whether it is gone. Raises PaymentProviderUnavailable."""
    repair = REPAIRS.get(difference.name)
    if repair is None:
        return False
    try:
        return patiently(partial(repair, difference))
    except PaymentProviderUnavailable:
        raise
    except Exception:  # one bad row must not keep the others from being repaired, at this run and every other
        log.exception("Reconciliation: %s, %s could not be repaired", difference.name, difference.about)
        return False


def _intent_of(transaction: Transaction) -> gateway.Intent | None:
    if transaction.stripe_payment_intent_id:
        return gateway.fetch_intent(transaction.stripe_payment_intent_id)
    return gateway.find_intent(order_id=transaction.reference, since=transaction.created_at)


def _is_fully_returned(intent_id: str) -> bool:
    """Whether all that an intent paid has left again, by refunds that succeeded and disputes that were lost.

    Raises NotAtStripe or PaymentProviderUnavailable.
    """
    intent = gateway.fetch_intent(intent_id)
    refunded = [refund.amount for refund in intent.refunds if refund.status == "succeeded"]
    lost = [dispute.amount for dispute in intent.disputes if dispute.status == "lost"]
    return sum(refunded) + sum(lost) >= intent.amount_received
