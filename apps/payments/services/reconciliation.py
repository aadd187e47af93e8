"""Comparing the books with Stripe, both ways, and bringing them in line with it.

Needed because a webhook can be lost for good (Stripe's docs, "Process undelivered webhook events"), and because
a process may die between two steps. Looks only, unless told to repair.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from apps.core.locks import try_lock
from apps.payments import gateway, selectors
from apps.payments.errors import PaymentMismatch, PaymentProviderUnavailable
from apps.payments.models import (
    PAID,
    Dispute,
    DisputeOutcome,
    Refund,
    RefundStatus,
    Transaction,
    TransactionStatus,
)

from . import fulfilment
from .payment_comparison import (
    agree,
    is_foreign,
    is_fully_returned,
    is_void,
    paid_intents_of,
    transactions_of,
)
from .refund_decisions import execute_refund, send_automatic_refunds
from .refunds import STATUS_OF
from .stripe_paging import PAGE, SECOND, pages, patiently, spans
from .stripe_sync import SyncKind, settle_payment, sync_dispute, sync_refund

log = logging.getLogger(__name__)

GRACE: Final = timedelta(minutes=5)  # what is younger may still be on its way
PAUSE: Final = 0.05  # seconds between single look-ups: Stripe takes 25 a second of a test account
SILENCES: Final = (
    3  # one after the other, and Stripe is away; a single one may be the fault of what was asked for
)
PAYABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


class AlreadyRunning(Exception):
    """Another reconciliation runs now."""


@dataclass(frozen=True)
class Difference:
    """Where the books and Stripe do not say the same. `name` is stable: docs/operations.md says how to repair it."""

    name: str
    about: str
    repaired: bool = False


@dataclass
class Report:
    """What a reconciliation found; `complete` is False when Stripe could not be asked to the end."""

    differences: list[Difference] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def open(self) -> list[Difference]:
        """The differences that are still there."""
        return [each for each in self.differences if not each.repaired]


def reconcile(*, since: datetime, until: datetime, apply: bool) -> Report:
    """Compare the books with Stripe: everything unfinished, and all that was made between two aware times.

    With `apply` each difference that can be repaired is: paid ones are fulfilled, canceled ones given up, abandoned
    ones canceled at Stripe first and then given up, refunds and disputes brought in line. Without it nothing
    changes here or at Stripe. Raises AlreadyRunning.
    """
    with try_lock("reconcile") as mine:
        if not mine:
            raise AlreadyRunning
        run = _Run(apply)
        try:
            for step in (run.unfinished, run.refunds_under_way, run.unrefunded, run.open_disputes):
                step()
            for start, end in spans(since, until):
                for compare in (run.intents, run.refunds, run.disputes):
                    with run.going_on():
                        compare(start, end)
        except PaymentProviderUnavailable:
            log.warning("Reconciliation: Stripe is away")
    for difference in run.report.differences:
        log.warning(
            "Reconciliation: %s, %s%s",
            difference.name,
            difference.about,
            ", repaired" if difference.repaired else "",
        )
    return run.report


class _Run:
    """One reconciliation."""

    def __init__(self, apply: bool) -> None:
        self.apply = apply
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

    # --- What we have not finished -----------------------------------------------------------------------------

    def unfinished(self) -> None:
        """Every pending transaction is looked up at Stripe, and finished, failed or released."""
        pending = Transaction.objects.filter(
            status=TransactionStatus.PENDING, created_at__lt=timezone.now() - GRACE
        )
        for transaction in pending.select_related("user").order_by("pk").iterator(PAGE):
            self.count("unfinished transactions")
            time.sleep(PAUSE)
            with self.going_on():
                self.look_up(transaction)

    def look_up(self, transaction: Transaction) -> None:
        about = f"transaction {transaction.pk}"
        is_open = transaction.user.is_active
        abandoned = transaction.created_at < timezone.now() - settings.ABANDONED_AFTER
        unpaid = "abandoned" if is_open else "open_for_closed_account"
        try:
            intent = patiently(partial(self.intent_of, transaction))
        except gateway.NotAtStripe:
            self.found("intent_not_at_stripe", f"{about}, {transaction.stripe_payment_intent_id}")
            return
        if intent is None:
            if abandoned or not is_open:
                self.found(unpaid, about, partial(self.give_up, transaction))
        elif intent.succeeded and not agree(transaction, intent):
            if patiently(partial(is_fully_returned, intent.id)):
                self.found("refunded_not_failed", f"{about}, {intent.id}", partial(self.give_up, transaction))
            else:
                self.found("amount_mismatch", f"{about}, {intent.id}")
        elif intent.succeeded:
            self.found_paid(transaction, intent)
        elif intent.canceled:
            self.found("canceled_not_failed", f"{about}, {intent.id}", partial(self.settle, intent.id))
        elif intent.status in PAYABLE and (abandoned or not is_open):
            self.found(unpaid, f"{about}, {intent.id}", partial(self.cancel, intent.id))

    def intent_of(self, transaction: Transaction) -> gateway.Intent | None:
        if transaction.stripe_payment_intent_id:
            return gateway.fetch_intent(transaction.stripe_payment_intent_id)
        return gateway.find_intent(order_id=transaction.reference, since=transaction.created_at)

    def give_up(self, transaction: Transaction) -> bool:
        fulfilment.mark_failed(transaction)
        return True

    def cancel(self, intent_id: str) -> bool:
        """At Stripe first; one that was paid in the last moment is fulfilled."""
        gateway.cancel_intent(intent_id)
        return self.settle(intent_id)

    def settle(self, intent_id: str) -> bool:
        """Looked up once more, with its refunds and disputes: a list of intents has neither."""
        try:
            _, settled = settle_payment(intent_id)
        except PaymentMismatch:
            return False
        return settled is not None and settled.status != TransactionStatus.PENDING

    def found_paid(self, transaction: Transaction, intent: gateway.Intent) -> None:
        """Stripe has the money. Whose account is not open gets it back; that is done when Stripe has the refund."""
        name = "paid_not_fulfilled" if transaction.user.is_active else "paid_by_closed_account"

        def repair() -> bool:
            unsent = transaction.refunds.under_way().filter(stripe_refund_id=None)
            return self.settle(intent.id) and not unsent.exists()

        self.found(name, f"transaction {transaction.pk}, {intent.id}", repair, transaction.pk)

    def refunds_under_way(self) -> None:
        """Refunds that are due and perhaps not sent, and those that wait for a bank."""
        under_way = Refund.objects.filter(
            Q(status__in=(RefundStatus.APPROVED, RefundStatus.PENDING))
            | Q(pk__in=Refund.objects.waiting_to_be_sent()),
            updated_at__lt=timezone.now() - GRACE,
        )
        for refund in under_way.order_by("pk").iterator(PAGE):
            self.count("refunds under way")
            time.sleep(PAUSE)
            with self.going_on():
                if refund.stripe_refund_id is None:
                    self.found("refund_not_sent", f"refund {refund.pk}", partial(self.send, refund))
                else:
                    self.look_up_refund(refund, refund.stripe_refund_id)

    def look_up_refund(self, refund: Refund, refund_id: str) -> None:
        try:
            made = patiently(partial(gateway.fetch_refund, refund_id))
        except gateway.NotAtStripe:
            self.found("refund_not_at_stripe", f"refund {refund.pk}, {refund_id}")
        else:
            self.compare_refund(made, refund)

    def send(self, refund: Refund) -> bool:
        try:
            if refund.status == RefundStatus.REQUESTED:
                send_automatic_refunds(refund.transaction)
            return execute_refund(refund.pk).status not in (RefundStatus.REQUESTED, RefundStatus.APPROVED)
        except gateway.NotAtStripe:  # the payment that it is of
            return False

    def unrefunded(self) -> None:
        """Payments of closed accounts whose refund came to nothing."""
        for transaction in selectors.unrefunded_of_closed_accounts().order_by("pk"):
            self.found("closed_account_not_refunded", f"transaction {transaction.pk}")

    def open_disputes(self) -> None:
        """Disputes whose end we may have missed."""
        for dispute in Dispute.objects.filter(outcome=DisputeOutcome.OPEN).order_by("pk").iterator(PAGE):
            self.count("open disputes")
            time.sleep(PAUSE)
            with self.going_on():
                self.look_up_dispute(dispute)

    def look_up_dispute(self, dispute: Dispute) -> None:
        try:
            made = patiently(partial(gateway.fetch_dispute, dispute.stripe_dispute_id))
        except gateway.NotAtStripe:
            self.found("dispute_not_at_stripe", f"dispute {dispute.pk}, {dispute.stripe_dispute_id}")
        else:
            self.compare_dispute(made, dispute)

    # --- Stripe's own list, and back ---------------------------------------------------------------------------

    def intents(self, start: datetime, end: datetime) -> None:
        """Each paid intent with our metadata has one transaction, of the same amount; and the reverse."""
        grace = timezone.now() - GRACE
        paid_at_stripe: set[str] = set()
        for page in pages(gateway.intents_created(start, end - SECOND, patiently)):
            ours = transactions_of(page)
            for intent in page:
                self.count("intents at Stripe")
                transaction = ours.get(intent.id) or ours.get(intent.order_id)
                if intent.succeeded:
                    paid_at_stripe.add(intent.id)
                if transaction is None:
                    if is_foreign(intent):
                        self.count("intents of others")
                    elif intent.succeeded:
                        about = f"{intent.id}, order {intent.order_id}"
                        self.found_unless_returned("paid_unknown_order", about, intent)
                    continue
                about = f"transaction {transaction.pk}, {intent.id}"
                if transaction.stripe_payment_intent_id not in (None, intent.id):
                    if intent.succeeded:
                        self.found_unless_returned("paid_twice", about, intent)
                elif intent.succeeded and not agree(transaction, intent):
                    self.found_unless_returned("amount_mismatch", about, intent)
                elif intent.succeeded and not transaction.is_paid and transaction.created_at < grace:
                    self.found_paid(transaction, intent)
        claimed = Transaction.objects.filter(
            status__in=PAID, amount__gt=0, created_at__gte=start, created_at__lt=end
        )
        for transaction in claimed.order_by("pk").iterator(PAGE):
            self.count("paid transactions")
            if transaction.stripe_payment_intent_id not in paid_at_stripe:
                time.sleep(PAUSE)
                with self.going_on():
                    self.check_paid(transaction)

    def check_paid(self, transaction: Transaction) -> None:
        """One whose intent was not made on the same day, or never."""
        about = f"transaction {transaction.pk}"
        try:
            intent = patiently(partial(gateway.fetch_intent, transaction.stripe_payment_intent_id or ""))
        except gateway.NotAtStripe:
            paid = False
        else:
            paid = intent.succeeded
        if paid and not agree(transaction, intent):
            self.found_unless_returned("amount_mismatch", f"{about}, {intent.id}", intent)
        elif not paid and not is_void(transaction):
            self.found("fulfilled_not_paid", about)

    def refunds(self, start: datetime, end: datetime) -> None:
        """Each refund of a payment that gave vouchers is in the books, as it is at Stripe; and the reverse."""
        at_stripe: set[str] = set()
        for page in pages(gateway.refunds_created(start, end - SECOND, patiently)):
            ours = paid_intents_of({made.intent_id for made in page})
            known = {
                refund.stripe_refund_id: refund
                for refund in Refund.objects.filter(stripe_refund_id__in=[made.id for made in page])
            }
            for made in page:
                self.count("refunds at Stripe")
                at_stripe.add(made.id)
                if made.intent_id in ours:
                    self.compare_refund(made, known.get(made.id))
        claimed = Refund.objects.filter(
            status=RefundStatus.SUCCEEDED, created_at__gte=start, created_at__lt=end
        )
        for refund in claimed.exclude(stripe_refund_id=None).order_by("pk").iterator(PAGE):
            if refund.stripe_refund_id not in at_stripe:
                time.sleep(PAUSE)
                with self.going_on():
                    self.look_up_refund(refund, refund.stripe_refund_id or "")

    def disputes(self, start: datetime, end: datetime) -> None:
        """Each dispute of a payment that gave vouchers is in the books, as it is at Stripe."""
        for page in pages(gateway.disputes_created(start, end - SECOND, patiently)):
            ours = paid_intents_of({made.intent_id for made in page})
            rows = Dispute.objects.filter(stripe_dispute_id__in=[made.id for made in page])
            known = {dispute.stripe_dispute_id: dispute for dispute in rows}
            for made in page:
                self.count("disputes at Stripe")
                if made.intent_id in ours:
                    self.compare_dispute(made, known.get(made.id))

    def compare_refund(self, made: gateway.Refund, known: Refund | None) -> None:
        if known is None:
            self.found("refund_unknown", made.id, partial(self.take_over, made.id))
        elif known.amount != made.amount:
            self.found("refund_mismatch", f"refund {known.pk}, {made.id}")
        elif known.status != STATUS_OF.get(made.status, RefundStatus.PENDING):
            self.found("refund_moved", f"refund {known.pk}, {made.id}", partial(self.move, known, made.id))

    def take_over(self, refund_id: str) -> bool:
        return sync_refund(refund_id).kind is SyncKind.REFUND

    def move(self, known: Refund, refund_id: str) -> bool:
        sync_refund(refund_id)
        return Refund.objects.filter(pk=known.pk).exclude(status=known.status).exists()

    def compare_dispute(self, made: gateway.Dispute, known: Dispute | None) -> None:
        if known is not None and (known.stripe_status, known.amount) == (made.status, made.amount):
            return
        name = "dispute_unknown" if known is None else "dispute_moved"
        self.found(name, made.id, lambda: sync_dispute(made.id).kind is SyncKind.DISPUTE, made.id)

    # --- Notes -------------------------------------------------------------------------------------------------

    def count(self, what: str) -> None:
        self.report.checked[what] = self.report.checked.get(what, 0) + 1

    def found_unless_returned(self, name: str, about: str, intent: gateway.Intent) -> None:
        """Note what a person ends by giving the money back, unless that has happened."""
        time.sleep(PAUSE)
        with self.going_on():
            if not patiently(partial(is_fully_returned, intent.id)):
                self.found(name, about)

    def found(
        self,
        name: str,
        about: str,
        repair: Callable[[], bool] | None = None,
        key: object = None,
    ) -> None:
        """Note a difference, once, and repair it if that can be done and is wanted."""
        mark = (name, str(key or about))
        if mark in self.seen:
            return
        self.seen.add(mark)
        repaired = False
        try:
            repaired = bool(self.apply and repair and patiently(repair))
        except PaymentProviderUnavailable:
            raise
        except (
            Exception
        ):  # one bad row must not keep the others from being repaired, at this run and every other
            log.exception("Reconciliation: %s, %s could not be repaired", name, about)
        finally:
            self.report.differences.append(Difference(name, about, repaired))
