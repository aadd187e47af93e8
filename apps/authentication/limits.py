"""What is counted around accounts and sessions, besides passwords (see users/limits.py)."""

from apps.core.limits import Counter, WithMeta, network_of
from apps.users.models import User


def registrations(request: WithMeta) -> Counter:
    """For a try to make an account."""
    return Counter("LIMIT_REGISTER", network_of(request))


def refreshes(request: WithMeta) -> Counter:
    """For an exchange of a refresh token."""
    return Counter("LIMIT_REFRESH", network_of(request))


def resets(request: WithMeta, email: str = "") -> tuple[Counter, ...]:
    """For a mail to `email` with a link for a new password; without `email`, for the use of such a link.

    The address counts over all networks: each attempt is a mail, and those that were sent still work.
    """
    network = Counter("LIMIT_PASSWORD_RESET_PER_NETWORK", network_of(request))
    if not email:
        return (network,)
    return network, Counter("LIMIT_PASSWORD_RESET_PER_ACCOUNT", User.objects.normalize_email(email))
