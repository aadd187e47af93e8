"""One mail: its words and layout, its row for the queue, and the file that goes with it.

The words of a mail stand once, in a template of blocks: `<app>/mail/en/<name>.html`, and in each other language beside
it; those of mails to staff, in English alone, in `<app>/mail/staff`. A layout puts them into plain text and HTML
(`core/mail/letter`, or one of an app's own), so that no sentence is written twice.

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
from django.utils import translation
from post_office.models import PRIORITY, STATUS, Email

from apps.core.email_addresses import is_address
from apps.core.languages import Language

LONGEST_WORD: Final = 15  # of a name that mails greet by
LETTER: Final = "core/mail/letter"
STAFF: Final = "staff"
_HELLO: Final = {Language.EN: "Hello", Language.FR: "Bonjour"}
_EMPTY_LINES: Final = re.compile(r"(?:[ \t]*\n){3,}")
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
    template: str,
    language: str | None,
    context: dict[str, Any],
    layout: str,
    expires_at: datetime | None,
    headers: dict[str, str] | None,
    attach: tuple[str, dict[str, Any]] | None,
) -> Email:
    """The row of a mail, not saved yet; see `queue.enqueue`."""
    spoken = Language(language) if language in Language.values else Language.EN
    context = {
        "greeting": greeting(name, spoken),
        "language": spoken,
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
        **context,
    }
    app, _, file = template.partition("/")
    words = f"{app}/mail/{STAFF if language is None else spoken}/{file}.html"
    with translation.override(spoken):  # the names of days and months
        subject = render_to_string(words, {**context, "layout": "core/mail/subject.txt"})
        message = render_to_string(words, {**context, "layout": f"{layout}.txt"})
        html_message = render_to_string(words, {**context, "layout": f"{layout}.html"})
    return Email(
        from_email=settings.DEFAULT_FROM_EMAIL,  # for the record; see delivery
        to=[to] if to else [],
        subject=_CONTROL.sub(" ", subject).strip(),  # a line break would end the header
        message=_EMPTY_LINES.sub("\n\n", message).strip() + "\n",
        html_message=html_message,
        status=STATUS.queued if to else STATUS.sent,
        priority=PRIORITY.medium,
        expires_at=expires_at,
        headers=_HEADERS | _reply_to() | (headers or {}),
        context={"attach": attach} if attach else None,
    )


def greeting(name: str, language: Language = Language.EN) -> str:
    """How a mail begins: "Hello Ama," or, for what may be no first name, "Hello,".

    People choose their names, and whoever registers with another's address would write to them in the shop's: so no
    address, number or sentence is taken for one, and nothing as long as what is worth something.
    """
    words = re.split(r"[ '\u2019-]", name.strip())
    letters = all(unicodedata.category(sign)[0] in "LM" for word in words for sign in word)
    is_name = letters and 0 < len(words) <= 3 and all(0 < len(word) <= LONGEST_WORD for word in words)
    hello = _HELLO[language]
    return f"{hello} {name.strip()}," if is_name else f"{hello},"


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
