"""QR codes of vouchers: a link to the web client, which a phone opens and a counter's scanner types out.

The code stands in the fragment of the address, which browsers send to no server: it reaches no log and no Referer.
"""

from io import BytesIO
from typing import Any, Final

import segno
from django.conf import settings

from . import codes

# A quarter of it may be dirt or folds; `boost_error` takes more where that costs no space.
ERROR_CORRECTION: Final = "q"
QUIET_ZONE: Final = 4  # modules of white around it (ISO/IEC 18004, section 6.3.8)
PIXELS: Final = 10  # of a module, in a PNG


def redeem_page() -> str:
    """Where the web client redeems vouchers."""
    return f"{settings.FRONTEND_URL.rstrip('/')}/redeem"


def redeem_url(code: str) -> str:
    """Where the web client redeems this voucher: FRONTEND_URL, the code in the fragment."""
    return f"{redeem_page()}{codes.FRAGMENT}{codes.format_code(code)}"


def svg(code: str) -> bytes:
    """The QR code as SVG, a millimetre for a module, with white behind it. It holds nothing else."""
    file = BytesIO()
    _symbol(code).save(
        file,
        kind="svg",
        border=QUIET_ZONE,
        unit="mm",
        light="#fff",
        dark="#000",
        svgclass=None,
        lineclass=None,
    )
    # Or a screen shows light seams between the rows.
    return file.getvalue().replace(b"<svg ", b'<svg shape-rendering="crispEdges" ', 1)


def png(code: str, *, pixels: int = PIXELS) -> bytes:
    """The QR code as PNG in black and white, with so many pixels for a side of a module."""
    file = BytesIO()
    _symbol(code).save(file, kind="png", border=QUIET_ZONE, scale=pixels)
    return file.getvalue()


def modules(code: str) -> list[list[bool]]:
    """The QR code as rows of dark and light, with its quiet zone, for whoever draws it."""
    return [[bool(dark) for dark in row] for row in _symbol(code).matrix_iter(border=QUIET_ZONE)]


def _symbol(code: str) -> Any:
    return segno.make_qr(redeem_url(code), error=ERROR_CORRECTION)
