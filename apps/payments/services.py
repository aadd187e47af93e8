"""Starting a purchase, and giving the buyer what was paid for. See docs/locking.md for the locks.

Stripe is never called inside a database transaction: our row is committed first, Stripe's answer after.
"""

import logging
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction as database
from django.db.models import F, Q
from django.utils import timezone

from apps.users.models import User
from apps.vouchers import selectors as voucher_selectors
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherType

from . import gateway
from .errors import AmountTooLarge, AmountTooSmall, PaymentMismatch, PaymentNotCompleted, TransactionNotFound
from .models import SoldVoucher, Transaction, TransactionStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purchase:
    """A purchase that was started; `client_secret` lets the buyer's browser pay, None if nothing is to pay."""

    transaction: Transaction
    client_secret: str | None = field(repr=False)


def start_purchase(*, user: User, voucher_type_id: int, quantity: int) -> Purchase:
    """Record the purchase at today's price and terms, and ask Stripe for the means to pay it.

    A free type is issued at once. Raises VoucherTypeNotFound, AmountTooSmall, AmountTooLarge,
    CurrencyNotSupported, or PaymentProviderUnavailable: then the transaction stays pending and unpaid.
    """
    voucher_type = voucher_selectors.type_on_sale(voucher_type_id)
    if voucher_type.price == 0:
        with database.atomic():
            started = _record(user, voucher_type, quantity)
            return Purchase(_complete(started), client_secret=None)
    gateway.check_price(voucher_type.price, quantity, voucher_type.currency)
    started = _record(user, voucher_type, quantity)
    try:
        intent = gateway.create_intent(
            amount=started.amount, currency=started.currency, order_id=started.reference
        )
    except (AmountTooSmall, AmountTooLarge):
        _fail(started)
        raise
    _remember_intent(started, intent.id)
    return Purchase(started, client_secret=intent.client_secret)


def confirm_payment(*, user: User, payment_intent_id: str) -> Transaction:
    """The buyer's completed transaction, fulfilled now if it was not before; repeating it changes nothing.

    Raises TransactionNotFound (also for someone else's), PaymentNotCompleted with Stripe's status,
    PaymentMismatch or PaymentProviderUnavailable.
    """
    found = (
        Transaction.objects.owned_by(user)
        .select_related("voucher_type")
        .filter(stripe_payment_intent_id=payment_intent_id)
        .first()
    )
    if found is None:
        raise TransactionNotFound
    if found.is_paid:
        return found
    try:
        intent = gateway.fetch_intent(payment_intent_id)
    except gateway.IntentNotFound as error:
        raise TransactionNotFound from error
    settled = settle(intent)
    if settled is None or settled.pk != found.pk:
        log.error("Transaction %s: its intent belongs to another order at Stripe", found.pk)
        raise PaymentMismatch
    if not settled.is_paid:
        raise PaymentNotCompleted(stripe_status=intent.status)
    return settled


def settle_intent(intent_id: str) -> str:
    """Bring the books in line with an intent, for webhooks; what came of it, in a few words.

    Raises PaymentProviderUnavailable.
    """
    known = Transaction.objects.filter(stripe_payment_intent_id=intent_id).first()
    if known is not None and known.is_paid:
        return "already completed"
    try:
        settled = settle(gateway.fetch_intent(intent_id))
    except gateway.IntentNotFound:
        return "no such intent"
    except PaymentMismatch:
        return "mismatch: nothing issued"
    return f"transaction {settled.pk} {settled.status}" if settled else "not one of ours"


