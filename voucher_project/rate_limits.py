"""The limits of requests, how many in which time: two presets, and a variable for each limit, which wins over them.

Who is counted for one of them (an account, a device, a network) says the app that counts: users/password_limits.py,
{authentication,vouchers}/rate_limits.py, payments/services/unpaid_purchases.py; how: core/rate_limits.

`normal` is for every day. `surge` is for a day on which very many people come within hours, through the few addresses
of their carriers and the few accounts of partners: what counts by network, and what a partner's account does, has room
for that. What keeps a single account from being guessed is the same in both. docs/operations.md says what each is for.
"""

from collections.abc import Mapping
from typing import Final

from .environment import rate, read

NORMAL: Final[Mapping[str, str]] = {
    "LIMIT_REQUESTS_PER_USER": "600/m",
    "LIMIT_REQUESTS_PER_NETWORK": "1200/m",
    "LIMIT_LOGIN_PER_ACCOUNT": "10/15m",
    "LIMIT_LOGIN_PER_NETWORK": "300/15m",
    "LIMIT_LOGIN_ACCOUNTS_PER_NETWORK": "150/15m",
    "LIMIT_LOGIN_PER_DEVICE": "10/15m",
    "LIMIT_SECOND_FACTOR": "10/h",
    "LIMIT_REGISTER": "600/h",
    "LIMIT_REGISTER_FAILURES": "300/h",
    "LIMIT_REFRESH": "120/m",
    "LIMIT_JUNK_TOKENS": "120/m",
    "LIMIT_PASSWORD_RESET_PER_ACCOUNT": "5/h",
    "LIMIT_PASSWORD_RESET_PER_NETWORK": "300/h",
    "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT": "30/h",
    "LIMIT_UNPAID_PURCHASES_PER_NETWORK": "300/h",
    "LIMIT_RECEIPTS": "5/h",
    "LIMIT_EXPORTS": "10/h",
    "LIMIT_REDEEM_FAILURES_PER_ACCOUNT": "30/15m",
    "LIMIT_REDEEM_FAILURES_PER_NETWORK": "120/15m",
}
SURGE: Final[Mapping[str, str]] = {
    **NORMAL,
    "LIMIT_REQUESTS_PER_USER": "20000/m",
    "LIMIT_REQUESTS_PER_NETWORK": "60000/m",
    "LIMIT_LOGIN_PER_NETWORK": "3000/15m",
    "LIMIT_LOGIN_ACCOUNTS_PER_NETWORK": "1500/15m",
    "LIMIT_REGISTER": "20000/h",
    "LIMIT_REGISTER_FAILURES": "3000/h",
    "LIMIT_JUNK_TOKENS": "1200/m",
    "LIMIT_PASSWORD_RESET_PER_NETWORK": "3000/h",
    "LIMIT_UNPAID_PURCHASES_PER_NETWORK": "10000/h",
    "LIMIT_REDEEM_FAILURES_PER_ACCOUNT": "3000/15m",
    "LIMIT_REDEEM_FAILURES_PER_NETWORK": "12000/15m",
}
PRESETS: Final = {"normal": NORMAL, "surge": SURGE}


def rate_limits(preset: str) -> dict[str, tuple[int, int]]:
    """Each limit by its name: how many, in how many seconds. Raises ImproperlyConfigured."""
    return {name: read(name, rate(limit), cast=rate) for name, limit in PRESETS[preset].items()}
