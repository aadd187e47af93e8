"""What goes with a mail besides its words: files, and pictures that its HTML shows.

The row of a mail holds the names of their makers and JSON values for these; they are made when the mail is sent, so
that no copy is stored. Nothing is loaded from elsewhere: a picture lies in the mail and is shown by its Content-ID.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from email.mime.image import MIMEImage
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.mail import SafeMIMEMultipart
from post_office.models import Email

log = logging.getLogger(__name__)

LOGO: Final = "logo"
LOGO_SIZE: Final = (240, 40)  # what it may take at the head of a mail, in CSS pixels
DENSITY: Final = 2  # its pixels for each of these, as screens of phones have them

Reference = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content: bytes
    media_type: str


@dataclass(frozen=True)
class Picture:
    """A picture that the HTML of a mail shows, as PNG. Its name is one within the mail."""

    name: str
    content: bytes


class Logo(NamedTuple):
    """The shop's logo as mails show it: a PNG, and its width and height in CSS pixels."""

    content: bytes
    width: int
    height: int


_attachment_makers: dict[str, Callable[..., Sequence[Attachment]]] = {}
_picture_makers: dict[str, Callable[..., Sequence[Picture]]] = {}


def register_attachments(name: str, make: Callable[..., Sequence[Attachment]]) -> None:
    """Say who makes the attachments `name`, from the `ready` of an AppConfig.

    `make` runs whenever the mail is about to be sent, with the arguments of `enqueue`.
    """
    _attachment_makers[name] = make


def register_pictures(name: str, make: Callable[..., Sequence[Picture]]) -> None:
    """Say who makes the pictures `name`, likewise. A picture that is left out is shown by its text alone."""
    _picture_makers[name] = make


def content_id(name: str) -> str:
    """The Content-ID of a picture, for `src="cid:…"` (RFC 2392)."""
    return f"{name}@mail"


def shop_logo() -> Logo | None:
    """The logo that SHOP_LOGO names, made smaller for mails; None where none is set, or its file is gone or broken.

    No mail, and no purchase that it reports, fails for its logo: whoever replaces the file may be half done.
    """
    if not settings.SHOP_LOGO:
        return None
    path = settings.BASE_DIR / "static" / settings.SHOP_LOGO
    try:
        return _logo(path, path.stat().st_mtime_ns)
    except Exception as error:  # noqa: BLE001 - what Pillow raises for a broken file is of many kinds
        if not isinstance(error, FileNotFoundError):
            log.warning("Mails go without the logo: %s", type(error).__name__)
        return None


@lru_cache(maxsize=1)
def _logo(path: Path, changed: int) -> Logo:
    from PIL import Image  # not at the top: most start without

    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((LOGO_SIZE[0] * DENSITY, LOGO_SIZE[1] * DENSITY))
    file = BytesIO()
    small.save(file, "PNG", optimize=True)
    return Logo(file.getvalue(), max(1, small.width // DENSITY), max(1, small.height // DENSITY))


def attachments_of(email: Email) -> list[Attachment]:
    """What the row says should be attached to the mail, made now. Raises whatever its maker raises."""
    if reference := (email.context or {}).get("attach"):
        name, arguments = reference
        return list(_attachment_makers[name](**arguments))
    return []


def pictures_of(email: Email) -> list[Picture]:
    """What the row says should be shown in the mail, made now. Raises whatever its makers raise."""
    context = email.context or {}
    pictures = []
    if context.get("logo") and (logo := shop_logo()):
        pictures.append(Picture(LOGO, logo.content))
    if reference := context.get("show"):
        name, arguments = reference
        pictures += _picture_makers[name](**arguments)
    return pictures


def add_parts(email: Email) -> None:
    """Make what the row says should go with the mail, and add it. Raises whatever its makers raise."""
    letter = email.email_message()
    for attachment in attachments_of(email):
        letter.attach(attachment.name, attachment.content, attachment.media_type)
    if pictures := pictures_of(email):
        write: Callable[[], Message] = letter.message
        letter.message = lambda: _illustrated(write(), pictures)


class _Related(SafeMIMEMultipart):
    """HTML and its pictures (RFC 2387)."""

    def __init__(self) -> None:
        super().__init__(_subtype="related", encoding=settings.DEFAULT_CHARSET)


def _illustrated(message: Message, pictures: Sequence[Picture]) -> Message:
    """The message with the pictures beside its HTML, so that mail programs show them there and list no files."""
    for part in message.walk():
        parts = part.get_payload()
        if part.get_content_type() != "multipart/alternative" or not isinstance(parts, list):
            continue
        for place, alternative in enumerate(parts):
            if alternative.get_content_type() == "text/html":
                related = _Related()
                related.attach(alternative)
                for picture in pictures:
                    related.attach(_mime(picture))
                parts[place] = related
        break
    return message


def _mime(picture: Picture) -> MIMEImage:
    part = MIMEImage(picture.content, "png")
    part.add_header("Content-ID", f"<{content_id(picture.name)}>")
    part.add_header("Content-Disposition", "inline", filename=f"{picture.name}.png")
    return part
