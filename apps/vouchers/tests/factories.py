"""Voucher types and vouchers in the states that tests need."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from apps.users.models import User
from apps.vouchers import codes, services
from apps.vouchers.models import Batch, Voucher, VoucherType, VoucherUsage
from apps.vouchers.serializers import RedeemOutput
from apps.vouchers.services import batches
from apps.vouchers.states import Hold

_numbers = count(1)


def make_type(**fields: Any) -> VoucherType:
    """A type on sale: 10.00 USD, one use, a year."""
    defaults = {
        "name": f"Exam results {next(_numbers)}",
        "service_type": "exam_results",
        "price": Decimal("10.00"),
        "currency": "USD",
        "validity_days": 365,
        "max_uses": 1,
    }
    return VoucherType.objects.create(**{**defaults, **fields})


def make_voucher(*, owner: User, voucher_type: VoucherType | None = None, **changes: Any) -> Voucher:
    """A voucher of `owner`, issued now; `changes` are written over what was issued."""
    voucher_type = voucher_type or make_type()
    (voucher,) = services.issue_vouchers(
        voucher_type_id=voucher_type.pk,
        owner_id=owner.pk,
        quantity=1,
        terms=services.terms_of(voucher_type),
        issued_at=timezone.now(),
    )
    if changes:
        Voucher.objects.filter(pk=voucher.pk).update(**changes)
        voucher.refresh_from_db()
    return voucher


def sold_voucher(*, owner: User, voucher_type: VoucherType, at: datetime, **changes: Any) -> Voucher:
    """The row of a voucher of `owner` sold at a moment, without a history and not saved: for books and long lists."""
    fields: dict[str, Any] = {
        "code": codes.make(),
        "service_type": voucher_type.service_type,
        "face_value": voucher_type.price,
        "currency": voucher_type.currency,
        "purchase_date": at,
        "expiry_date": at + timedelta(days=voucher_type.validity_days),
        "total_uses": voucher_type.max_uses,
        "uses_remaining": voucher_type.max_uses,
    }
    return Voucher(user=owner, voucher_type=voucher_type, **{**fields, **changes})


def make_batch_vouchers(*, owner: User, quantity: int, **fields: Any) -> list[Voucher]:
    """A batch for `owner` of a type with these `fields`: the audit knows where each of its vouchers comes from."""
    batch = batches.get_or_create_batch(voucher_type=make_type(**fields), owner=owner, quantity=quantity)
    batches.issue_remaining(batch=batch)
    return list(batch.vouchers.order_by("pk"))


def batch_of(voucher: Voucher) -> Batch:
    """The batch that the voucher was issued in."""
    assert voucher.batch
    return voucher.batch


def make_usage(**redemption: Any) -> VoucherUsage:
    """The use that a redemption takes."""
    answer = services.redeem_voucher(**redemption)
    return VoucherUsage.objects.select_related("voucher").get(pk=json.loads(answer.text)["usage"]["id"])


def answer_to(usage: VoucherUsage) -> services.Answer:
    """The answer to the redemption that took this use, by the documented serializer; for broken twins."""
    output = RedeemOutput({"message": "Voucher redeemed.", "voucher": usage.voucher, "usage": usage})
    return services.Answer(JSONRenderer().render(output.data).decode())


def make_used_voucher(*, owner: User, **changes: Any) -> Voucher:
    """A voucher whose one use was made by its owner."""
    voucher = make_voucher(owner=owner, **changes)
    services.redeem_voucher(code=voucher.code, user=owner)
    voucher.refresh_from_db()
    return voucher


def make_expired_voucher(*, owner: User, **changes: Any) -> Voucher:
    """An unused voucher that expired an hour ago."""
    return make_voucher(owner=owner, expiry_date=timezone.now() - timedelta(hours=1), **changes)


def make_inactive_voucher(*, owner: User, **changes: Any) -> Voucher:
    """An unused voucher that was withdrawn."""
    return make_voucher(owner=owner, **held(Hold.WITHDRAWN), **changes)


def held(*holds: Hold) -> dict[str, Any]:
    """The columns of a voucher that is held for these reasons."""
    voucher = Voucher()
    voucher.set_holds(frozenset(holds))
    return {name: getattr(voucher, name) for name in ("holds", "is_active", "inactive_reason")}


def unknown_code() -> str:
    """A well-formed code that no voucher has."""
    return codes.make()
