"""Starting a purchase, and the buyer coming back from paying it.

Stripe is never called inside a database transaction: our row is committed first, Stripe's answer after.
"""

import logging
from dataclasses import dataclass, field

from django.db import transaction as database

from apps.payments import gateway
from apps.payments.errors import (
    AmountTooLarge,
    AmountTooSmall,
    PaymentMismatch,
    PaymentNotCompleted,
    TransactionNotFound,
)
from apps.payments.models import Transaction
from apps.users.models import User
from apps.vouchers import selectors as voucher_selectors
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherType

from . import fulfilment

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
            return Purchase(fulfilment.complete(started), client_secret=None)
    gateway.check_price(voucher_type.price, quantity, voucher_type.currency)
    started = _record(user, voucher_type, quantity)
    try:
        intent = gateway.create_intent(
            amount=started.amount, currency=started.currency, order_id=started.reference
        )
    except (AmountTooSmall, AmountTooLarge):
        fulfilment.fail(started)
        raise
    fulfilment.remember_intent(started, intent.id)
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
    except gateway.NotAtStripe as error:
        raise TransactionNotFound from error
    settled = fulfilment.settle(intent)
    if settled is None or settled.pk != found.pk:
        log.error("Transaction %s: its intent belongs to another order at Stripe", found.pk)
        raise PaymentMismatch
    if not settled.is_paid:
        raise PaymentNotCompleted(stripe_status=intent.status)
    return settled


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
