"""The facts that stand in the way of what people want to do with vouchers."""

from apps.core.errors import ConflictError, InvalidError, NotFoundError, UnavailableError

from .codes import CodeMalformed

__all__ = [
    "AlreadyReversed",
    "BatchDiffers",
    "BatchIncomplete",
    "CodeMalformed",
    "ExportDecided",
    "ExportRequestNotFound",
    "ExportRequested",
    "ExtensionBackwards",
    "OwnerInactive",
    "ReasonInvalid",
    "ReversalTooLate",
    "ServiceMismatch",
    "UsageNotFound",
    "VoucherChanging",
    "VoucherExpired",
    "VoucherInactive",
    "VoucherNotFound",
    "VoucherRefused",
    "VoucherTypeNotFound",
    "VoucherUsedUp",
]


class VoucherNotFound(NotFoundError):
    code = "voucher_not_found"
    detail = "There is no voucher with this code."


class VoucherTypeNotFound(NotFoundError):
    code = "voucher_type_not_found"
    detail = "There is no such voucher type on sale."


class VoucherRefused(ConflictError):
    """A voucher that is there can't be redeemed. `service_type`, its service, is for the figures and not answered."""

    service_type: str = ""


class VoucherExpired(VoucherRefused):
    code = "voucher_expired"
    detail = "This voucher has expired."


class VoucherUsedUp(VoucherRefused):
    code = "voucher_used_up"
    detail = "This voucher has no uses left."


class VoucherInactive(VoucherRefused):
    code = "voucher_inactive"
    detail = "This voucher is not active."


class VoucherChanging(UnavailableError):
    """Between the refusal and the look at its reason, it became one that is not to be refused."""

    detail = "The voucher has just changed. Please send the request again."


class ServiceMismatch(VoucherRefused):
    code = "service_mismatch"
    detail = "This voucher is for another service."


class ExtensionBackwards(ConflictError):
    code = "extension_backwards"
    detail = "The new day must be after today and after the day until which it is valid already."


class UsageNotFound(NotFoundError):
    code = "usage_not_found"
    detail = "There is no such use."


class AlreadyReversed(ConflictError):
    code = "already_reversed"
    detail = "This use was given back before."


class ReversalTooLate(ConflictError):
    code = "reversal_too_late"
    detail = "This use is too long ago to be given back."


class ReasonInvalid(InvalidError):
    code = "reason_invalid"
    detail = "Give a reason, in at most 500 characters."


class BatchDiffers(ConflictError):
    code = "batch_differs"
    detail = "There is a batch with this label, and it was asked for with other terms."


class BatchIncomplete(ConflictError):
    code = "batch_incomplete"
    detail = "This batch is not complete yet: its codes can be exported once all are issued."


class ExportRequested(ConflictError):
    code = "export_requested"
    detail = "You have asked for these codes before, and it is not decided yet."


class ExportDecided(ConflictError):
    code = "export_decided"
    detail = "This request was decided before."


class ExportRequestNotFound(NotFoundError):
    code = "export_request_not_found"
    detail = "There is no such request."


class OwnerInactive(ConflictError):
    code = "owner_inactive"
    detail = "This account is not active: nothing is issued to it."
