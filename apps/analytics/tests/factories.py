"""Purchases and uses at given moments, and books full of them."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.db.models import Model

from apps.core import bulk_operations
from apps.payments.models import SoldVoucher, Transaction, TransactionStatus
from apps.payments.tests.factories import make_transaction, transaction_row
from apps.users.models import User
from apps.vouchers.models import Batch, UsageReversal, Voucher, VoucherType, VoucherUsage
from apps.vouchers.services import batch_changes, batches
from apps.vouchers.services.batch_changes import BatchChange
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import make_type, sold_voucher

_numbers = count(1)


def make_purchase(
    *, user: User, voucher_type: VoucherType | None = None, at: datetime, quantity: int = 1, **changes: Any
) -> Transaction:
    """A paid purchase completed at a moment, with its vouchers; `changes` are fields of the transaction."""
    voucher_type = voucher_type or make_type()
    fields: dict[str, Any] = {"status": TransactionStatus.COMPLETED, "created_at": at, "completed_at": at}
    paid = make_transaction(user=user, voucher_type=voucher_type, quantity=quantity, **{**fields, **changes})
    for line_no in range(1, quantity + 1):
        SoldVoucher.objects.create(
            transaction=paid, line_no=line_no, voucher=issue(user=user, voucher_type=voucher_type, at=at)
        )
    return paid


def issue(*, user: User, voucher_type: VoucherType, at: datetime, **changes: Any) -> Voucher:
    """A voucher with a purchase date; it has ten years more to go."""
    fields: dict[str, Any] = {"expiry_date": at + timedelta(days=3650), **changes}
    voucher = sold_voucher(owner=user, voucher_type=voucher_type, at=at, **fields)
    voucher.save()
    return voucher


def use(voucher: Voucher, *, by: User, at: datetime) -> VoucherUsage:
    """One use of a voucher at a moment."""
    usage = _use(voucher, by=by, at=at)
    voucher.save(update_fields=["uses_remaining"])
    usage.save()
    return usage


def _use(voucher: Voucher, *, by: User, at: datetime) -> VoucherUsage:
    """One use, counted by the voucher; neither is saved."""
    voucher.uses_remaining -= 1
    return VoucherUsage(
        voucher=voucher,
        user=by,
        service_type=voucher.service_type,
        used_at=at,
        use_no=voucher.uses_made + voucher.uses_reversed,
    )


def give_back(usage: VoucherUsage, *, by: User, at: datetime) -> UsageReversal:
    """The reversal of a use at a moment."""
    reversal = _give_back(usage, by=by, at=at)
    usage.voucher.save(update_fields=["uses_remaining", "uses_reversed"])
    reversal.save()
    return reversal


def _give_back(usage: VoucherUsage, *, by: User, at: datetime) -> UsageReversal:
    """The reversal of a use, counted by the voucher; neither is saved."""
    usage.voucher.uses_remaining += 1
    usage.voucher.uses_reversed += 1
    return UsageReversal(usage=usage, reversed_at=at, actor=by, reason="by mistake")


def vouchers_of(paid: Transaction) -> list[Voucher]:
    """The vouchers of a purchase."""
    return list(Voucher.objects.filter(sale__transaction=paid).order_by("sale__line_no"))


def fill_books(
    chance: random.Random, *, users: list[User], moments: list[datetime], now: datetime, purchases: int
) -> None:
    """Purchases of every kind at these moments: paid, failed, pending, refunded; used, expired, inactive.

    The rows are written at once: through the services, or one by one, it would take most of a test's time.
    """
    types = [
        make_type(name=f"{name} {next(_numbers)}", price=Decimal(price), currency=currency, max_uses=uses)
        for name, price, currency, uses in (
            ("Exam", "9.99", "USD", 1),
            ("Document", "0.07", "USD", 3),
            ("School", "33.33", "USD", 7),
            ("Free", "0.00", "USD", 2),
            ("Abroad", "12.50", "EUR", 3),
        )
    ]
    for voucher_type in types:
        for voucher in make_batch(owner=chance.choice(users), voucher_type=voucher_type, quantity=3):
            voucher.purchase_date = chance.choice(moments)
            voucher.expiry_date = now + timedelta(days=chance.choice((-1, 1)))
            voucher.save()
            if chance.random() < 0.5:
                use(voucher, by=chance.choice(users), at=chance.choice(moments))
    models: tuple[type[Model], ...] = (Transaction, Voucher, SoldVoucher, VoucherUsage, UsageReversal)
    rows: list[Model] = []
    for _ in range(purchases):
        voucher_type = chance.choice(types)
        buyer = chance.choice(users)
        status = chance.choice([*TransactionStatus, TransactionStatus.COMPLETED, TransactionStatus.COMPLETED])
        if status in (TransactionStatus.PENDING, TransactionStatus.FAILED):
            rows.append(_unpaid(buyer, voucher_type, status, chance.choice(moments)))
            continue
        quantity = chance.randint(1, 4)
        back = Decimal(1 if status == TransactionStatus.REFUNDED else chance.choice((0, 0, 0.3)))
        at = chance.choice(moments)
        amount = voucher_type.price * quantity
        paid = transaction_row(
            user=buyer,
            voucher_type=voucher_type,
            quantity=quantity,
            status=status,
            created_at=at,
            completed_at=at,
            amount_refunded=(amount * back).quantize(Decimal("0.01")),
            amount_goodwill=(amount * back / 2).quantize(Decimal("0.01")),
        )
        rows.append(paid)
        for line_no in range(1, quantity + 1):
            voucher = sold_voucher(owner=buyer, voucher_type=voucher_type, at=chance.choice(moments))
            rows += [voucher, SoldVoucher(transaction=paid, line_no=line_no, voucher=voucher)]
            voucher.expiry_date = now + timedelta(days=chance.choice((-200, -1, 1, 300)))
            if chance.random() < 0.2:
                voucher.set_holds(frozenset({chance.choice(list(Hold))}))
            for _ in range(chance.randint(0, voucher.total_uses)):
                usage = _use(voucher, by=chance.choice(users), at=chance.choice(moments))
                rows.append(usage)
                if chance.random() < 0.2:
                    rows.append(_give_back(usage, by=chance.choice(users), at=now))
    for model in models:
        model._default_manager.bulk_create([row for row in rows if isinstance(row, model)])


def make_batch(*, owner: User, voucher_type: VoucherType, quantity: int) -> list[Voucher]:
    """Vouchers that were issued in a batch, for which nobody paid."""
    batch = batches.get_or_create_batch(
        voucher_type=voucher_type, owner=owner, quantity=quantity, label=f"Batch {next(_numbers)}"
    )
    batches.issue_remaining(batch=batch)
    return list(batch.vouchers.order_by("pk"))


def reassign_batch(batch: Batch, *, to: User, actor: User) -> None:
    """Give the vouchers of a batch to another owner, as staff do."""
    operation = batch_changes.start(
        BatchChange.REASSIGN, batch, actor=actor, reason="Wrong school", new_owner=to, in_background=False
    )
    bulk_operations.run(operation.pk)


def _unpaid(user: User, voucher_type: VoucherType, status: str, at: datetime) -> Transaction:
    return transaction_row(
        user=user,
        voucher_type=voucher_type,
        status=status,
        created_at=at,
        validity_days=1,
        max_uses=1,
        stripe_payment_intent_id=None,
    )
