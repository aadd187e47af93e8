"""Closing an account, as far as vouchers are concerned: they stay, and go on working for whoever holds the code."""

from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.core.batching import id_chunks
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import VoucherEventKind

CHUNK: Final = 5000


@transaction.atomic
def record_closing(*, user: User) -> None:
    """Note in the history of each of the user's vouchers that its owner closed the account."""
    now = timezone.now()
    for ids in id_chunks(Voucher.objects.filter(user=user), CHUNK):
        VoucherEvent.objects.bulk_create(
            VoucherEvent(voucher_id=pk, kind=VoucherEventKind.CLOSED, at=now, actor=user) for pk in ids
        )
