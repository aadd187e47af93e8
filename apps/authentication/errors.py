"""How proving who one is can fail."""

from apps.core.errors import ConflictError, ForbiddenError, InvalidError, UnauthenticatedError


class InvalidCredentials(UnauthenticatedError):
    """The same for an unknown address, a wrong password and a deactivated account."""

    code = "invalid_credentials"
    detail = "No active account has this e-mail address and password."


class TokenInvalid(UnauthenticatedError):
    """A token that is malformed, forged, expired, of another kind, used before, or of a session that ended."""

    code = "token_invalid"
    detail = "The token is not valid. Please sign in again."


class ResetLinkInvalid(InvalidError):
    """The same for a link that is malformed, forged, too old or used, and for an account that has been closed."""

    code = "reset_link_invalid"
    detail = "This link is not valid any more. Please ask for a new one."


class CsrfFailed(ForbiddenError):
    """A request that changes something was signed in by cookie, without Django's CSRF token."""

    code = "csrf_failed"
    detail = "Requests signed in by cookie need the CSRF token in the X-CSRFToken header."


class SecondFactorCodeInvalid(InvalidError):
    """The same for a code that is wrong, used or too old."""

    code = "second_factor_code_invalid"
    detail = "This code is wrong, was used before, or its time is over. Take the one that is shown now."


class SecondFactorNotEnrolled(ConflictError):
    code = "second_factor_not_enrolled"
    detail = "There is no second factor yet. It is set up in the admin."


class TooManySecondFactors(ConflictError):
    code = "too_many_second_factors"
    detail = "There are as many second factors as a person may have. Remove one first."


class EnrolmentCodeInvalid(InvalidError):
    """The same for a code that is wrong and for one whose time is over."""

    code = "enrolment_code_invalid"
    detail = "This is not the code of the last mail, or its time is over."


class PasskeyRefused(InvalidError):
    """What a browser sent about a passkey does not prove anything, for whatever reason."""

    code = "passkey_refused"
    detail = "The passkey was not accepted. Please try again."


class EnrolmentClosed(ConflictError):
    """A factor is added only after a code by mail, or a fresh proof of another one."""

    code = "enrolment_closed"
    detail = "Too much time has passed. Please load the page again."
