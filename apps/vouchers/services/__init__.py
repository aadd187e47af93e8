"""What can be done with vouchers, by use case. See docs/locking.md for what is locked, and in which order."""

from .extending import extend_voucher, give_days_back
from .holding import (
    change_holds,
    locked,
    release_vouchers,
    suspend_vouchers,
    sync_money_holds,
    void_vouchers,
)
from .issuing import CODE_TRIES, Terms, expiry_of, issue_vouchers, save_voucher_type, terms_of
from .redeeming import erase_details, redeem_voucher
from .reissuing import reissue_voucher
from .reversing import reverse_usage

__all__ = [
    "CODE_TRIES",
    "Terms",
    "change_holds",
    "erase_details",
    "expiry_of",
    "extend_voucher",
    "give_days_back",
    "issue_vouchers",
    "locked",
    "redeem_voucher",
    "reissue_voucher",
    "release_vouchers",
    "reverse_usage",
    "save_voucher_type",
    "suspend_vouchers",
    "sync_money_holds",
    "terms_of",
    "void_vouchers",
]
