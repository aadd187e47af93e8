"""Starting a purchase, and the buyer coming back from paying it.

Stripe is never called inside a database transaction: our row is committed first, Stripe's answer after.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError
from django.db import transaction as database
from django.db.models import BigAutoField, BigIntegerField, DateTimeField, F
from django.utils import timezone

from apps.core.idempotency import RequestInProgress, RequestKey
from apps.core.prepared_queries import BoundedCount, PreparedModelQuery
from apps.core.rate_limits import Counter
from apps.payments import gateway, row_queries
from apps.payments.call_slots import on_behalf_of
from apps.payments.errors import (
    AmountTooLarge,
    AmountTooSmall,
    CallSlotsTaken,
    PaymentMismatch,
    PaymentNotCompleted,
    PaymentProviderUnavailable,
    PurchaseCanceled,
    TransactionNotFound,
)
from apps.payments.metrics import PURCHASES
from apps.payments.models import Transaction, TransactionStatus
from apps.users import services as users
from apps.users.errors import AccountClosed
from apps.users.models import User
from apps.users.selectors import is_open
from apps.vouchers import services as voucher_services
from apps.vouchers.errors import VoucherTypeNotFound
from apps.vouchers.models import VoucherType

from . import free_vouchers, fulfilment, idempotency_keys, purchase_rows, unpaid_purchases
from .closed_accounts import cancel_open_purchases
from .stripe_sync import sync_payment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purchase:
    """A purchase that was started; `client_secret` lets the buyer's browser pay, None if nothing is to pay.

    `first_answer` is what the same request was answered before, without the client secret, which is never kept.
    """

    transaction: Transaction
    client_secret: str | None = field(repr=False)
    first_answer: dict[str, Any] | None = field(default=None, repr=False)


def start_purchase(
    *,
    user: User,
    voucher_type_id: int,
    quantity: int,
    key: RequestKey | None = None,
    network: tuple[Counter, ...] = (),
) -> Purchase:
    """Record the purchase at today's price and terms, and ask Stripe for the means to pay it.

    A free type is issued at once. The same request under the same key goes on with the purchase that it started
    before, also when that was paid meanwhile. A new one counts for the user, and on the counters of its `network`,
    until it is paid. Raises VoucherTypeNotFound, AmountTooSmall, AmountTooLarge, CurrencyNotSupported,
    FreeLimitReached, IdempotencyKeyReused, RequestInProgress, TooManyAttempts, AccountClosed, PurchaseCanceled where it
    can't be paid any more, or PaymentProviderUnavailable: then the transaction stays pending and unpaid.
    """
    with database.atomic():
        # An account's starts run one after the other: a second request under a key finds what the first has started.
        users.lock_open_account(user=user, alone=True)
        earlier = idempotency_keys.earlier_request(user, key)
        if earlier is None:
            started = _record(user, voucher_type_id, quantity, key, network)
        else:
            assert earlier.transaction, "a key is committed with what it started"
            started = earlier.transaction
    if earlier is not None and earlier.answer is None:
        idempotency_keys.acquire_lease(earlier)
    first_answer = earlier.answer if earlier else None
    if started.amount == 0:
        return Purchase(started, None, first_answer)
    try:
        with on_behalf_of(user.pk):
            intent, account_is_open = _intent_of(started, is_retry=earlier is not None)
    except (AmountTooSmall, AmountTooLarge):
        fulfilment.mark_failed(started)
        idempotency_keys.discard_key(user, key)
        raise
    except CallSlotsTaken:
        if earlier is None:
            _take_back(started, user, key)
        else:
            idempotency_keys.release_lease(user, key)
        raise
    except PaymentProviderUnavailable:
        idempotency_keys.release_lease(user, key)
        _uncount(started)
        raise
    except PurchaseCanceled:
        idempotency_keys.release_lease(user, key)
        raise
    if not account_is_open:  # closed meanwhile: whoever closed it may not have seen the intent
        cancel_open_purchases(user_id=user.pk)
        raise AccountClosed
    return Purchase(started, intent.client_secret, first_answer)


def _intent_of(started: Transaction, *, is_retry: bool) -> tuple[gateway.Intent, bool]:
    """The means to pay a transaction; its row is committed, so whatever happens now a retry finds it.

    And whether the buyer's account was open when Stripe's answer was noted, or later.

    `is_retry`: Stripe may have created the intent although we never learned of it. It is looked for first: an error
    may have had an effect. Where it is not there it is created again, under the next key if Stripe keeps the error
    under the one before. Raises PurchaseCanceled where the means to pay were canceled, or the purchase failed before
    there were any.
    """
    if started.stripe_payment_intent_id:
        try:
            intent = gateway.fetch_intent(started.stripe_payment_intent_id)
        except gateway.NotAtStripe as error:
            raise PaymentProviderUnavailable from error
        account_is_open = is_open(started.user_id)
    else:
        intent = _intent_of_order(started, is_retry=is_retry)
        account_is_open = fulfilment.attach_intent(started, intent.id)
    if intent.canceled:
        fulfilment.apply_intent(intent)  # the event that says so may be on its way
        raise PurchaseCanceled
    return intent, account_is_open


def _intent_of_order(started: Transaction, *, is_retry: bool) -> gateway.Intent:
    intent = None
    if is_retry:
        intent = gateway.find_intent(order_id=started.reference, since=started.created_at)
    if intent is None and started.status == TransactionStatus.FAILED:
        raise PurchaseCanceled
    if intent is not None:
        return intent
    try:
        return gateway.create_intent(
            amount=started.amount,
            currency=started.currency,
            order_id=started.reference,
            quantity=started.quantity,
            item=started.sold_as,
            attempt=started.stripe_attempt,  # as read before Stripe was looked through
        )
    except gateway.ErrorKept:
        spent = Transaction.objects.filter(pk=started.pk, stripe_attempt=started.stripe_attempt)
        spent.update(stripe_attempt=F("stripe_attempt") + 1)
        raise


@dataclass(frozen=True)
class Confirmation:
    """A paid transaction with its type, and the outcomes of the disputes about it."""

    transaction: Transaction
    dispute_outcomes: Collection[str]


def confirm_payment(*, user: User, payment_intent_id: str) -> Confirmation:
    """The buyer's completed transaction, fulfilled now if it was not before; repeating it changes nothing.

    What was refunded or disputed at Stripe meanwhile is in the books then: its vouchers are void or suspended.

    Raises TransactionNotFound (also for someone else's), PaymentNotCompleted with Stripe's status,
    PaymentMismatch or PaymentProviderUnavailable.
    """
    own = row_queries.payment_of(user, payment_intent_id)
    if own.transaction.is_paid:
        return Confirmation(own.transaction, own.outcomes)
    try:
        with on_behalf_of(user.pk):
            intent, settled = sync_payment(payment_intent_id, read_at=own.last_changes)
    except gateway.NotAtStripe as error:
        raise TransactionNotFound from error
    if settled is None or settled.pk != own.transaction.pk:
        log.error("Transaction %s: its intent belongs to another order at Stripe", own.transaction.pk)
        raise PaymentMismatch
    if not settled.is_paid:
        raise PaymentNotCompleted(stripe_status=intent.status)
    if settled.just_issued is not None:  # by us just now, and no dispute was applied to it
        return Confirmation(settled, ())
    return Confirmation(settled, set(settled.disputes.values_list("outcome", flat=True)))


def _record(
    user: User, voucher_type_id: int, quantity: int, key: RequestKey | None, network: tuple[Counter, ...]
) -> Transaction:
    """The row of a new purchase; a free one is completed with it. The caller has locked the user's row, `alone`."""
    voucher_type, unpaid = _type_on_sale(user, voucher_type_id)
    terms = voucher_services.terms_of(voucher_type)
    counted = None
    if terms.face_value:
        gateway.check_price(terms.face_value, quantity, terms.currency)
        counted = unpaid_purchases.count_start(user=user, unpaid=unpaid, network=network)
    else:
        free_vouchers.check_limit(user=user, voucher_type_id=voucher_type_id, quantity=quantity)
    started = Transaction(
        user=user,
        voucher_type=voucher_type,
        quantity=quantity,
        unit_price=terms.face_value,
        amount=terms.face_value * quantity,
        amount_refunded=Decimal(0),  # as it is read, and not as it is in the model
        currency=terms.currency,
        type_name=terms.type_name,
        service_type=terms.service_type,
        validity_days=terms.validity_days,
        max_uses=terms.max_uses,
        start_counted=counted,
        updated_at=timezone.now(),
    )
    try:
        purchase_rows.insert_purchase(started, idempotency_keys.new_key(user, key))
    except IntegrityError as error:
        if key is None:
            raise
        raise RequestInProgress from error
    PURCHASES.count("started" if terms.face_value else "free")
    return started if terms.face_value else fulfilment.fulfil(started)


def _type_on_sale(user: User, voucher_type_id: int) -> tuple[VoucherType, int]:
    """A type that can be bought, and how many purchases the user has started and not paid, up to the limit. One query.

    Raises VoucherTypeNotFound.
    """
    rows = _TYPE.rows(
        voucher_type=voucher_type_id,
        user=user.pk,
        at_most=unpaid_purchases.limit_of(user),
        **unpaid_purchases.window(user),
    )
    if not rows:
        raise VoucherTypeNotFound
    return rows[0], vars(rows[0])["unpaid_starts"]


_TYPE: Final = PreparedModelQuery(
    lambda voucher_type, user, at_most, **window: (
        VoucherType.objects.on_sale()
        .filter(pk=voucher_type)
        .annotate(unpaid_starts=BoundedCount(unpaid_purchases.unpaid_starts(user, **window), at_most))
        .order_by()
    ),
    voucher_type=BigAutoField(),
    user=BigAutoField(),
    at_most=BigIntegerField(),
    since=DateTimeField(),
    answered_since=DateTimeField(),
)


@database.atomic
def _take_back(started: Transaction, user: User, key: RequestKey | None) -> None:
    """Undo `_record`: no call to Stripe was sent, so there is nothing to go on with."""
    idempotency_keys.discard_key(user, key)
    unpaid_purchases.uncount_start(started)
    started.delete()


@database.atomic
def _uncount(started: Transaction) -> None:
    """Stripe failed, and not the buyer."""
    row = Transaction.objects.select_for_update().get(pk=started.pk)
    unpaid_purchases.uncount_start(row)
    row.save(update_fields=("start_counted",))
