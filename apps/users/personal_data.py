"""What is held about a person, part by part: each app registers its own, so that this one needs to know none.

A part's `export` gives plain JSON values in a constant number of queries, or, where there may be very many rows, an
iterator over lists of them. Its `erase` runs in the transaction that closes the account, and leaves the books as they
are: amounts, counts and states stay.

What is exported of the account itself and its profile stands here too, at the end; services.py erases it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.core import mail

from .models import EmailChange, User, WithheldMail


@dataclass(frozen=True)
class Part:
    """One app's share of what is held about a person."""

    export: Callable[[User], Any]
    erase: Callable[[User], None] | None


_parts: dict[str, Part] = {}
_also_erase: list[Callable[[User], None]] = []


def register(
    name: str, *, export: Callable[[User], Any], erase: Callable[[User], None] | None = None
) -> None:
    """Add the part `name`, from the `ready` of an AppConfig. Without `erase`, nothing in it says who it was."""
    _parts[name] = Part(export, erase)


def register_erasure(erase: Callable[[User], None]) -> None:
    """Add what else has to be done when an account closes, for an app that only derives figures from other parts."""
    _also_erase.append(erase)


def names() -> tuple[str, ...]:
    """The parts that are registered."""
    return tuple(_parts)


def export(user: User) -> Iterator[tuple[str, Any]]:
    """Everything held about `user`, part by part."""
    return ((name, part.export(user)) for name, part in _parts.items())


def erase(user: User) -> None:
    """Erase from every part what says who `user` is. `user` still has the address from before."""
    for part in _parts.values():
        if part.erase:
            part.erase(user)
    for erase_derived in _also_erase:
        erase_derived(user)


def profile_of(user: User) -> dict[str, Any]:
    """All that is held of a person in the account itself, for the export."""
    account = User.objects.select_related("profile").get(pk=user.pk)
    picture = account.profile.profile_picture
    return {
        "id": account.pk,
        "email": account.email,
        "email_confirmed_at": account.email_confirmed_at,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "language": account.language,
        "phone_number": account.profile.phone_number,
        "address": account.profile.address,
        "date_of_birth": account.profile.date_of_birth,
        "profile_picture": picture.url if picture else None,
        "expiry_reminders": account.profile.expiry_reminders,
        "is_staff": account.is_staff,
        "date_joined": account.date_joined,
        "last_login": account.last_login,
    }


def email_changes_of(user: User) -> list[dict[str, Any]]:
    """The address that the user asked for and has not confirmed, for the export."""
    rows = EmailChange.objects.filter(user=user)
    return [dict(row) for row in rows.values("new_email", "created_at", "expires_at")]


def withheld_mails_of(user: User) -> list[dict[str, Any]]:
    """What waits until the user confirms the address, for the export."""
    rows = WithheldMail.objects.filter(user=user).order_by("id")
    return [dict(row) for row in rows.values("kind", "reference", "created_at")]


def mails_of(user: User) -> list[dict[str, Any]]:
    """The mails to the user that are still kept, for the export."""
    return mail.sent_to(user.email, since=_mailed_since(user))


def erase_mails(user: User) -> None:
    """Delete the mails to the user, sent or not."""
    mail.erase_address(user.email, since=_mailed_since(user))


def _mailed_since(user: User) -> datetime | None:
    """From when on mail to their address is theirs; None for all of it.

    Anybody can register with the address that another has just left: what was queued for that one before, such as the
    note that the address was changed, is neither shown nor deleted before the address is confirmed.
    """
    return None if user.email_confirmed else user.date_joined
