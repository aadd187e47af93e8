"""Mail to owners about what staff did to their vouchers: one mail a person for each act, however many they are."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from apps.core import mail
from apps.users.models import User
from apps.vouchers.models import Voucher

LISTED: Final = 50  # vouchers that a mail names; of the others it tells how many


class StaffAct(StrEnum):
    """What staff did; the name of the mail's words."""

    SUSPENDED = "vouchers_suspended"
    RELEASED = "vouchers_released"
    VOIDED = "vouchers_voided"
    EXTENDED = "vouchers_extended"


def tell_owners(act: StaffAct, vouchers: Iterable[Voucher], *, reason: str) -> None:
    """Queue a mail to each owner of these vouchers, which were changed just now, in the transaction of the change.

    Whose account was closed has no address, and gets none.
    """
    of_owner: dict[int, list[Voucher]] = defaultdict(list)
    for voucher in vouchers:
        of_owner[voucher.user_id].append(voucher)
    now = timezone.now()
    for owner in User.objects.filter(pk__in=of_owner).order_by("pk"):
        if owner.mail_address:
            _tell(owner, act, of_owner[owner.pk], reason, now)


def _tell(owner: User, act: StaffAct, vouchers: list[Voucher], reason: str, now: datetime) -> None:
    mail.enqueue(
        to=owner.mail_address,
        name=owner.first_name,
        template=f"vouchers/{act}",
        language=owner.language,
        layout="vouchers/mail/staff_act",
        context={
            "vouchers": [described(voucher, now) for voucher in vouchers[:LISTED]],
            "total": len(vouchers),
            "more": max(0, len(vouchers) - LISTED),
            "reason": reason,
            "link": settings.FRONTEND_URL,
        },
    )


def described(voucher: Voucher, now: datetime) -> dict[str, Any]:
    """What a mail says of a voucher as it is at `now`: its name, the end of its code, and its state."""
    return {
        "name": voucher.sold_as,
        "ending": str(voucher),
        "status": voucher.status_at(now),
        "reason": voucher.inactive_reason,
        "expiry_date": voucher.expiry_date,
        "uses_remaining": voucher.uses_remaining,
        "total_uses": voucher.total_uses,
    }
