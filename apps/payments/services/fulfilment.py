"""Giving the buyer what was paid for. See docs/locking.md for the locks.

Stripe is never called inside a database transaction: our row is committed first, Stripe's answer after.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db import transaction as database
from django.db.models import CharField, F, Field, Q, QuerySet, UUIDField
from django.utils import timezone

from apps.core.prepared_queries import PreparedModelQuery, PreparedQuery
from apps.core.static_sql import StaticSql
from apps.payments import gateway
from apps.payments.errors import PaymentMismatch, PaymentProviderUnavailable
from apps.payments.metrics import PURCHASES
from apps.payments.models import Transaction, TransactionStatus
from apps.users import services as users
from apps.users.models import User
from apps.users.selectors import is_open
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher

from . import emails, receipts, sale_rows, unpaid_purchases
from .disputes import apply_dispute, last_changes
from .refunds.requests import record_automatic_refund
from .refunds.stripe_sync import apply_refund

log = logging.getLogger(__name__)

TRIES: Final = 3
NEVER: Final[Mapping[str, datetime]] = MappingProxyType({})


class _Overtaken(Exception):
    """A dispute has changed in the books since the call to Stripe began: the answer may be the older one."""


def bring_in_line(
    intent_id: str,
    *,
    all_refunds: bool = False,
    all_disputes: bool = False,
    then: Callable[[], object] | None = None,
    read_at: Mapping[str, datetime] | None = None,
) -> tuple[gateway.Intent, Transaction | None]:
    """Bring the books in line with all that Stripe knows of a payment; its intent, and our transaction for it.

    The intent is looked up with its refunds and disputes (`all_…`: see `gateway.fetch_intent`), and they are applied in
    one database transaction. `then` is called at the end of it: what lets vouchers go has its place there. `read_at`
    are the `last_changes` of the payment, where the caller has just read them. The transaction is None if it is not one
    of ours. Raises NotAtStripe, PaymentProviderUnavailable or PaymentMismatch.
    """
    for _ in range(TRIES):
        # Before the call to Stripe: what changes from now on may be newer than its answer.
        read_at = last_changes(intent_id) if read_at is None else read_at
        intent = gateway.fetch_intent(intent_id, all_refunds=all_refunds, all_disputes=all_disputes)
        with suppress(_Overtaken):
            if then is None:
                return intent, apply_intent(intent, read_at)
            with database.atomic():
                settled = apply_intent(intent, read_at)
                then()
            return intent, settled
        read_at = None
    raise PaymentProviderUnavailable


def apply_intent(intent: gateway.Intent, read_at: Mapping[str, datetime] = NEVER) -> Transaction | None:
    """Apply an intent, fetched from Stripe just now, to its transaction; None if it is not one of ours.

    The one way to fulfilment: confirm, webhook, reconciliation, admin and command all come through here.
    Locks the transaction's row, so of any number of callers one issues and the others find it done. Its refunds and
    disputes are applied before anybody can see the vouchers, also when another was faster with the vouchers and did
    not know of them. `read_at` tells when our rows of its disputes had changed last before the call to Stripe.

    A success counts even after we gave the purchase up: it is money. That of an account that was closed or deactivated
    before is taken into the books with a refund of all of it, which holds the vouchers (`settlement.py` sends it).

    Raises PaymentMismatch, and issues nothing, when amount, currency or order are not those of the purchase.
    """
    mismatch = False
    with database.atomic():
        is_open = _owner_stays_open(intent)
        transaction = _locked_transaction_of(intent)
        if transaction is None:
            return None
        if not transaction.is_paid:
            if transaction.stripe_payment_intent_id is None:
                attach_intent(transaction, intent.id)
            mismatch = intent.succeeded and not is_paid_in_full(transaction, intent)
            if mismatch:
                _log_mismatch(transaction, intent)
            if intent.canceled and transaction.status == TransactionStatus.PENDING:
                mark_failed(transaction)
        if intent.succeeded and not mismatch:
            issued = not transaction.is_paid
            vouchers = _issue(transaction) if issued else []
            _take_over(transaction, intent, read_at)
            if issued and is_open:
                # It tells the state of each voucher.
                emails.queue_receipt(transaction, transaction.just_issued)
            elif issued:
                record_automatic_refund(transaction)
                transaction.just_issued = None
                log.warning(
                    "Transaction %s was paid after its account was closed or deactivated", transaction.pk
                )
            if issued:
                receipts.issue_receipt(transaction, vouchers)
    if mismatch:
        PURCHASES.count("mismatch")
        raise PaymentMismatch
    if intent.succeeded and issued:
        PURCHASES.count("paid" if is_open else "paid_by_closed_account")
    return transaction


def _take_over(paid: Transaction, intent: gateway.Intent, read_at: Mapping[str, datetime]) -> None:
    """Apply the refunds and disputes of an intent to its transaction, whose row is locked. Raises _Overtaken.

    Disputes come first: they hold whatever a refund that failed lets go. Then refunds that came to nothing, before
    those at Stripe in their place; both the oldest first. So they are never together more than was paid.
    """
    for dispute in intent.disputes:
        if apply_dispute(dispute, read_at=read_at.get(dispute.id)) is None:
            raise _Overtaken
    for refund in sorted(intent.refunds, key=gateway.Refund.counts):
        apply_refund(refund)
    if intent.disputes or intent.refunds:
        paid.refresh_from_db()
        paid.just_issued = None


def _owner_stays_open(intent: gateway.Intent) -> bool:
    """Whether the owner's account is open, and stays so until we have committed: the user's row is locked first."""
    return users.stays_open(user_id=_OWNER.subselect(**_names(intent)))


def _locked_transaction_of(intent: gateway.Intent) -> Transaction | None:
    """Our row for the intent, locked; by its order id where Stripe's answer to the creation is not noted yet.

    One query: between two, the answer might be noted, and neither would find the row.
    """
    rows = _LOCKED.rows(**_names(intent))
    return rows[0] if rows else None


def _names(intent: gateway.Intent) -> dict[str, Any]:
    """The names under which an intent's transaction may be known. No order has the reference 0."""
    return {"intent_id": intent.id, "reference": intent.order_uuid or UUID(int=0)}


