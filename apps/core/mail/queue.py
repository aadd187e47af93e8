"""The queue: a row in the database for each mail, written in the transaction of what it reports.

So none is lost and none delays a request; what sends them is in `delivery`.
"""

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from post_office.models import STATUS, Email

from apps.core import inserts
from apps.core.email_addresses import is_mailable

from .delivery import WAITING, wake_sender
from .messages import LETTER, compose
from .parts import Reference

log = logging.getLogger(__name__)


def enqueue(
    *,
    to: str,
    name: str = "",
    template: str,
    language: str | None,
    context: dict[str, Any],
    layout: str = LETTER,
    expires_at: datetime | None = None,
    headers: dict[str, str] | None = None,
    attach: Reference | None = None,
    show: Reference | None = None,
) -> None:
    """Put a mail into the queue: the words of `template`, such as "core/findings", rendered with `context`.

    `language` is that of the person (`apps.core.languages`), now, whatever they choose later; None for a mail to staff.
    `layout` puts the words into plain text and HTML. `name` is the first name of whom it greets.
    Call it in the transaction of what the mail reports. It is not sent after `expires_at`. For an address that can't be
    mailed nothing is queued. An empty `to` makes a row that counts as sent: for a caller who must not learn from the
    time that it takes that nobody gets mail.
    `attach` is the name of attachments (see `register_attachments`) and JSON values for their maker, `show` likewise
    that of pictures: the row holds these, and what they name is made when the mail is sent, so that no copy is stored.
    """
    if to and not is_mailable(to):
        log.warning("A mail was not queued: its recipient's address can't be used")
        return
    email = compose(
        to=to,
        name=name,
        template=template,
        language=language,
        context=context,
        layout=layout,
        expires_at=expires_at,
        headers=headers,
        attach=attach,
        show=show,
    )
    # Not by `save`, which refuses the whole mail for its sender: that is set when it is sent.
    inserts.insert(email)
    if settings.SEND_MAIL_IN_PROCESS:
        transaction.on_commit(wake_sender, robust=True)


def remove_old(now: datetime) -> int:
    """Delete mail that was dealt with some time ago, and what can no more be sent; how many rows."""
    dealt_with = Q(status__in=(STATUS.sent, STATUS.failed), last_updated__lt=now - settings.KEEP_MAIL)
    nobodys = Q(to="", status=STATUS.sent)
    deleted = 0
    while batch := _delete(Email.objects.filter(dealt_with | nobodys | Q(expires_at__lt=now)), 1000):
        deleted += batch
    return deleted


def sent_to(address: str, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """Subject, day and state of each mail to an address that is still kept, for its owner; `since` then, if any."""
    names = dict(Email.STATUS_CHOICES)
    return [
        {"subject": subject, "created_at": created, "status": str(names[status])}
        for subject, created, status in _mails(address, since)
        .order_by("-created", "-id")
        .values_list("subject", "created", "status")
    ]


def erase_address(address: str, *, keep_waiting: bool = False, since: datetime | None = None) -> None:
    """Delete all mail to an address, sent or not; with `keep_waiting` that which is still to be sent stays.

    With `since` that which was queued before stays, too.
    """
    mails = _mails(address, since)
    _delete(mails.exclude(status__in=WAITING) if keep_waiting else mails)


def _mails(address: str, since: datetime | None) -> Any:
    mails = Email.objects.filter(to=address)
    return mails if since is None else mails.filter(created__gte=since)


def _delete(emails: Any, limit: int | None = None) -> int:
    """Delete these mails, the first `limit` of them, with their logs; how many.

    Their rows are locked first: a sender that is writing the log of one has finished by then, or finds it gone. A log
    written between the deletion of the logs and that of the mails would refer to nothing.
    """
    with transaction.atomic():
        ids = list(emails.select_for_update().order_by("id").values_list("id", flat=True)[:limit])
        Email.objects.filter(id__in=ids).delete()
    return len(ids)
