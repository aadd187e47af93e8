"""Who sells here: the names that mails, PDFs, the admin and the API's description carry, and the tax on receipts."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from .environment import line, read

# As long as their columns of a receipt: a longer one would stop a sale.
NAME_LENGTH: Final = 100
CONTACT_LENGTH: Final = 200
SELLER_LENGTH: Final = 200
ADDRESS_LENGTH: Final = 500
TAX_NUMBER_LENGTH: Final = 100
LOGO_SIDE: Final = 2000  # pixels: each printed voucher holds it, and a picture of 9,000 takes ten seconds
STATIC: Final = Path(__file__).resolve().parent.parent / "static"


class Seller(NamedTuple):
    """Who sells, as a bookkeeper wants it: the name in law, the address, and the number for taxes; empty if unknown."""

    name: str
    address: str
    tax_number: str


NOBODY: Final = Seller("", "", "")
# Where DEBUG is on, so that a receipt looks as it will.
EXAMPLE: Final = Seller(
    "Example Vouchers Ltd", "1 Example Street, Accra, Ghana", "TIN C0000000000 (example, not a company)"
)


def shop_name(text: str) -> str:
    """A name of one line."""
    return line(text, NAME_LENGTH)


def contact(text: str) -> str:
    """An address, a number or a page, on one line."""
    return line(text, CONTACT_LENGTH)


def seller(text: str) -> Seller:
    """Name, address and tax number with bars between: "Exams Ltd | 1 Main Street | TIN C0001"; a name at least."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) > 3 or not parts[0]:
        raise ValueError("Such as Exams Ltd | 1 Main Street, Accra | TIN C0001.")
    name, address, tax_number = (*parts, "", "")[:3]
    return Seller(
        line(name, SELLER_LENGTH),
        address and line(address, ADDRESS_LENGTH),
        tax_number and line(tax_number, TAX_NUMBER_LENGTH),
    )


def tax_rate(text: str) -> Decimal:
    """A rate in percent, above 0 and below 100, with three decimal places at most: 12.5."""
    number = text.strip().removesuffix("%").strip()
    if not re.fullmatch(r"\d{1,2}(\.\d{0,3})?", number, re.ASCII):
        raise ValueError("A rate in percent, such as 12.5.")
    rate = Decimal(number)
    if not rate:
        raise ValueError("Leave it out where there is no tax.")
    return rate


def logo(text: str) -> str:
    """The place of a PNG or JPEG below the folder `static`, with slashes: "shop/logo.png"; LOGO_SIDE wide and high at
    the most."""
    from PIL import Image  # not at the top: most start without

    place = text.strip()
    if not place.lower().endswith((".png", ".jpg", ".jpeg")) or ".." in place or place.startswith("/"):
        raise ValueError("Such as shop/logo.png, a file in the folder static.")
    try:
        with Image.open(STATIC / place, formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            picture.verify()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImproperlyConfigured(f"SHOP_LOGO: static/{place} is no picture that can be read.") from error
    if max(width, height) > LOGO_SIDE:
        raise ImproperlyConfigured(
            f"SHOP_LOGO: static/{place} is more than {LOGO_SIDE:,} pixels wide or high."
        )
    return place


class Identity(NamedTuple):
    """The settings of the same names in capitals."""

    shop_name: str
    shop_logo: str
    shop_contact: str
    shop_seller: Seller
    tax_rate: Decimal | None


def read_identity(*, debug: bool) -> Identity:
    """What the environment says of the shop. Raises ImproperlyConfigured for what can't be read."""
    return Identity(
        shop_name=read("SHOP_NAME", "Voucher App", cast=shop_name),
        shop_logo=read("SHOP_LOGO", cast=logo),
        shop_contact=read("SHOP_CONTACT", cast=contact),
        shop_seller=read("SHOP_SELLER", EXAMPLE if debug else NOBODY, cast=seller),
        tax_rate=read("TAX_RATE", None, cast=tax_rate),
    )
