"""What can be done with vouchers, by use case. See docs/locking.md for what is locked, and in which order."""

from .holding import sync_money_holds
from .issuing import CODE_TRIES, Terms, expiry_of, issue_vouchers, save_voucher_type, terms_of
from .redeeming import erase_details, redeem_voucher

__all__ = [
    "CODE_TRIES",
    "Terms",
    "erase_details",
    "expiry_of",
    "issue_vouchers",
    "redeem_voucher",
    "save_voucher_type",
    "sync_money_holds",
    "terms_of",
]
