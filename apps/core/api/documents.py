"""The words of JSON documents that are built without serializers, for what is read at every request.

Each is equal to what the field of the same kind in fields.py writes.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

CENT: Final = Decimal("0.01")

# As REST framework's JSONRenderer writes without an indent.
_encode: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def json_bytes(document: Any) -> bytes:
    """A document of texts, numbers, lists and so on as `JSONRenderer` writes it, in UTF-8.

    Raises ValueError for a number that JSON does not have.
    """
    # These two end a line in older JavaScript, within a text too.
    text = _encode(document).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode()


def money_text(amount: Decimal) -> str:
    """An amount as `MoneyField` writes it: `"10.00"`."""
    return str(amount.quantize(CENT))


def utc_text(moment: datetime) -> str:
    """An aware datetime as `UTCDateTimeField` writes it: in UTC, ISO 8601, with a trailing Z."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
