"""Who is counted for what around accounts and sessions; for passwords: users/password_limits.py.

How many, in which time: voucher_project/rate_limits.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from apps.core.rate_limits import Counter, HasMeta, hit, per_network
from apps.users.models import User

from . import tokens
from .errors import TokenInvalid


def registrations(request: HasMeta) -> tuple[Counter, ...]:
    """For the registration of an account."""
    return per_network("LIMIT_REGISTER", request)


def taken_addresses(request: HasMeta) -> tuple[Counter, ...]:
    """For a try to make an account that tells of another one's."""
    return per_network("LIMIT_REGISTER_FAILURES", request)


def refreshes(claims: tokens.Claims) -> Counter:
    """For an exchange of this refresh token: by its session, so that nobody waits for what neighbours do."""
    return Counter("LIMIT_REFRESH", str(claims.sid))


def resets(request: HasMeta, email: str = "") -> tuple[Counter, ...]:
    """For a mail to `email` with a link for a new password; without `email`, for the use of such a link.

    The address counts over all networks: each attempt is a mail, and those that were sent still work.
    """
    network = per_network("LIMIT_PASSWORD_RESET_PER_NETWORK", request)
    if not email:
        return network
    return *network, Counter("LIMIT_PASSWORD_RESET_PER_ACCOUNT", User.objects.normalize_email(email))


def confirmation_mails(request: HasMeta, email: str) -> tuple[Counter, ...]:
    """For a mail to `email` with a link by which that address is confirmed."""
    return _mails(request, f"confirmation {User.objects.normalize_email(email)}")


def email_changes(request: HasMeta, user: User, new_email: str) -> tuple[Counter, ...]:
    """For a mail to `new_email` with a link by which the user gets that address, and a note to the old one."""
    new_email = User.objects.normalize_email(new_email)
    return (
        *_mails(request, f"email change {user.pk}"),
        Counter("LIMIT_PASSWORD_RESET_PER_ACCOUNT", f"email change to {new_email}"),
    )


def _mails(request: HasMeta, key: str) -> tuple[Counter, ...]:
    """The counters of a mail with a link: by network, and by a key over all networks."""
    network = per_network("LIMIT_PASSWORD_RESET_PER_NETWORK", request)
    return *network, Counter("LIMIT_PASSWORD_RESET_PER_ACCOUNT", key)


def second_factor_attempts(user: User) -> tuple[Counter, ...]:
    """For an attempt at a code or passkey of a person, whose password whoever makes it knows.

    Over all networks, other than passwords: six digits are few, and who has a password to try them with may have many
    networks. So such a person can keep the owner out for the window, until the owner sets a new password.
    """
    return (Counter("LIMIT_SECOND_FACTOR", str(user.pk)),)


def enrolment_mails(user: User) -> tuple[Counter, ...]:
    """For a mail with a code by which the first factor is set up."""
    return (Counter("LIMIT_PASSWORD_RESET_PER_ACCOUNT", f"enrolment {user.pk}"),)


@contextmanager
def invalid_tokens(request: HasMeta, token: str) -> Iterator[None]:
    """Count a token that the block finds invalid on its network: as junk, or as a public request if we signed it.

    So who sends an expired token, or one whose session has ended, is not taken for somebody who makes them up.
    Raises TooManyAttempts in place of TokenInvalid; valid tokens are never refused.
    """
    try:
        yield
    except TokenInvalid:
        limit = "LIMIT_REQUESTS_PER_NETWORK" if tokens.is_ours(token) else "LIMIT_JUNK_TOKENS"
        hit(*per_network(limit, request))
        raise
