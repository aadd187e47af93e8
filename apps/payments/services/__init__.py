"""What can be done with money, by use case. See docs/locking.md for what is locked, and in which order."""

from .fulfilment import settle, settle_intent
from .purchases import Purchase, confirm_payment, start_purchase

__all__ = [
    "Purchase",
    "confirm_payment",
    "settle",
    "settle_intent",
    "start_purchase",
]
