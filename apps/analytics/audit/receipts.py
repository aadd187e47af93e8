"""Rules on receipts: each sale has one, their numbers have no gaps, and they say what was paid."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from apps.payments.models import PAID, Receipt, ReceiptCounter, Transaction
from apps.users.models import CLOSED_DOMAIN

from .rule import rule

# Within this time the job gives one to a sale that an older version completed.
HEALED_WITHIN: Final = timedelta(hours=2)


@rule("receipt_of_sale", "A sale that was completed two hours ago or before has a receipt.", "transaction")
def receipt(now: datetime) -> Iterable[Any]:
    lacking = ~Exists(Receipt.objects.filter(transaction=OuterRef("pk")))
    yield Transaction.objects.filter(lacking, status__in=PAID, completed_at__lt=now - HEALED_WITHIN)


@rule("receipt_numbers", "Receipts are numbered from one without gaps.", "receipt")
def numbers(now: datetime) -> Iterable[Any]:
    before = Receipt.objects.filter(number=OuterRef("number") - 1)
    yield Receipt.objects.filter(~Exists(before), number__gt=1)


@rule("receipt_counter", "The last number that was drawn is that of the last receipt.", "counter of receipts")
def counter(now: datetime) -> Iterable[Any]:
    last = Receipt.objects.order_by("-number").values("number")[:1]
    drawn = ReceiptCounter.objects.annotate(last=Coalesce(Subquery(last), 0))
    yield drawn.exclude(last=F("last_number"))


@rule(
    "receipt_amounts",
    "A receipt is of a sale that was completed then, and has its quantity, price, amount and currency; tax in it is not"
    " more than the amount.",
    "receipt",
)
def amounts(now: datetime) -> Iterable[Any]:
    same = Q(**{name: F(f"transaction__{name}") for name in ("quantity", "unit_price", "amount", "currency")})
    completed = Q(transaction__status__in=PAID, paid_at=F("transaction__completed_at"))
    taxed = Q(tax_amount=None) | Q(tax_amount__gte=0, tax_amount__lte=F("amount"))
    yield Receipt.objects.exclude(same & completed & taxed)


@rule("buyers_on_receipts", "A receipt of an account that was closed names no buyer.", "receipt")
def buyers(now: datetime) -> Iterable[Any]:
    named = Receipt.objects.exclude(buyer_name="", buyer_email="")
    yield named.filter(transaction__user__email__endswith=f"@{CLOSED_DOMAIN}")


RULES = (receipt, numbers, counter, amounts, buyers)