def settle(intent: gateway.Intent) -> Transaction | None:
    """Apply an intent, fetched from Stripe just now, to its transaction; None if it is not one of ours.

    The one way to fulfilment: confirm, webhook, reconciliation, admin and command all come through here.
    Locks the transaction's row, so of any number of callers one issues and the others find it done. A success
    counts even after we gave the purchase up: it is money. Raises PaymentMismatch, and issues nothing, when
    amount, currency or order are not those of the purchase.
    """
    with database.atomic():
        found = _locked_transaction_of(intent)
        if found is None or found.is_paid:
            return found
        if found.stripe_payment_intent_id is None:
            _remember_intent(found, intent.id)
        mismatch = intent.succeeded and not _is_paid_in_full(found, intent)
        if intent.succeeded and not mismatch:
            return _complete(found)
        if intent.canceled and found.status == TransactionStatus.PENDING:
            _fail(found)
    if mismatch:
        raise PaymentMismatch
    return found


def _locked_transaction_of(intent: gateway.Intent) -> Transaction | None:
    """Our row for the intent, locked; by its order id where Stripe's answer to the creation is not noted yet.

    One query: between two, the answer might be noted, and neither would find the row.
    """
    ours = Q(stripe_payment_intent_id=intent.id)
    if reference := _uuid(intent.order_id):
        ours |= Q(reference=reference, stripe_payment_intent_id=None)
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("voucher_type")
    return rows.filter(ours).order_by(F("stripe_payment_intent_id").asc(nulls_last=True)).first()


def _is_paid_in_full(due: Transaction, intent: gateway.Intent) -> bool:
    expected = (due.amount, due.currency, str(due.reference))
    if (intent.amount_received, intent.currency, intent.order_id) == expected:
        return True
    log.error(
        "Transaction %s: intent %s paid %s %s for order %s, but %s %s is due",
        due.pk,
        intent.id,
        intent.amount_received,
        intent.currency,
        intent.order_id or "(none)",
        due.amount,
        due.currency,
    )
    return False


def _record(user: User, voucher_type: VoucherType, quantity: int) -> Transaction:
    terms = voucher_services.terms_of(voucher_type)
    return Transaction.objects.create(
        user=user,
        voucher_type=voucher_type,
        quantity=quantity,
        unit_price=terms.face_value,
        amount=terms.face_value * quantity,
        currency=terms.currency,
        service_type=terms.service_type,
        validity_days=terms.validity_days,
        max_uses=terms.max_uses,
    )


def _complete(paid: Transaction) -> Transaction:
    """Issue the vouchers of a paid transaction. Call it inside a transaction that holds the row's lock."""
    now = timezone.now()
    vouchers = voucher_services.issue_vouchers(
        voucher_type_id=paid.voucher_type_id,
        owner_id=paid.user_id,
        quantity=paid.quantity,
        terms=voucher_services.Terms(
            service_type=paid.service_type,
            face_value=paid.unit_price,
            currency=paid.currency,
            validity_days=paid.validity_days,
            max_uses=paid.max_uses,
        ),
        issued_at=now,
    )
    SoldVoucher.objects.bulk_create(
        SoldVoucher(transaction=paid, line_no=line_no, voucher=voucher)
        for line_no, voucher in enumerate(vouchers, start=1)
    )
    paid.status = TransactionStatus.COMPLETED
    paid.completed_at = now
    paid.save(update_fields=("status", "completed_at", "updated_at"))
    return paid


def _fail(unpaid: Transaction) -> None:
    """Give up a purchase that is still pending; a success is never overwritten."""
    now = timezone.now()
    changed = Transaction.objects.filter(pk=unpaid.pk, status=TransactionStatus.PENDING).update(
        status=TransactionStatus.FAILED, updated_at=now
    )
    if changed:
        unpaid.status, unpaid.updated_at = TransactionStatus.FAILED, now


def _remember_intent(started: Transaction, intent_id: str) -> None:
    """Note Stripe's id, unless a webhook was here before with the same."""
    now = timezone.now()
    changed = Transaction.objects.filter(pk=started.pk, stripe_payment_intent_id=None).update(
        stripe_payment_intent_id=intent_id, updated_at=now
    )
    if changed:
        started.stripe_payment_intent_id, started.updated_at = intent_id, now
    else:
        started.refresh_from_db()  # overtaken: perhaps it is completed by now


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
