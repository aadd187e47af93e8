"""Mail to owners before their vouchers expire: once for each voucher and each number of days in the settings.

How many days are left is counted in the project's time zone. A voucher gets the mail of the smallest number of
days that it has reached, so an owner without mail for a while gets one mail. It gets none for a number of days that
it had reached on the day of its issue, and none twice for the same number, also when it was extended since.
"""

import logging
import time as clock
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from apps.core import mail
from apps.core.dates import start_of_day
from apps.users import unsubscribe_links
from apps.users.models import User, UserProfile
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import VoucherEventKind

log = logging.getLogger(__name__)

OWNERS_AT_ONCE: Final = 10_000
EVENTS_AT_ONCE: Final = 2000
LISTED: Final = 50  # vouchers that a mail names; of the others it tells how many
GIVE_UP: Final = 10  # owners for whom something went wrong: then it is not about them


def send_expiry_reminders(*, now: datetime, budget: float | None = None) -> int:
    """Queue a mail to each owner of vouchers that are due for one; how many mails.

    After `budget` seconds no further owner is begun: the next run goes on. Any number of runs may go on at once.
    What goes wrong for one owner is logged; after GIVE_UP of them it is raised.
    """
    started = clock.monotonic()
    queued = failed = 0
    for owner_id in _owners(now):
        if budget is not None and clock.monotonic() - started > budget:
            break
        try:
            queued += _remind(owner_id, now)
        except Exception:
            failed += 1
            if failed == GIVE_UP:
                raise
            log.exception("No reminder for user %s", owner_id)
    return queued


def _owners(now: datetime) -> Iterator[int]:
    """Who has a voucher that is due, by number."""
    due = _due(now).filter(user__is_active=True, user__profile__expiry_reminders=True)
    chunk, last = OWNERS_AT_ONCE, 0
    while chunk == OWNERS_AT_ONCE:
        after = due.filter(user_id__gt=last).order_by("user_id").values_list("user_id", flat=True).distinct()
        owner_ids = list(after[:OWNERS_AT_ONCE])
        yield from owner_ids
        chunk, last = len(owner_ids), max(owner_ids, default=last)


@transaction.atomic
def _remind(owner_id: int, now: datetime) -> bool:
    """Tell one owner of all vouchers that are due; whether there was anything to tell.

    The lock on the profile is what lets one run of several do it. Whoever holds it is another run, or changes the
    profile or closes the account right now: then the next run looks again.
    """
    if not _lock(owner_id):
        return False
    owner = User.objects.filter(
        pk=owner_id, is_active=True
    ).first()  # read after the lock: it may be closed by now
    if owner is None:
        return False
    due = _due(now).filter(user_id=owner_id)
    listed = list(due.select_related("voucher_type").order_by("expiry_date", "id")[: LISTED + 1])
    if not listed:
        return False
    reminders = [(voucher.pk, voucher.due_offset) for voucher in listed]  # type: ignore[attr-defined]  # annotated
    last = listed[-1].expiry_date
    if len(listed) > LISTED:
        reminders = list(due.values_list("pk", "due_offset"))  # type: ignore[misc]
        last = due.aggregate(last=Max("expiry_date"))["last"]
    _remember(reminders, now)
    total = len(reminders)
    mail.enqueue(
        to=owner.mail_address,
        name=owner.first_name,
        template="vouchers/expiry_reminder",
        language=owner.language,
        layout="vouchers/mail/expiry_reminder",
        context={
            "soonest": listed[0].expiry_date,
            "vouchers": listed[:LISTED],
            "total": total,
            "more": max(0, total - LISTED),
            "link": settings.FRONTEND_URL,
            "unsubscribe_link": unsubscribe_links.unsubscribe_url(owner_id),
        },
        headers=unsubscribe_links.list_unsubscribe_headers(owner_id),
        expires_at=last,
    )
    return True


def _lock(owner_id: int) -> bool:
    """Whether this owner is ours to remind, and wants to be."""
    wants = UserProfile.objects.filter(user_id=owner_id, expiry_reminders=True)
    return wants.select_for_update(skip_locked=True).first() is not None


def _remember(reminders: list[tuple[int, int]], now: datetime) -> None:
    """Record which vouchers are in the mail, and for which number of days, so that none is in another."""
    for start in range(0, len(reminders), EVENTS_AT_ONCE):
        VoucherEvent.objects.bulk_create(
            VoucherEvent(voucher_id=pk, kind=VoucherEventKind.REMINDED, at=now, offset_days=offset)
            for pk, offset in reminders[start : start + EVENTS_AT_ONCE]
        )


def _due(now: datetime) -> QuerySet[Voucher]:
    """Usable vouchers that are due for a reminder, each with its number of days in `due_offset`."""
    today = timezone.localdate(now)
    offsets = sorted(set(settings.REMINDER_DAYS))
    if not offsets:
        return Voucher.objects.none()
    reached = [When(expiry_date__lt=_end_of(today, offset), then=Value(offset)) for offset in offsets]
    reached_since_the_issue = Q()
    for offset in offsets:
        day_before = F("expiry_date") - timedelta(days=offset + 1)
        reached_since_the_issue |= Q(due_offset=offset, purchase_date__lte=day_before)
    reminded = VoucherEvent.objects.filter(
        voucher=OuterRef("pk"), kind=VoucherEventKind.REMINDED, offset_days=OuterRef("due_offset")
    )
    return (
        Voucher.objects.redeemable(now)
        .filter(expiry_date__lt=_end_of(today, offsets[-1]))
        .annotate(due_offset=Case(*reached, output_field=IntegerField()))
        .filter(reached_since_the_issue, ~Exists(reminded))
    )


def _end_of(today: date, days: int) -> datetime:
    """The end of the local day that is so many days after today."""
    return start_of_day(today + timedelta(days=days + 1))
