"""How proving who one is can fail."""

from apps.core.errors import ForbiddenError, InvalidError, UnauthenticatedError


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
