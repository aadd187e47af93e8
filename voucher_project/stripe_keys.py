"""Which Stripe keys are fit for production, and which are examples, cut off, or of another mode."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from .environment import is_local

SOURCE = "copy it from Stripe's dashboard"

# Keys that Stripe's own documentation and libraries print: everybody knows them.
PUBLISHED = ("4eC39HqLyjWDarjtT1zdp7dc", "BQokikJOvBiI2HlWgH4olfQ2", "TYooMQauvdEDq54NiTphI7jx")


def is_live(key: str) -> bool:
    """Whether a key, secret, restricted or publishable, is one of live mode, which moves real money."""
    return re.match(r"[a-z]+_live_", key) is not None


def configuration_problems(
    secret: str, publishable: str, webhook_secrets: list[str], api_base: str, *, test_mode: bool
) -> list[str]:
    """What makes these Stripe settings unfit for production, one line a problem, never with a key in it."""
    problems = [
        *_key_problems("STRIPE_SECRET_KEY", secret, ("sk_live_", "sk_test_", "rk_live_", "rk_test_")),
        *_key_problems("STRIPE_PUBLISHABLE_KEY", publishable, ("pk_live_", "pk_test_")),
    ]
    if not webhook_secrets:
        problems.append("STRIPE_WEBHOOK_SECRET is missing.")
    for one in webhook_secrets:
        problems += _key_problems("STRIPE_WEBHOOK_SECRET", one, ("whsec_",))
    problems += _address_problems(api_base, live=is_live(secret))
    # The modes are compared only where both keys are readable: else there would be two lines for one mistake.
    if not any(line.startswith(("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY")) for line in problems):
        problems += _mode_problems(is_live(secret), is_live(publishable), test_mode=test_mode)
    return problems


def _key_problems(name: str, key: str, beginnings: tuple[str, ...]) -> Iterator[str]:
    """The first thing that is wrong with one key, if anything is."""
    beginning = next((start for start in beginnings if key.startswith(start)), None)
    if not key:
        yield f"{name} is missing."
    elif re.search(r"""[\s#'"]""", key):
        yield f"{name} has a blank, a quotation mark or a comment in it: only the key belongs there."
    elif beginning is None and name == "STRIPE_PUBLISHABLE_KEY" and not key.startswith("pk_"):
        yield f"{name} does not begin with pk_: every browser would see a secret key."
    elif beginning is None:
        yield f"{name} does not begin with {' or '.join(beginnings)}: {SOURCE}."
    elif _is_example(key.removeprefix(beginning)):
        yield f"{name} is an example or cut off: {SOURCE}."


def _is_example(rest: str) -> bool:
    """Whether what follows a key's beginning is no key: Stripe's have 24 and more letters and digits."""
    return not re.fullmatch(r"[A-Za-z0-9+/=]{16,}", rest) or len(set(rest)) < 8 or rest in PUBLISHED


def _address_problems(api_base: str, *, live: bool) -> Iterator[str]:
    try:
        address = urlsplit(api_base)
        scheme, host = address.scheme, address.hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        yield "STRIPE_API_BASE is not an address such as https://api.stripe.com."
    elif live and is_local(host):
        yield "STRIPE_API_BASE is a local address but STRIPE_SECRET_KEY is a live key."
    elif live and scheme != "https":
        yield "STRIPE_API_BASE does not begin with https:// but STRIPE_SECRET_KEY is a live key."


def _mode_problems(secret_live: bool, publishable_live: bool, *, test_mode: bool) -> Iterator[str]:
    modes = {True: "live", False: "test"}
    if secret_live != publishable_live:
        yield (
            f"STRIPE_SECRET_KEY is a {modes[secret_live]} key and STRIPE_PUBLISHABLE_KEY a "
            f"{modes[publishable_live]} key: take both of one mode."
        )
    elif test_mode and secret_live:
        yield "STRIPE_TEST_MODE is True but STRIPE_SECRET_KEY is a live key."
    elif not test_mode and not secret_live:
        yield "STRIPE_SECRET_KEY is a test key, nobody would pay: STRIPE_TEST_MODE=True if you mean it."
