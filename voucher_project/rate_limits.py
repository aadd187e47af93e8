"""The limits of requests: two presets, and a variable for each limit, which wins over the preset.

`normal` is for every day. `surge` is for a day on which very many people come within hours, through the few addresses
of their carriers and the few accounts of partners: what counts by network, and what a partner's account does, has room
for that. What keeps a single account from being guessed is the same in both. docs/operations.md says what each is for.
"""

from typing import Final

from .environment import rate, read

PRESETS: Final = ("normal", "surge")


def rate_limits(preset: str) -> dict[str, tuple[int, int]]:
    """Each limit by its name: how many, in how many seconds. Raises ImproperlyConfigured."""

    def by(normal: str, *, surge: str | None = None) -> tuple[int, int]:
        return rate(surge if surge and preset == "surge" else normal)

    return {
        "LIMIT_REQUESTS_PER_USER": read("LIMIT_REQUESTS_PER_USER", by("600/m", surge="20000/m"), cast=rate),
        "LIMIT_REQUESTS_PER_NETWORK": read(
            "LIMIT_REQUESTS_PER_NETWORK", by("1200/m", surge="60000/m"), cast=rate
        ),
        "LIMIT_LOGIN_PER_ACCOUNT": read("LIMIT_LOGIN_PER_ACCOUNT", by("10/15m"), cast=rate),
        "LIMIT_LOGIN_PER_NETWORK": read(
            "LIMIT_LOGIN_PER_NETWORK", by("300/15m", surge="3000/15m"), cast=rate
        ),
        "LIMIT_LOGIN_ACCOUNTS_PER_NETWORK": read(
            "LIMIT_LOGIN_ACCOUNTS_PER_NETWORK", by("150/15m", surge="1500/15m"), cast=rate
        ),
        "LIMIT_LOGIN_PER_DEVICE": read("LIMIT_LOGIN_PER_DEVICE", by("10/15m"), cast=rate),
        "LIMIT_SECOND_FACTOR": read("LIMIT_SECOND_FACTOR", by("10/h"), cast=rate),
        "LIMIT_REGISTER": read("LIMIT_REGISTER", by("600/h", surge="20000/h"), cast=rate),
        "LIMIT_REGISTER_FAILURES": read("LIMIT_REGISTER_FAILURES", by("300/h", surge="3000/h"), cast=rate),
        "LIMIT_REFRESH": read("LIMIT_REFRESH", by("120/m"), cast=rate),
        "LIMIT_JUNK_TOKENS": read("LIMIT_JUNK_TOKENS", by("120/m", surge="1200/m"), cast=rate),
        "LIMIT_PASSWORD_RESET_PER_ACCOUNT": read("LIMIT_PASSWORD_RESET_PER_ACCOUNT", by("5/h"), cast=rate),
        "LIMIT_PASSWORD_RESET_PER_NETWORK": read(
            "LIMIT_PASSWORD_RESET_PER_NETWORK", by("300/h", surge="3000/h"), cast=rate
        ),
        "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT": read(
            "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT", by("30/h"), cast=rate
        ),
        "LIMIT_UNPAID_PURCHASES_PER_NETWORK": read(
            "LIMIT_UNPAID_PURCHASES_PER_NETWORK", by("300/h", surge="10000/h"), cast=rate
        ),
        "LIMIT_RECEIPTS": read("LIMIT_RECEIPTS", by("5/h"), cast=rate),
        "LIMIT_EXPORTS": read("LIMIT_EXPORTS", by("10/h"), cast=rate),
        "LIMIT_REDEEM_FAILURES_PER_ACCOUNT": read(
            "LIMIT_REDEEM_FAILURES_PER_ACCOUNT", by("30/15m", surge="3000/15m"), cast=rate
        ),
        "LIMIT_REDEEM_FAILURES_PER_NETWORK": read(
            "LIMIT_REDEEM_FAILURES_PER_NETWORK", by("120/15m", surge="12000/15m"), cast=rate
        ),
    }
