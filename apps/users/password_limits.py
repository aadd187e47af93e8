"""Who is counted for attempts at passwords. How many, in which time: voucher_project/rate_limits.py.

An account is the e-mail address in the request, whether it exists or not.
"""

from apps.core.rate_limits import Counter, HasMeta, Refuses, per_network

from .models import User


def password_attempts(request: HasMeta, email: str, *, device: str = "") -> tuple[Counter, ...]:
    """The counters of an attempt at the password of `email`, on whatever page or route.

    The account's counter is one for each network, so that guessing locks out the guesser and not the owner. A network
    has ceilings on failures and on the accounts that they were of. `device` names what has proved that it was signed
    in to this account before: it passes the ceilings and has a counter of its own, in whatever network.
    """
    own = per_network("LIMIT_LOGIN_PER_ACCOUNT", request, User.objects.normalize_email(email))
    if device:
        return (*own, Counter("LIMIT_LOGIN_PER_DEVICE", device))
    return (
        *own,
        *per_network("LIMIT_LOGIN_PER_NETWORK", request),
        *per_network("LIMIT_LOGIN_ACCOUNTS_PER_NETWORK", request, refuses=Refuses.NEWCOMERS),
    )
