"""Which e-mail addresses mail can be sent to, and from. Needs no settings, which use it themselves.

Django's check of an address is wider than what its mail can be sent to: some are refused when the header is written,
others are changed on the way, and the mail would reach somebody else.
"""

import re
from email.utils import getaddresses
from typing import Final

from django.core.exceptions import ValidationError
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email

MAX_LENGTH: Final = 254  # RFC 5321, and what the database holds

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN: Final = re.compile(rf"[a-zA-Z0-9_+-]+(?:\.[a-zA-Z0-9_+-]+)*@{_LABEL}(?:\.{_LABEL})+")


def is_mailable(address: str) -> bool:
    """Whether mail to this address is sent, and to no other than this one."""
    if _PLAIN.fullmatch(
        address
    ):  # nearly all: written as it is, and it takes a tenth of a mail to find that out below
        return True
    local, _, domain = address.rpartition("@")
    try:
        written = sanitize_address(address, "utf-8")  # as the mail's header and the SMTP command have it
        ascii_domain = domain.encode("idna").decode("ascii")
        unchanged = domain.isascii() or ascii_domain.encode().decode("idna") == domain.lower()
    except (ValueError, LookupError):  # a UnicodeError is a ValueError
        return False
    # The mail queue separates addresses by commas. What IDNA leaves out or replaces (U+200B, full-width letters) would
    # lead to another domain, and an encoded word or a quotation that is not needed to another person.
    return "," not in address and unchanged and written == f"{local}@{ascii_domain}"


def validate_mailable(address: str) -> None:
    """Raises ValidationError for an address that Django takes for one and that mail can't be sent to."""
    try:
        validate_email(address)
    except ValidationError:
        return  # what is no address at all is for that check to refuse
    if not is_mailable(address):
        raise ValidationError("Mail can't be sent to this address.", code="invalid")


def is_address(text: str) -> bool:
    """Whether this is one e-mail address, and nothing else, that mail can be sent to."""
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= MAX_LENGTH and is_mailable(text)


def is_sender(text: str) -> bool:
    """Whether mail can be sent from this: one address, alone or as in `Voucher App <shop@example.org>`."""
    try:
        sanitize_address(text, "utf-8")
        ((_, address),) = getaddresses([text])
        validate_email(address)
    except (ValueError, LookupError, ValidationError):
        return False
    one_line = not {"\r", "\n"} & set(text)
    return one_line and len(text) <= MAX_LENGTH and is_mailable(address)
