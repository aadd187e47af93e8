"""One mail: its text from templates, its row for the queue, and the file that goes with it.

The rows are post_office's. They are written here and not by its `mail.send`, which would run what people wrote
(their names) as a template.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.template.loader import render_to_string
from post_office.models import PRIORITY, STATUS, Email

from apps.core.email_addresses import is_address

LONGEST_WORD: Final = 15  # of a name that mails greet by
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


# Nobody's answering machine replies to it (RFC 3834).
_HEADERS: Final = {"Auto-Submitted": "auto-generated"}


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content: bytes
    media_type: str


_makers: dict[str, Callable[..., Attachment]] = {}


def register_attachment(name: str, make: Callable[..., Attachment]) -> None:
    """Say who makes the attachment `name`, from the `ready` of an AppConfig.

    `make` runs whenever the mail is about to be sent, with the arguments of `enqueue`.
    """
    _makers[name] = make


def compose(
    *,
    to: str,
    name: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    expires_at: datetime | None,
    headers: dict[str, str] | None,
    attach: tuple[str, dict[str, Any]] | None,
) -> Email:
    """The row of a mail, not saved yet; see `queue.enqueue`."""
    context = {
        "greeting": greeting(name),
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
        **context,
    }
    message = render_to_string(f"{template}.txt", context) + render_to_string(
        "core/mail_signature.txt", context
    )
    html_message = render_to_string(f"{template}.html", context)
    return Email(
        from_email=settings.DEFAULT_FROM_EMAIL,  # for the record; see delivery
        to=[to] if to else [],
        subject=_CONTROL.sub(" ", subject).strip(),  # a line break would end the header
        message=message,
        html_message=html_message,
        status=STATUS.queued if to else STATUS.sent,
        priority=PRIORITY.medium,
        expires_at=expires_at,
        headers=_HEADERS | _reply_to() | (headers or {}),
        context={"attach": attach} if attach else None,
    )


def greeting(name: str) -> str:
    """How a mail begins: "Hello Ama," or, for what may be no first name, "Hello,".

    People choose their names, and whoever registers with another's address would write to them in the shop's: so no
    address, number or sentence is taken for one, and nothing as long as what is worth something.
    """
    words = re.split(r"[ '\u2019-]", name.strip())
    letters = all(unicodedata.category(sign)[0] in "LM" for word in words for sign in word)
    is_name = letters and 0 < len(words) <= 3 and all(0 < len(word) <= LONGEST_WORD for word in words)
    return f"Hello {name.strip()}," if is_name else "Hello,"


def attachment_of(email: Email) -> Attachment | None:
    """What the row says should go with the mail, made now; None if nothing. Raises whatever its maker raises."""
    if reference := (email.context or {}).get("attach"):
        name, arguments = reference
        return _makers[name](**arguments)
    return None


def add_attachment(email: Email) -> None:
    """Make what the row says should go with the mail, and add it. Raises whatever its maker raises."""
    if attachment := attachment_of(email):
        email.email_message().attach(attachment.name, attachment.content, attachment.media_type)


def _reply_to() -> dict[str, str]:
    """Where an answer goes: to the shop's contact, where that is an address."""
    contact = settings.SHOP_CONTACT
    return {"Reply-To": contact} if is_address(contact) else {}
