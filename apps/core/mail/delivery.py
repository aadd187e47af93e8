"""What sends the mail that waits: the beat, a command, or a thread of the process that queued it."""

import atexit
import logging
import threading
import time
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q
from django.utils import timezone
from post_office.connections import connections as servers
from post_office.models import STATUS, Email, Log

from apps.core.logs import redact

from .parts import add_parts

log = logging.getLogger(__name__)

WAITING: Final = (STATUS.queued, STATUS.requeued)
# Whoever sends a mail reserves it for so long: should they die, another tries again.
RESERVED_FOR: Final = timedelta(minutes=10)
BATCH: Final = 100
BUDGET: Final = 60.0  # seconds after which a run starts no further mail
# Seconds for which a process that ends waits for its own sender: one slow mail's time.
LAST_WAIT: Final = 15.0


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


def wake_sender() -> None:
    """Have the waiting mail sent soon, by a thread of this process; returns at once."""
    _sender.wake()


def _due(now: datetime) -> Any:
    return waiting().filter(Q(scheduled_time=None) | Q(scheduled_time__lte=now)).order_by("-priority", "id")


def _reserve(email: Email) -> bool:
    """Whether the mail is ours to send now."""
    until = timezone.now() + RESERVED_FOR
    reserved: int = Email.objects.filter(
        pk=email.pk, status__in=WAITING, scheduled_time=email.scheduled_time
    ).update(scheduled_time=until)
    return bool(reserved)


def _send(email: Email) -> bool:
    mine = Email.objects.filter(pk=email.pk, status__in=WAITING)
    try:
        # Today's sender: the one from when it was queued may have been wrong, and mended since.
        email.from_email = settings.DEFAULT_FROM_EMAIL
        add_parts(email)
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
            # The update locks the row, so that nobody deletes the mail before its log is written (see queue.py).
            updated = mine.update(
                status=STATUS.requeued if again else STATUS.failed,
                scheduled_time=timezone.now() + settings.MAIL_RETRY_AFTER,
                number_of_retries=tried,
                last_updated=timezone.now(),
            )
            if updated:
                Log.objects.update_or_create(email=email, defaults=failure)  # the last one tells enough
        return False
    mine.update(status=STATUS.sent, last_updated=timezone.now())
    return True


class _Sender:
    """A thread that sends what is waiting, for a process that has no worker beside it."""

    def __init__(self) -> None:
        self._mail_waits = threading.Event()
        self._idle = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the waiting mail sent soon; returns at once."""
        with self._lock:
            self._idle.clear()
            self._mail_waits.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()
                atexit.register(self.finish)

    def finish(self) -> None:
        """Wait until nothing is being sent, as a command may end a moment after it woke the thread."""
        if not self._idle.wait(LAST_WAIT):
            log.warning("The process ends while mail is being sent; another goes on with it")

    def _run(self) -> None:
        while self._mail_waits.wait():
            self._mail_waits.clear()
            try:
                close_old_connections()
                send_pending()
            except Exception:
                log.exception("The mail could not be sent")
            finally:
                connection.close()
                with self._lock:
                    if not self._mail_waits.is_set():
                        self._idle.set()


_sender = _Sender()
