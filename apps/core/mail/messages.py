"""One mail: its words and layout, and its row for the queue.

The words of a mail stand once, in a template of blocks: `<app>/mail/en/<name>.html`, and in each other language beside
it; those of mails to staff, in English alone, in `<app>/mail/staff`. A layout puts them into plain text and HTML
(`core/mail/letter`, or one of an app's own), so that no sentence is written twice.

The rows are post_office's. They are written here and not by its `mail.send`, which would run what people wrote
(their names) as a template.
"""

import re
import unicodedata
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from post_office.models import PRIORITY, STATUS, Email

from apps.core.email_addresses import is_address
from apps.core.languages import Language

from .parts import LOGO, Reference, content_id, shop_logo
from .rendering import render

LONGEST_WORD: Final = 15  # of a name that mails greet by
LETTER: Final = "core/mail/letter"
STAFF: Final = "staff"
_HELLO: Final = {Language.EN: "Hello", Language.FR: "Bonjour"}
_COLON: Final = {Language.EN: ":", Language.FR: "\N{NO-BREAK SPACE}:"}  # as it stands behind a word
_EMPTY_LINES: Final = re.compile(r"(?:[ \t]*\n){3,}")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


# Nobody's answering machine replies to it (RFC 3834).
_HEADERS: Final = {"Auto-Submitted": "auto-generated"}


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
    attach: Reference | None,
    show: Reference | None,
) -> Email:
    """The row of a mail, not saved yet; see `queue.enqueue`."""
    spoken = Language(language) if language in Language.values else Language.EN
    context = {
        "greeting": greeting(name, spoken),
        "language": spoken,
        "colon": _COLON[spoken],
        "shop_name": settings.SHOP_NAME,
        "shop_contact": settings.SHOP_CONTACT,
        "seller": settings.SHOP_SELLER,
        "logo": shop_logo(),
        "logo_id": content_id(LOGO),
        **context,
    }
    parts = {"attach": attach, "show": show, "logo": context["logo"] is not None}
    app, _, file = template.partition("/")
    words = f"{app}/mail/{STAFF if language is None else spoken}/{file}.html"
    with translation.override(spoken):  # the names of days and months
        subject = render(words, "core/mail/subject.txt", context)
        message = render(words, f"{layout}.txt", context)
        html_message = render(words, f"{layout}.html", context)
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
        context={name: value for name, value in parts.items() if value} or None,
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


def _reply_to() -> dict[str, str]:
    """Where an answer goes: to the shop's contact, where that is an address."""
    contact = settings.SHOP_CONTACT
    return {"Reply-To": contact} if is_address(contact) else {}
