"""What can be done with vouchers, by use case. See docs/locking.md for what is locked, and in which order."""

from .account_closure import record_closing
from .expiry_reminders import send_expiry_reminders
from .extension import extend_voucher, extend_vouchers
from .holds import (
    change_holds,
    lock_vouchers,
    release_vouchers,
    suspend_vouchers,
    void_vouchers,
)
from .issuance import CODE_TRIES, Terms, expiry_of, issue_vouchers, save_voucher_type, terms_of
from .money_holds import sync_money_holds
from .redemption import Answer, earlier_answer, erase_details, redeem_once, redeem_voucher
from .refusals import count_refusal, remove_old_refusals, write_refusals
from .reissue import NEW_CODE, mail_withheld_code, reissue_voucher
from .reversal import reverse_usage

__all__ = [
    "CODE_TRIES",
    "NEW_CODE",
    "Answer",
    "Terms",
    "change_holds",
    "count_refusal",
    "earlier_answer",
    "erase_details",
    "expiry_of",
    "extend_voucher",
    "extend_vouchers",
    "issue_vouchers",
    "lock_vouchers",
    "mail_withheld_code",
    "record_closing",
    "redeem_once",
    "redeem_voucher",
    "reissue_voucher",
    "release_vouchers",
    "remove_old_refusals",
    "reverse_usage",
    "save_voucher_type",
    "send_expiry_reminders",
    "suspend_vouchers",
    "sync_money_holds",
    "terms_of",
    "void_vouchers",
    "write_refusals",
]
