"""Mail: a row in the database with what it reports, and sent later, so that none is lost and none delays a request.

The rows are post_office's. They are written here and not by its `mail.send`, which would run what people wrote
(their names) as a template.
"""

import atexit
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone
from post_office.connections import connections as servers
from post_office.models import PRIORITY, STATUS, Email, Log

from .email_addresses import is_mailable
from .logs import redact

log = logging.getLogger(__name__)

WAITING: Final = (STATUS.queued, STATUS.requeued)
# Whoever sends a mail reserves it for so long: should they die, another tries again.
LEASE: Final = timedelta(minutes=10)
BATCH: Final = 100
BUDGET: Final = 60.0  # seconds after which a run starts no further mail
LAST_WAIT: Final = (
    15.0  # seconds for which a process that ends waits for its own sender: one slow mail's time
)
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content: bytes
    media_type: str


_makers: dict[str, Callable[..., Attachment]] = {}


def register_attachment(name: str, make: Callable[..., Attachment]) -> None:
    """Say who makes the attachment `name`, from the `ready` of an AppConfig.

    `make` runs whenever the mail is about to be sent, with the arguments that `queue` was given.
    """
    _makers[name] = make


def enqueue(
    *,
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    expires_at: datetime | None = None,
    headers: dict[str, str] | None = None,
    attach: tuple[str, dict[str, Any]] | None = None,
) -> None:
    """Put a mail into the queue: `template`.txt and `template`.html, rendered with `context`.

    Call it in the transaction of what the mail reports. It is not sent after `expires_at`. For an address that can't be
    mailed nothing is queued. An empty `to` makes a row that counts as sent: for whoever must not be told, by the time
    that it takes, that nobody gets mail.
    `attach` is the name of an attachment (see `register_attachment`) and JSON values for its maker: the row holds
    these, and the file is made when the mail is sent, so that none lies about.
    """
    if to and not is_mailable(to):
        log.warning("A mail was not queued: its recipient's address can't be used")
        return
    message = render_to_string(f"{template}.txt", context)
    html_message = render_to_string(f"{template}.html", context)
    email = Email(
        from_email=settings.DEFAULT_FROM_EMAIL,  # for the record; see _send
        to=[to] if to else [],
        subject=_CONTROL.sub(" ", subject).strip(),  # a line break would end the header
        message=message,
        html_message=html_message,
        status=STATUS.queued if to else STATUS.sent,
        priority=PRIORITY.medium,
        expires_at=expires_at,
        headers=headers,
        context={"attach": attach} if attach else None,
    )
    # Not by `save`, which refuses the whole mail for its sender: that is set when it is sent.
    Email.objects.bulk_create([email])
    if settings.SEND_MAIL_IN_PROCESS:
        transaction.on_commit(_sender.wake, robust=True)


def send_pending() -> int:
    """Send the mail that is waiting; how many were sent.

    May run any number of times at once, on any number of machines: each mail is reserved by one UPDATE before it
    is sent. One that can't be sent now is tried again later, for a day.
    """
    sent = 0
    started = time.monotonic()
    try:
        while batch := list(_due(timezone.now())[:BATCH]):
            for email in batch:
                if time.monotonic() - started > BUDGET:
                    return sent
                sent += _reserve(email) and _send(email)
    finally:
        servers.close()
    return sent


def waiting() -> Any:
    """The mails that are not sent yet, and not too late to be sent."""
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Email.objects.filter(in_time, status__in=WAITING)


def remove_old(now: datetime) -> int:
    """Delete mail that was dealt with some time ago, and what can no more be sent; how many rows."""
    dealt_with = Q(status__in=(STATUS.sent, STATUS.failed), last_updated__lt=now - settings.KEEP_MAIL)
    nobodys = Q(to="", status=STATUS.sent)
    deleted = 0
    while batch := _delete(Email.objects.filter(dealt_with | nobodys | Q(expires_at__lt=now)), 1000):
        deleted += batch
    return deleted


