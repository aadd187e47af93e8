"""Issuing many vouchers to one owner without a purchase, and letting their codes out in a file.

A batch is issued in chunks, each a transaction of its own that locks the batch's row and counts what is there.
So a run that was killed can be followed by another, and of several at once none goes over the quantity.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core.logs import redact
from apps.users.models import User
from apps.vouchers.errors import BatchDiffers, OwnerInactive, VoucherTypeNotFound
from apps.vouchers.models import Batch, Voucher, VoucherType

from .issuance import Terms, issue_vouchers, terms_of

CHUNK: Final = 2000  # less than a third of a second: nobody who needs the same rows waits for long
LARGEST: Final = 1_000_000
LONGEST_LABEL: Final = 200


def is_label(text: str) -> bool:
    """Whether a batch may be called so: on one line, with nothing around it, and no code in it."""
    in_one_line = 1 <= len(text) <= LONGEST_LABEL and text.isprintable() and text == text.strip()
    return in_one_line and redact(text) == text


def get_or_create_batch(
    *,
    voucher_type: VoucherType,
    owner: User,
    quantity: int,
    label: str = "",
    face_value: Decimal | None = None,
    actor: User | None = None,
    note: str = "",
) -> Batch:
    """The batch with this label, created if there is none, with the terms of the type at this moment.

    `quantity` is 1 to LARGEST; without a label it gets one of its own; `face_value` (None: the type's price) is
    in the type's currency; `note` says by which way, and by whom if by no `actor`. Nothing is issued yet.

    Raises BatchDiffers if the label belongs to a batch with other terms, and for one that is not
    complete VoucherTypeNotFound (not on sale) or OwnerInactive.
    """
    terms = terms_of(voucher_type)
    requested_terms = {"voucher_type": voucher_type, "owner": owner, "quantity": quantity}
    if face_value is not None:
        requested_terms["face_value"] = face_value
    batch = Batch.objects.filter(label=label).first() if label else None
    if batch is None:
        _check(voucher_type, owner)
        new = Batch(
            label=label or _own_label(voucher_type, owner),
            **{"face_value": terms.face_value, **requested_terms},
            type_name=terms.type_name,
            service_type=terms.service_type,
            currency=terms.currency,
            validity_days=terms.validity_days,
            max_uses=terms.max_uses,
            created_by=actor,
            note=note,
        )
        try:
            with transaction.atomic():
                new.save(force_insert=True)
            return new
        except IntegrityError:  # another run was a moment faster
            batch = Batch.objects.filter(label=label).first()
            if batch is None:
                raise
    differing = [name for name, value in requested_terms.items() if getattr(batch, name) != value]
    if differing:
        raise BatchDiffers(differing=differing)
    if batch.completed_at is None:
        _check(batch.voucher_type, batch.owner)
    return batch


def issue_remaining(
    *, batch: Batch, on_progress: Callable[[int], object] = lambda issued: None, chunk: int = CHUNK
) -> int:
    """Issue what the batch lacks; how many vouchers it lacked and got from this call.

    `on_progress` is called after each chunk with the number of vouchers there are. Raises VoucherTypeNotFound when the
    type was taken off sale meanwhile, or OwnerInactive; what was issued stays, and a later call goes on.
    """
    issued_here, issued = 0, -1
    while issued < batch.quantity:
        more, issued = _issue_chunk(batch.pk, chunk)
        issued_here += more
        on_progress(issued)
    batch.refresh_from_db()
    return issued_here


@transaction.atomic
def _issue_chunk(batch_id: int, at_most: int) -> tuple[int, int]:
    """Issue the next vouchers of a batch; how many, and how many there are now."""
    batch = Batch.objects.select_for_update(no_key=True).get(pk=batch_id)
    issued = Voucher.objects.filter(batch=batch).count()
    more = min(batch.quantity - issued, at_most)
    if more > 0:
        # Locked, so that nothing is issued after the type was taken off sale: see withdrawal.py.
        voucher_type = VoucherType.objects.select_for_update(no_key=True).get(pk=batch.voucher_type_id)
        _check(voucher_type, batch.owner)
        issue_vouchers(
            voucher_type_id=voucher_type.pk,
            owner_id=batch.owner_id,
            quantity=more,
            terms=Terms(
                type_name=batch.sold_as,
                service_type=batch.service_type,
                face_value=batch.face_value,
                currency=batch.currency,
                validity_days=batch.validity_days,
                max_uses=batch.max_uses,
            ),
            issued_at=timezone.now(),
            actor_id=batch.created_by_id,
            reason=f"Batch {batch.label}",
            batch_id=batch.pk,
        )
        issued += more
    if issued >= batch.quantity and batch.completed_at is None:
        batch.completed_at = timezone.now()
        batch.save(update_fields=("completed_at",))
    return max(more, 0), issued


def _check(voucher_type: VoucherType, owner: User) -> None:
    if not voucher_type.is_active:
        raise VoucherTypeNotFound("This type is not on sale: nothing is issued of it.")
    if not owner.is_active:
        raise OwnerInactive


def _own_label(voucher_type: VoucherType, owner: User) -> str:
    """Names the owner by number: a label outlives the account and its address."""
    return f"{voucher_type.name[:120]} for user {owner.pk}, {timezone.now():%Y-%m-%d %H:%M:%S.%f}"
