"""Mail with full codes: withheld until its reader has proved that the address is theirs.

The one gate for such mail. What is withheld is noted with its kind and the row that it is about; each app registers how
it writes its kinds, so that this one needs to know none.
"""

import logging
from collections.abc import Callable
from typing import Final

from django.db import connection, transaction

from .models import User, WithheldMail

log = logging.getLogger(__name__)

Write = Callable[[User, int], object]
_kinds: Final[dict[str, Write]] = {}


def register(kind: str, write: Write) -> None:
    """Say how a mail of this kind is queued for a user, about the row of a number; from the `ready` of an AppConfig.

    `write` decides by what is there then whether there is still anything to mail.
    """
    _kinds[kind] = write


def withhold(*, user: User, kind: str, reference: int, instead: Callable[[], object]) -> bool:
    """Whether a mail with codes is withheld as the user's address is not confirmed; else the caller queues it now.

    `instead` queues one without codes that says how to get them. Of several about one row, one is sent later.
    Where `user` was read before the address was confirmed, it has afterwards the address that was.
    """
    if user.email_confirmed:
        return False
    with transaction.atomic():
        if not _stays_unconfirmed(user):
            return False
        withheld = WithheldMail(user=user, kind=kind, reference=reference)
        WithheldMail.objects.bulk_create([withheld], ignore_conflicts=True)
        instead()
    return True


def release(user: User) -> None:
    """Queue all that was withheld for a user, whose address was confirmed in the caller's transaction."""
    for withheld in WithheldMail.objects.filter(user=user).order_by("id"):
        if withheld.kind in _kinds:
            _kinds[withheld.kind](user, withheld.reference)
        else:
            log.error("No mail is written of what was withheld: %s", withheld)
    discard(user)


def discard(user: User) -> None:
    """Forget what was withheld for a user."""
    WithheldMail.objects.filter(user=user).delete()


def _stays_unconfirmed(user: User) -> bool:
    """Whether the address is still to be confirmed; if so, it stays so until the caller's transaction ends.

    Whoever confirms it waits for that, and then finds what was withheld. The lock is shared, as that of
    `services.lock_open_account`, so that those who hold both wait for nobody who does. `user` gets the address of now:
    what was confirmed meanwhile may be another than the one that it was read with.
    """
    sql = "SELECT email, email_confirmed_at FROM users_user WHERE id = %s"
    if connection.vendor == "postgresql":  # SQLite has one writer at a time anyway
        sql += " FOR SHARE"
    with connection.cursor() as cursor:
        cursor.execute(sql, [user.pk])
        user.email, confirmed_at = cursor.fetchone()
    return confirmed_at is None
