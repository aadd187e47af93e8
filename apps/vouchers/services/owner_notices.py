"""Mail to owners about what staff did to their vouchers: one mail a person for each act, however many they are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    for owner in User.objects.filter(pk__in=of_owner).order_by("pk"):
        changed = of_owner[owner.pk]
        _tell(owner, act, changed[:LISTED], len(changed), reason)


@dataclass
class Changed:
    """What was changed of an owner in an act that took several transactions: how many, and the first of them."""

    total: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, voucher_ids: Sequence[int]) -> None:
        """Count these too, and keep as many of their numbers as a mail names."""
        self.total += len(voucher_ids)
        self.first = [*self.first, *voucher_ids][:LISTED]


def tell_owners_at_the_end(act: StaffAct, changed: Mapping[int, Changed], *, reason: str) -> None:
    """Queue a mail to each owner, by number, about what was changed of theirs, as it is now."""
    for owner in User.objects.filter(pk__in=changed).order_by("pk"):
        of_owner = changed[owner.pk]
        named = Voucher.objects.filter(pk__in=of_owner.first).order_by("pk")
        _tell(owner, act, list(named), of_owner.total, reason)


def _tell(owner: User, act: StaffAct, vouchers: list[Voucher], total: int, reason: str) -> None:
    if not owner.mail_address:
        return
    now = timezone.now()
    mail.enqueue(
        to=owner.mail_address,
        name=owner.first_name,
        template=f"vouchers/{act}",
        language=owner.language,
        layout="vouchers/mail/staff_act",
        context={
            "vouchers": [described(voucher, now) for voucher in vouchers],
            "total": total,
            "more": total - len(vouchers),
            "reason": reason,
            "link": settings.FRONTEND_URL,
        },
    )


def described(voucher: Voucher, now: datetime) -> dict[str, Any]:
    """What a mail says of a voucher as it is at `now`: its name, the end of its code, and its state.

    Whatever the words of a state depend on is part of `state`: they are the same where it is.
    """
    state = {
        "status": voucher.status_at(now),
        "reason": voucher.inactive_reason,
        "expiry_date": voucher.expiry_date,
        "uses_remaining": voucher.uses_remaining,
        "total_uses": voucher.total_uses,
    }
    return {"name": voucher.sold_as, "ending": str(voucher), **state, "state": tuple(state.values())}
