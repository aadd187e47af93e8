"""QR codes of vouchers in mails: drawn when the mail is sent, so that none is stored."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from apps.core import mail
from apps.vouchers import qr
from apps.vouchers.models import Voucher

QR: Final = "vouchers.qr"
SHOWN: Final = 20  # vouchers of a mail that are shown with a QR code
PIXELS: Final = 4  # of a module: sharp on a phone at half of that


def qr_codes(vouchers: Iterable[Voucher]) -> tuple[str, dict[str, Any]]:
    """What `mail.enqueue` takes as `show`: the QR codes of the first of these vouchers."""
    return QR, {"vouchers": numbered(vouchers)[:SHOWN]}


def numbered(vouchers: Iterable[Voucher]) -> list[list[Any]]:
    """What the row of a mail says of its vouchers: their numbers, and the last four of the codes they have now."""
    return [[voucher.pk, voucher.code[-4:]] for voucher in vouchers]


def with_same_code(vouchers: Iterable[Voucher], in_mail: Sequence[Sequence[Any]]) -> list[Voucher]:
    """Those of the vouchers that have the code which they had when the mail was queued (see `numbered`)."""
    endings = {number: str(ending) for number, ending in in_mail}
    return [
        voucher
        for voucher in vouchers
        if voucher.pk in endings and voucher.code.endswith(endings[voucher.pk])
    ]


def qr_id(voucher: Voucher) -> str:
    """The Content-ID of a voucher's QR code."""
    return mail.content_id(f"qr-{voucher.pk}")


def draw_qr_codes(*, vouchers: Sequence[Sequence[Any]]) -> list[mail.Picture]:
    """The QR codes of vouchers, by number and last four of their codes; without those that have another code by now."""
    codes = dict(Voucher.objects.filter(pk__in=[number for number, _ in vouchers]).values_list("pk", "code"))
    return [
        mail.Picture(f"qr-{number}", qr.png(codes[number], pixels=PIXELS))
        for number, ending in vouchers
        if codes.get(number, "").endswith(ending)
    ]
