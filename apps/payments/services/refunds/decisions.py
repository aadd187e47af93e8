"""Deciding about refunds, and sending those that were approved to Stripe.

Whenever vouchers may be let go, because Stripe refuses or because staff reject, what Stripe knows of the payment is
taken over in the same database transaction.
"""

import logging
from collections.abc import Callable

from django.db import transaction as database
from django.db.models import F
from django.utils import timezone

from apps.core.second_person import SecondPersonNeeded
from apps.payments import gateway
from apps.payments.errors import (
    PaymentDisputed,
    PaymentProviderUnavailable,
    RefundDecided,
    RefundNotFound,
)
from apps.payments.models import Refund, RefundStatus, Transaction
from apps.payments.services import emails, fulfilment
from apps.payments.services.allocation import amount_needs_second_person, end_refund, going_back
from apps.payments.services.recalculation import lock_transaction, recalculate
from apps.users.models import User

from .stripe_sync import apply_refund

log = logging.getLogger(__name__)


def approve_refund(*, refund_id: int, actor: User, note: str = "") -> Refund:
    """Approve a refund and execute it at Stripe. Raises RefundNotFound, RefundDecided, PaymentDisputed.

    Above the set amount (SECOND_PERSON_REFUNDS, when it was asked for or now) who asked for it may not, and
    SecondPersonNeeded is raised.

    Raises PaymentProviderUnavailable when it is not known whether Stripe executed it: it stays approved, and
    `execute_refund` goes on with it.
    """
    with database.atomic():
        refund = _locked_refund(refund_id)
        if refund.status != RefundStatus.REQUESTED:
            raise RefundDecided
        if refund.transaction.disputes.blocking().exists():
            raise PaymentDisputed
        paid = refund.transaction
        if amount_needs_second_person(paid, going_back(paid)):
            refund.needs_second_person = True
        if refund.needs_second_person and refund.requested_by == actor:
            raise SecondPersonNeeded
        _decide(refund, actor, note)
        refund.status = RefundStatus.APPROVED
        decision = ("status", "decided_by", "decided_at", "decision_note")
        refund.save(update_fields=(*decision, "needs_second_person", "updated_at"))
    return _send(refund)


def reject_refund(*, refund_id: int, actor: User, note: str) -> Refund:
    """Reject a refund: its vouchers are released, unless Stripe knows a reason to hold them.

    Raises RefundNotFound, RefundDecided, or PaymentProviderUnavailable: then it is not decided.
    """
    refund = _refund(refund_id)
    if refund.status != RefundStatus.REQUESTED:
        raise RefundDecided

    done = False

    def reject() -> None:
        nonlocal done
        rejected = _locked_refund(refund_id)
        done = rejected.status == RefundStatus.REQUESTED
        if not done:
            return
        _decide(rejected, actor, note)
        end_refund(rejected, RefundStatus.REJECTED)
        recalculate(rejected.transaction, reason=f"Refund {refund_id} rejected", actor=actor)
        emails.refund_decided(rejected)

    _let_go(refund, reject)
    if not done:
        raise RefundDecided
    return _refund(refund_id)


def execute_refund(refund_id: int) -> Refund:
    """Go on with a refund that was approved, when it is not known what Stripe did; changes nothing for others.

    It is looked up at Stripe first: an error may have had an effect. Where it is not there it is sent again, under the
    next key if Stripe keeps the error under the one before. Raises RefundNotFound or PaymentProviderUnavailable.
    """
    refund = _refund(refund_id)  # with its attempt, which must be read before the call to Stripe
    if refund.status != RefundStatus.APPROVED or refund.stripe_refund_id:
        return refund
    for at_stripe in gateway.refunds_of(_intent_id_of(refund)):
        if at_stripe.reference == str(refund.reference):
            fulfilment.bring_in_line(at_stripe.intent_id, all_refunds=True)
            return _refund(refund_id)
    return _send(refund)


def send_automatic_refunds(paid: Transaction) -> None:
    """Approve and send what is to go back of a payment without anybody's decision, unless a dispute is open.

    Where Stripe does not answer that is logged, and the next reconciliation goes on.
    """
    for refund_id in paid.refunds.waiting_to_be_sent().values_list("pk", flat=True):
        with database.atomic():
            refund = _locked_refund(refund_id)
            disputed = refund.transaction.disputes.blocking().exists()
            if refund.status != RefundStatus.REQUESTED or disputed:
                continue
            refund.decided_at = timezone.now()
            refund.status = RefundStatus.APPROVED
            refund.save(update_fields=("status", "decided_at", "updated_at"))
        try:
            _send(refund)
        except PaymentProviderUnavailable:
            log.error("Refund %s of a closed account is not sent yet: Stripe does not answer", refund_id)


def _send(refund: Refund) -> Refund:
    """Ask Stripe to make a refund, and apply its answer."""
    try:
        at_stripe = gateway.create_refund(
            intent_id=_intent_id_of(refund),
            amount=refund.amount,
            currency=refund.transaction.currency,
            reference=refund.reference,
            attempt=refund.stripe_attempt,
        )
    except gateway.ErrorKept:
        # Of several with this answer one moves it on. Who used the new key has read it first, then looked at Stripe,
        # so no refund under the old one can still come.
        spent = Refund.objects.filter(pk=refund.pk, stripe_attempt=refund.stripe_attempt)
        spent.update(stripe_attempt=F("stripe_attempt") + 1)
        raise
    except gateway.RefundRefused as error:
        code = error.code
        _let_go(refund, lambda: _fail(refund.pk, code))
        log.error("Refund %s was refused by Stripe: %s", refund.pk, code)
    else:
        apply_refund(at_stripe)
    return _refund(refund.pk)


def _fail(refund_id: int, code: str) -> None:
    refused = _locked_refund(refund_id)
    if refused.status == RefundStatus.APPROVED:
        refused.failure_reason = code
        end_refund(refused, RefundStatus.FAILED)
        recalculate(refused.transaction, reason=f"Refund {refund_id} refused by Stripe")
        emails.refund_decided(refused)


def _let_go(refund: Refund, end: Callable[[], None]) -> None:
    """End a refund without success by `end`, after what Stripe knows of its payment and together with it.

    Raises PaymentProviderUnavailable, and changes nothing.
    """
    try:
        fulfilment.bring_in_line(_intent_id_of(refund), all_refunds=True, then=end)
    except gateway.NotAtStripe:  # the payment is another account's: there is nothing to take over
        with database.atomic():
            end()


def _locked_refund(refund_id: int) -> Refund:
    """The refund, with its transaction's row locked: that lock is the one that guards refunds too."""
    transaction_id = Refund.objects.filter(pk=refund_id).values_list("transaction_id", flat=True).first()
    if transaction_id is None:
        raise RefundNotFound
    paid = lock_transaction(Transaction.objects.filter(pk=transaction_id))
    refund = Refund.objects.get(pk=refund_id)
    refund.transaction = paid
    return refund


def _decide(refund: Refund, actor: User, note: str) -> None:
    refund.decided_by, refund.decided_at, refund.decision_note = actor, timezone.now(), note


def _refund(refund_id: int) -> Refund:
    refund = Refund.objects.select_related("transaction").filter(pk=refund_id).first()
    if refund is None:
        raise RefundNotFound
    return refund


def _intent_id_of(refund: Refund) -> str:
    intent_id = refund.transaction.stripe_payment_intent_id
    assert intent_id, "what was paid has an intent"
    return intent_id