def _ours(intent_id: Any, reference: Any) -> QuerySet[Transaction]:
    ours = Q(stripe_payment_intent_id=intent_id) | Q(reference=reference, stripe_payment_intent_id=None)
    return Transaction.objects.filter(ours).order_by(F("stripe_payment_intent_id").asc(nulls_last=True))[:1]


_NAME_FIELDS: Final[dict[str, "Field[Any, Any]"]] = {"intent_id": CharField(), "reference": UUIDField()}
_OWNER: Final = PreparedQuery(
    lambda user_id: user_id,
    lambda **names: _ours(**names).values_list("user_id"),
    **_NAME_FIELDS,
)
_LOCKED: Final = PreparedModelQuery(
    lambda **names: _ours(**names).select_related("voucher_type", "user").select_for_update(of=("self",)),
    **_NAME_FIELDS,
)


def is_paid_in_full(transaction: Transaction, intent: gateway.Intent) -> bool:
    """Whether an intent paid exactly what is due, for this order."""
    due = (transaction.amount, transaction.currency, str(transaction.reference))
    return due == (intent.amount_received, intent.currency, intent.order_id)


def _log_mismatch(due: Transaction, intent: gateway.Intent) -> None:
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


def fulfil(paid: Transaction) -> Transaction:
    """Issue the vouchers of a new transaction for which nothing is to pay, and mail them.

    The caller keeps the account open, and commits next.
    """
    vouchers = _issue(paid)
    emails.queue_receipt(paid, vouchers)
    receipts.issue_receipt(paid, vouchers)
    return paid


def erase_buyer(*, user: User) -> None:
    """Erase from the user's payments who they were; it is part of closing their account.

    Only where it stands: a payment that gets its vouchers at this moment waits for the closing, and is left without.
    """
    Transaction.objects.owned_by(user).exclude(buyer_name="", buyer_email="").update(
        buyer_name="", buyer_email=""
    )
    receipts.erase_buyer_of_receipts(user=user)


def _issue(paid: Transaction) -> list[Voucher]:
    """Issue what was bought; the vouchers in the order of the lines.

    The caller has locked or inserted its row, and before that locked the owner's.
    """
    now = timezone.now()
    paid.type_name = paid.sold_as
    vouchers = voucher_services.issue_vouchers(
        voucher_type_id=paid.voucher_type_id,
        owner_id=paid.user_id,
        quantity=paid.quantity,
        terms=voucher_services.Terms(
            type_name=paid.type_name,
            service_type=paid.service_type,
            face_value=paid.unit_price,
            currency=paid.currency,
            validity_days=paid.validity_days,
            max_uses=paid.max_uses,
        ),
        issued_at=now,
    )
    paid.status = TransactionStatus.COMPLETED
    paid.completed_at = paid.updated_at = now
    unpaid_purchases.uncount_start(paid)
    paid.buyer_name, paid.buyer_email = paid.user.full_name, paid.user.mail_address
    sale_rows.write_sale(paid, vouchers)
    paid.just_issued = vouchers
    return vouchers


def mark_failed(unpaid: Transaction) -> None:
    """Give up a purchase that is still pending; a success is never overwritten."""
    now = timezone.now()
    changed = Transaction.objects.filter(pk=unpaid.pk, status=TransactionStatus.PENDING).update(
        status=TransactionStatus.FAILED, updated_at=now
    )
    if changed:
        unpaid.status, unpaid.updated_at = TransactionStatus.FAILED, now
        PURCHASES.count("failed")


def attach_intent(started: Transaction, intent_id: str) -> bool:
    """Note Stripe's id, unless a webhook was here before with the same; whether the owner's account is open then.

    Who closes the account commits, and then looks for intents. So whether it is open is read after the id is committed,
    or under a lock of the owner's row that is kept until then: if it is open, who closes it later sees the intent.
    """
    now = timezone.now()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_ATTACH, [started.user_id, intent_id, now, started.pk])
            row = cursor.fetchone()
        changed, account_is_open = bool(row), bool(row and row[0])
    else:
        unnoted = Transaction.objects.filter(pk=started.pk, stripe_payment_intent_id=None)
        changed = bool(unnoted.update(stripe_payment_intent_id=intent_id, updated_at=now))
        account_is_open = changed and is_open(started.user_id)
    if changed:
        started.stripe_payment_intent_id, started.updated_at = intent_id, now
        return account_is_open
    started.refresh_from_db()  # overtaken: perhaps it is completed by now
    return is_open(started.user_id)


# One transaction of one statement: the owner's row is locked first, as everywhere.
_ATTACH: Final = StaticSql("""
    WITH owner AS MATERIALIZED (SELECT is_active FROM users_user WHERE id = %s FOR SHARE)
    UPDATE payments_transaction SET stripe_payment_intent_id = %s, updated_at = %s
    FROM owner
    WHERE id = %s AND stripe_payment_intent_id IS NULL
    RETURNING owner.is_active
""")
