"""Taking a use from a voucher. See docs/locking.md for what is locked, and in which order.

On PostgreSQL one statement does it all (redeem_statement.py); elsewhere `_take_use` does, step by step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.core.api.documents import json_bytes
from apps.core.errors import DomainError
from apps.core.idempotency import RequestKey
from apps.core.prepared_queries import PreparedQuery
from apps.users import services as users
from apps.users.errors import AccountClosed
from apps.users.models import User
from apps.vouchers import codes
from apps.vouchers.documents import redeem_document
from apps.vouchers.errors import (
    ServiceMismatch,
    VoucherChanging,
    VoucherExpired,
    VoucherInactive,
    VoucherNotFound,
    VoucherRefused,
    VoucherUsedUp,
)
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.rows import usage_row, voucher_row
from apps.vouchers.states import VoucherStatus

from . import redeem_statement
from .holds import lock_vouchers

# Databases of which one statement may change a row and insert another.
ONE_STATEMENT: Final = ("postgresql",)


@dataclass(frozen=True)
class Answer:
    """What a redemption was answered, as JSON; `replayed` if it is the answer to an earlier request."""

    text: str = field(repr=False)
    replayed: bool = False


def redeem_voucher(
    *, code: str, user: User, service_type: str | None = None, details: Mapping[str, Any] | None = None
) -> Answer:
    """Take one use from the voucher with this code, and record that `user` redeemed it.

    One guarded UPDATE decides, by the database's clock: it re-checks every condition under the row's lock,
    so of any number of simultaneous calls as many succeed as there are uses. All conditions stand on the
    voucher's own row: PostgreSQL re-evaluates only those after it has waited for another transaction.

    Raises CodeMalformed, VoucherNotFound, VoucherInactive, VoucherUsedUp, VoucherExpired, ServiceMismatch,
    VoucherChanging or, with `details`, AccountClosed, and then nothing has changed.
    """
    return Answer(_redeem(code=code, user=user, service_type=service_type, details=details))


_BY_KEY: Final = PreparedQuery(
    lambda *columns: columns,
    lambda user_id, key: (
        VoucherUsage.objects.filter(user_id=user_id, idempotency_key=key)
        .order_by()
        .values_list("request_hash", "answer")
    ),
    user_id=models.BigAutoField(),
    key=models.CharField(),
)


def earlier_answer(*, user: User, key: RequestKey) -> Answer | None:
    """The answer to the user's redemption under this key, however long ago; None if there was none.

    Raises IdempotencyKeyReused if that was another request.
    """
    rows = _BY_KEY.rows(user_id=user.pk, key=key.key)
    if not rows:
        return None
    [(request_hash, text)] = rows
    key.check(request_hash)
    if text is None:
        raise AccountClosed  # and its details erased, after this request had signed in
    return Answer(text, replayed=True)


def redeem_once(
    *,
    key: RequestKey,
    code: str,
    user: User,
    service_type: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Answer:
    """Redeem as `redeem_voucher` does, once for ever under the user's key.

    The answer is kept with the use, in one transaction. Whoever sends the same again gets it again, whatever
    became of the voucher. A refused request is not kept. Raises as `redeem_voucher`, and IdempotencyKeyReused.
    Call it outside a transaction, after `earlier_answer`.
    """
    try:
        return Answer(_redeem(code=code, user=user, service_type=service_type, details=details, key=key))
    except (DomainError, IntegrityError):
        # The same request at the same instant may have been first, and taken the last use or the key: it has
        # committed, or this one would still wait for the voucher's row or the key's place in the index.
        if earlier := earlier_answer(user=user, key=key):
            return earlier
        raise


def _redeem(
    *,
    code: str,
    user: User,
    service_type: str | None,
    details: Mapping[str, Any] | None,
    key: RequestKey | None = None,
) -> str:
    """Take a use, record it, and keep the answer if there is a key, all or nothing. Returns the answer."""
    symbols = codes.parse(code)
    if connection.vendor not in ONE_STATEMENT:
        with transaction.atomic():
            usage = _take_use(symbols=symbols, user=user, service_type=service_type, details=details, key=key)
            return _answer(usage)
    answer = redeem_statement.execute(
        symbols=symbols, user_id=user.pk, service_type=service_type, details=details or {}, key=key
    )
    if answer is not None:
        return answer
    with transaction.atomic():
        if details:
            users.lock_open_account(user=user)
        raise _refusal(Voucher.objects.read_with_clock(code=symbols), service_type, key)


def _take_use(
    *,
    symbols: str,
    user: User,
    service_type: str | None,
    details: Mapping[str, Any] | None,
    key: RequestKey | None,
) -> VoucherUsage:
    """What `redeem_statement` does, step by step, in the caller's transaction."""
    if details:  # what the user wrote
        users.lock_open_account(user=user)
    candidates = Voucher.objects.filter(code=symbols).redeemable(Now())
    if service_type is not None:
        candidates = candidates.filter(service_type=service_type)
    changed = candidates.update(uses_remaining=F("uses_remaining") - 1)
    voucher = Voucher.objects.read_with_clock(code=symbols)
    if not changed or voucher is None:
        raise _refusal(voucher, service_type, key)
    return VoucherUsage.objects.create(
        voucher=voucher,
        user=user,
        service_type=voucher.service_type,
        # The clock ran on between the two statements, perhaps past an expiry that the first still met.
        used_at=min(voucher.read_at, voucher.expiry_date),
        details=dict(details or {}),
        use_no=voucher.uses_made + voucher.uses_reversed,
        idempotency_key=key.key if key else None,
        request_hash=key.request_hash if key else "",
    )


def _answer(usage: VoucherUsage) -> str:
    """The answer to the redemption that took this use; kept with the use if that has a key."""
    document = redeem_document(voucher_row(usage.voucher), usage_row(usage), usage.voucher.read_at)
    text = json_bytes(document).decode()
    if usage.idempotency_key:
        # As text: jsonb would put its members in another order and write its numbers in another way.
        usage.answer = text
        usage.save(update_fields=("answer",))
    return text


def _refusal(voucher: Voucher | None, service_type: str | None, key: RequestKey | None) -> DomainError:
    """Why the UPDATE changed nothing, from the row as it is a moment later. In a transaction."""
    if voucher is None:
        return VoucherNotFound()
    if key:
        # The same request may be at it, a moment earlier, with an expiry that this one missed: wait for it.
        lock_vouchers([voucher.pk])
    error = _refusal_of(voucher, service_type)
    if error is None:
        return VoucherChanging()
    error.service_type = voucher.service_type
    return error


def _refusal_of(voucher: Voucher, service_type: str | None) -> VoucherRefused | None:
    """Why a voucher can't be redeemed at the moment at which it was read; None if it can."""
    if service_type is not None and service_type != voucher.service_type:
        return ServiceMismatch()
    match voucher.status_at(voucher.read_at):
        case VoucherStatus.INACTIVE:
            return VoucherInactive(reason=voucher.inactive_reason)
        case VoucherStatus.EXPIRED:
            return VoucherExpired()
        case VoucherStatus.USED:
            return VoucherUsedUp()
    return None


def erase_details(*, user: User) -> None:
    """Empty what the user wrote into their redemptions; these stay, and so do their keys."""
    VoucherUsage.objects.filter(user=user).update(details={}, answer=None)