def sent_to(address: str) -> list[dict[str, Any]]:
    """Subject, day and state of each mail to an address that is still kept, for its owner."""
    names = dict(Email.STATUS_CHOICES)
    return [
        {"subject": subject, "created_at": created, "status": str(names[status])}
        for subject, created, status in Email.objects.filter(to=address)
        .order_by("-created", "-id")
        .values_list("subject", "created", "status")
    ]


def erase_address(address: str) -> None:
    """Delete all mail to an address, sent or not."""
    _delete(Email.objects.filter(to=address))


def _delete(emails: Any, limit: int | None = None) -> int:
    """Delete these mails, the first `limit` of them, with their logs; how many.

    Their rows are locked first: a sender that is writing the log of one has finished by then, or finds it gone. A log
    written between the deletion of the logs and that of the mails would refer to nothing.
    """
    with transaction.atomic():
        ids = list(emails.select_for_update().order_by("id").values_list("id", flat=True)[:limit])
        Email.objects.filter(id__in=ids).delete()
    return len(ids)


def _due(now: datetime) -> Any:
    return waiting().filter(Q(scheduled_time=None) | Q(scheduled_time__lte=now)).order_by("-priority", "id")


def _reserve(email: Email) -> bool:
    """Whether the mail is ours to send now."""
    until = timezone.now() + LEASE
    reserved: int = Email.objects.filter(
        pk=email.pk, status__in=WAITING, scheduled_time=email.scheduled_time
    ).update(scheduled_time=until)
    return bool(reserved)


def _send(email: Email) -> bool:
    mine = Email.objects.filter(pk=email.pk, status__in=WAITING)
    try:
        # Today's sender: the one from when it was queued may have been wrong, and mended since.
        email.from_email = settings.DEFAULT_FROM_EMAIL
        _attach(email)
        email.dispatch(commit=False, disconnect_after_delivery=False)
    except Exception as error:  # noqa: BLE001 - whatever a mail server does, the next mail has its turn
        servers.close()
        tried = (email.number_of_retries or 0) + 1
        again = tried <= settings.MAIL_MAX_RETRIES
        log.warning("Mail %s was not sent (%s), attempt %s", email.pk, type(error).__name__, tried)
        failure = {
            "exception_type": type(error).__name__,
            "message": redact(str(error)),
            "status": STATUS.failed,
        }
        with transaction.atomic():
            # The update locks the row, so that nobody deletes the mail before its log is written (see _delete).
            kept = mine.update(
                status=STATUS.requeued if again else STATUS.failed,
                scheduled_time=timezone.now() + settings.MAIL_RETRY_AFTER,
                number_of_retries=tried,
                last_updated=timezone.now(),
            )
            if kept:
                Log.objects.update_or_create(email=email, defaults=failure)  # the last one tells enough
        return False
    mine.update(status=STATUS.sent, last_updated=timezone.now())
    return True


def _attach(email: Email) -> None:
    """Make what the row says should go with the mail. Raises whatever its maker raises."""
    if wanted := (email.context or {}).get("attach"):
        name, arguments = wanted
        made = _makers[name](**arguments)
        email.email_message().attach(made.name, made.content, made.media_type)


class _Sender:
    """A thread that sends what is waiting, for a process that has no worker beside it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._idle = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the waiting mail sent soon; returns at once."""
        with self._lock:
            self._idle.clear()
            self._asked.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()
                atexit.register(self.finish)

    def finish(self) -> None:
        """Wait until nothing is being sent, as a command may end a moment after it woke the thread."""
        if not self._idle.wait(LAST_WAIT):
            log.warning("The process ends while mail is being sent; another goes on with it")

    def _run(self) -> None:
        while self._asked.wait():
            self._asked.clear()
            try:
                close_old_connections()
                send_pending()
            except Exception:
                log.exception("The mail could not be sent")
            finally:
                connection.close()
                with self._lock:
                    if not self._asked.is_set():
                        self._idle.set()


_sender = _Sender()
