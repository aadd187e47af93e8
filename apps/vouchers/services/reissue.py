"""Giving a voucher another code, when the old one was lost or seen by others."""

from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction

from apps.core import mail
from apps.users import email_links, withheld_mails
from apps.users.models import User
from apps.vouchers import codes, qr
from apps.vouchers.errors import OwnerInactive, VoucherChanging, VoucherInactive, VoucherNotFound
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import VOID, VoucherEventKind

from .holds import lock_vouchers
from .mail_pictures import qr_codes, qr_id

NEW_CODE: Final = "vouchers.new_code"  # the kind of the mail, where it is withheld


@transaction.atomic
def reissue_voucher(
    *, voucher_id: int, actor: User, reason: str, decided_at: datetime | None = None
) -> Voucher:
    """Give the voucher a new code, and mail it to the owner; from now on the old one is unknown.

    An owner whose address is not confirmed gets a mail without the code, and the other once it is.

    The same row keeps its uses, value, expiry and place in the books, so that nothing is issued twice.
    `decided_at` is when somebody looked and decided: a code that is younger than that stays, so that a form which
    is sent twice makes one code. Raises VoucherNotFound, VoucherInactive for one that is void, OwnerInactive if
    the account was closed (nobody would get the new code), or VoucherChanging.
    """
    vouchers = lock_vouchers([voucher_id])
    if not vouchers:
        raise VoucherNotFound
    (voucher,) = vouchers
    if voucher.held_for & VOID:
        raise VoucherInactive(reason=voucher.inactive_reason)
    if not voucher.user.mail_address:
        raise OwnerInactive("The owner's account is closed: nobody would be told the new code.")
    if decided_at and voucher.events.filter(kind=VoucherEventKind.REISSUED, at__gte=decided_at).exists():
        raise VoucherChanging("This voucher got a new code a moment ago.")
    before = codes.mask_code(voucher.code)
    voucher.code = codes.make()
    voucher.save(update_fields=("code",))
    VoucherEvent.objects.create(
        voucher=voucher,
        kind=VoucherEventKind.REISSUED,
        actor=actor,
        reason=reason,
        details={"from": before, "to": codes.mask_code(voucher.code)},
    )
    owner = voucher.user
    if not withheld_mails.withhold(
        user=owner,
        kind=NEW_CODE,
        reference=voucher.pk,
        instead=lambda: _queue_without_code(voucher, before),
    ):
        _queue_code(owner, voucher, before)
    return voucher


def mail_withheld_code(owner: User, voucher_id: int) -> None:
    """Mail the code of a voucher that got a new one before its owner confirmed the address, if it still has a use."""
    voucher = Voucher.objects.filter(pk=voucher_id, user=owner).first()
    if voucher is None or voucher.held_for & VOID:
        return
    last = voucher.events.filter(kind=VoucherEventKind.REISSUED).order_by("-id").first()
    if last is not None:
        _queue_code(owner, voucher, last.details["from"])


def _queue_code(owner: User, voucher: Voucher, before: str) -> None:
    mail.enqueue(
        to=owner.mail_address,
        name=owner.first_name,
        template="vouchers/new_code",
        language=owner.language,
        layout="vouchers/mail/new_code",
        context={
            "name": voucher.sold_as,
            "code": voucher.shown_code,
            "qr": qr_id(voucher) if voucher.is_active else "",
            "redeem_page": qr.redeem_page(),
            "before": before,
            "link": settings.FRONTEND_URL,
        },
        show=qr_codes([voucher]) if voucher.is_active else None,
    )


def _queue_without_code(voucher: Voucher, before: str) -> None:
    owner = voucher.user
    mail.enqueue(
        to=owner.mail_address,
        template="vouchers/new_code_withheld",
        language=owner.language,
        context={
            "name": voucher.sold_as,
            "before": before,
            "link": email_links.confirmation_url(owner.pk, owner.email),
        },
    )
