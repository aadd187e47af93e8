"""The words of JSON documents that are built without serializers, for what is read at every request.

Each is equal to what the field of the same kind in fields.py writes.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

CENT: Final = Decimal("0.01")


def money_text(amount: Decimal) -> str:
    """An amount as `MoneyField` writes it: `"10.00"`."""
    return str(amount.quantize(CENT))


def utc_text(moment: datetime) -> str:
    """An aware datetime as `UTCDateTimeField` writes it: in UTC, ISO 8601, with a trailing Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
