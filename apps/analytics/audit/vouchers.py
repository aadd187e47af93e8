"""Rules on what was issued, for what, and with which terms."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    BigIntegerField,
    Count,
    DateTimeField,
    DurationField,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
)
from django.db.models import ExpressionWrapper as Wrapped
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from apps.payments.models import PAID, Transaction
from apps.vouchers.models import Batch, Voucher, VoucherEvent
from apps.vouchers.states import VoucherEventKind

from .rule import rule

# An expiry is the end of a local day: so much earlier or later than the days since the issue, in any time zone.
EARLIER, LATER = timedelta(hours=2), timedelta(hours=26)  # a summer time may begin or end meanwhile


@rule(
    "vouchers_per_transaction",
    "A paid transaction has as many vouchers as were bought, numbered from 1; any other has none.",
    "transaction",
)
def per_transaction(now: datetime) -> Iterable[Any]:
    paid = Q(status__in=PAID)
    whole = Q(issued=F("quantity"), last_line=F("quantity"))
    counted = Transaction.objects.annotate(
        issued=Count("sold_vouchers"), last_line=Max("sold_vouchers__line_no")
    )
    yield counted.filter(paid & ~whole | ~paid & Q(issued__gt=0))


@rule("voucher_origin", "A voucher was sold by one paid transaction, or belongs to one batch.", "voucher")
def origin(now: datetime) -> Iterable[Any]:
    sold, batched = Q(sale__isnull=False), Q(batch__isnull=False)
    yield Voucher.objects.filter(
        ~sold & ~batched | sold & batched | sold & ~Q(sale__transaction__status__in=PAID)
    )


@rule("batch_size", "A batch has as many vouchers as it says, or fewer while it is being made.", "batch")
def batch_size(now: datetime) -> Iterable[Any]:
    counted = Batch.objects.annotate(issued=Count("vouchers"))
    short = Q(completed_at__isnull=False, issued__lt=F("quantity"))
    yield counted.filter(short | Q(issued__gt=F("quantity")))


@rule("one_issue", "The history of a voucher tells once that it was issued.", "voucher")
def one_issue(now: datetime) -> Iterable[Any]:
    issues = Count("events", filter=Q(events__kind=VoucherEventKind.ISSUED))
    yield Voucher.objects.annotate(issues=issues).exclude(issues=1)


@rule(
    "terms_of_sale",
    "A voucher has the owner, type, service, value, currency and uses of its transaction or batch, but for the owner"
    " to whom its history says it was reassigned; it expires no earlier than sold, and later only if its history tells"
    " of an extension.",
    "voucher",
)
def terms(now: datetime) -> Iterable[Any]:
    same = ("voucher_type", "service_type", "currency")
    yield _with_other_terms(
        Voucher.objects.filter(sale__isnull=False),
        "sale__transaction",
        {
            "user": "user",
            "face_value": "unit_price",
            "total_uses": "max_uses",
            **dict(zip(same, same, strict=True)),
        },
    )
    issued = Voucher.objects.filter(sale__isnull=True, batch__isnull=False)
    yield _with_another_owner(issued)
    yield _with_other_terms(
        issued,
        "batch",
        {
            "face_value": "face_value",
            "total_uses": "max_uses",
            **dict(zip(same, same, strict=True)),
        },
    )


def _with_another_owner(vouchers: Any) -> Any:
    """Those of no purchase that neither the owner of their batch has, nor the one they were reassigned to last."""
    reassigned = VoucherEvent.objects.filter(voucher=OuterRef("pk"), kind=VoucherEventKind.REASSIGNED)
    last = Cast(KeyTextTransform("to", "details"), BigIntegerField())
    now_of = Coalesce(
        Subquery(reassigned.order_by("-id").annotate(to=last).values("to")[:1]), F("batch__owner")
    )
    return vouchers.filter(~Q(user=F("batch__owner")) | Exists(reassigned)).exclude(user=now_of)


def _with_other_terms(vouchers: Any, source: str, fields: dict[str, str]) -> Any:
    as_sold = Q(**{own: F(f"{source}__{theirs}") for own, theirs in fields.items()})
    days = Wrapped(
        Cast(f"{source}__validity_days", IntegerField()) * timedelta(days=1), output_field=DurationField()
    )
    promised = Wrapped(F("purchase_date") + days, output_field=DateTimeField())
    extended = Exists(VoucherEvent.objects.filter(voucher=OuterRef("pk"), kind=VoucherEventKind.EXTENDED))
    late = Q(expiry_date__gt=Wrapped(promised + LATER, output_field=DateTimeField())) & ~extended
    early = Q(expiry_date__lt=Wrapped(promised - EARLIER, output_field=DateTimeField()))
    return vouchers.filter(~as_sold | early | late)


RULES = (per_transaction, origin, batch_size, one_issue, terms)
