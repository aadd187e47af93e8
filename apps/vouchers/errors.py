"""The facts that stand in the way of redeeming or buying."""

from apps.core.errors import ConflictError, NotFoundError

from .codes import CodeMalformed

__all__ = [
    "CodeMalformed",
    "ServiceMismatch",
    "VoucherExpired",
    "VoucherInactive",
    "VoucherNotFound",
    "VoucherTypeNotFound",
    "VoucherUsedUp",
]


class VoucherNotFound(NotFoundError):
    code = "voucher_not_found"
    detail = "There is no voucher with this code."


class VoucherTypeNotFound(NotFoundError):
    code = "voucher_type_not_found"
    detail = "There is no such voucher type on sale."


class VoucherExpired(ConflictError):
    code = "voucher_expired"
    detail = "This voucher has expired."


class VoucherUsedUp(ConflictError):
    code = "voucher_used_up"
    detail = "This voucher has no uses left."


class VoucherInactive(ConflictError):
    code = "voucher_inactive"
    detail = "This voucher is not active."


class ServiceMismatch(ConflictError):
    code = "service_mismatch"
    detail = "This voucher is for another service."


class ExtensionBackwards(ConflictError):
    code = "extension_backwards"
    detail = "The new day must be after today and after the day until which it is valid already."
