"""The facts that stand in the way of paying."""

from apps.core.errors import ConflictError, InvalidError, NotFoundError, UnavailableError


class TransactionNotFound(NotFoundError):
    code = "transaction_not_found"
    detail = "There is no such transaction of yours."


class PaymentNotCompleted(ConflictError):
    code = "payment_not_completed"
    detail = "The payment has not been completed."


class PaymentMismatch(ConflictError):
    code = "payment_mismatch"
    detail = "The payment does not match the purchase. Nothing was issued; we are looking into it."


class PurchaseCanceled(ConflictError):
    code = "purchase_canceled"
    detail = (
        "This purchase was canceled before it was paid. Nothing was charged, and it can't be paid any more: start a new"
        " one."
    )


class FreeLimitReached(ConflictError):
    code = "free_limit_reached"
    detail = "You have as many of these free vouchers as one person may have, or would have more with these."


class NotPaid(ConflictError):
    code = "not_paid"
    detail = "This transaction has not been paid."


class NothingToRefund(ConflictError):
    code = "nothing_to_refund"
    detail = "Nothing of this payment can be refunded: its vouchers are used, expired, or on their way back."


class PaymentDisputed(ConflictError):
    code = "payment_disputed"
    detail = "The bank is looking into this payment. It can't be refunded until that has ended."


class RefundNotFound(NotFoundError):
    code = "refund_not_found"
    detail = "There is no such refund."


class RefundDecided(ConflictError):
    code = "refund_decided"
    detail = "This refund has been decided already."


class RefundNotFailed(ConflictError):
    code = "refund_not_failed"
    detail = "This refund did not fail."


class AmountTooSmall(InvalidError):
    code = "amount_too_small"
    detail = "The amount is too small to be paid by card."


class AmountTooLarge(InvalidError):
    code = "amount_too_large"
    detail = "The amount is too large to be paid by card."


class CurrencyNotSupported(InvalidError):
    code = "currency_not_supported"
    detail = "This currency can't be paid by card."


class SignatureInvalid(InvalidError):
    code = "signature_invalid"
    detail = "This is not an event that Stripe signed for us."


class PaymentProviderUnavailable(UnavailableError):
    code = "payment_provider_unavailable"
    detail = (
        "The payment provider does not answer. Please try again in a moment: a payment that was made is not lost,"
        " and asking again charges nothing."
    )


class CallSlotsTaken(PaymentProviderUnavailable):
    """The call to Stripe was not sent at all: other calls are in flight."""


class RateLimited(PaymentProviderUnavailable):
    """Stripe has had too many calls of ours, and did nothing; it may be called again after `retry_after` seconds."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class CallsPaused(CallSlotsTaken, RateLimited):
    """The call to Stripe was not sent at all: it has refused an earlier one, and `retry_after` seconds are left."""
