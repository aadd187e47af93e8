"""Reading the configuration: the process environment, else the file `.env`."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from email.utils import getaddresses
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
from decouple import Csv, UndefinedValueError, config
from django.core.exceptions import ImproperlyConfigured

from apps.core.email_addresses import is_address

words = Csv()

ENV_FILE: Final = Path(__file__).resolve().parent.parent / ".env"
HOST: Final = re.compile(
    r"\.?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\]|\*", re.IGNORECASE | re.ASCII
)


def read(name: str, default: Any = "", cast: Callable[[Any], Any] = str) -> Any:
    """The value of the variable `name`, passed through `cast`; `default` where it is unset or empty.

    Raises ImproperlyConfigured, naming the variable but never its value, when `cast` refuses it.
    """
    check_file(ENV_FILE)
    try:
        value = config(name)
    except UndefinedValueError:
        value = ""
    if value == "":
        return default
    try:
        return config(name, cast=cast)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} in the environment or .env can't be read: not a valid value."
        ) from error


@lru_cache(maxsize=4)
def check_file(path: Path) -> None:
    """Refuse a `.env` that is no plain UTF-8: its first variable would go unseen, or all of them.

    Raises ImproperlyConfigured.
    """
    content = path.read_bytes() if path.is_file() else b""
    if content.startswith(b"\xef\xbb\xbf"):
        problem = "begins with a byte order mark"
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        problem = "is UTF-16"
    else:
        try:
            content.decode()
        except UnicodeDecodeError:
            problem = "is not UTF-8"
        else:
            return
    raise ImproperlyConfigured(f"{path.name} {problem}: save it as UTF-8 without a byte order mark.")


def rate(text: str) -> tuple[int, int]:
    """A limit: "100/15m" is (100, 900), a hundred in 900 seconds. The units are s, m, h and d."""
    match = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,4})?([smhd])", text.strip(), re.ASCII)
    if not match:
        raise ValueError("A rate is written like 10/m or 100/15m.")
    count, length, unit = match.groups()
    return int(count), int(length or 1) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def count(text: str) -> int:
    """A whole number, zero or more."""
    if not text.strip().isdecimal():
        raise ValueError("A whole number, zero or more.")
    return int(text)


def positive_count(text: str) -> int:
    """A whole number, one or more."""
    if not count(text):
        raise ValueError("A whole number, one or more.")
    return count(text)


def within(least: int, most: int) -> Callable[[str], int]:
    """A cast that takes a whole number from `least` to `most`."""

    def cast(text: str) -> int:
        if not least <= count(text) <= most:
            raise ValueError(f"A whole number from {least} to {most}.")
        return count(text)

    return cast


port = within(0, 65535)
milliseconds = within(0, 2**31 - 1)  # as PostgreSQL's settings hold them


def days(text: str) -> list[int]:
    """Numbers of days with commas between, such as "30,7,1", or "none"."""
    if text.strip().lower() == "none":
        return []
    offsets = [count(part) for part in text.split(",")]
    if max(offsets) > 3650:
        raise ValueError("Ten years at most.")
    return offsets


def amounts(text: str) -> dict[str, Decimal]:
    """Amounts by currency, in its usual unit and with commas between, such as "USD:500, EUR:450.50"."""
    pairs: dict[str, Decimal] = {}
    for part in text.split(","):
        match = re.fullmatch(r"([A-Za-z]{3}):(\d{1,10}(?:\.\d{1,2})?)", part.strip(), re.ASCII)
        if not match or match[1].upper() in pairs:
            raise ValueError("Such as USD:500,EUR:450.50, each currency once.")
        pairs[match[1].upper()] = Decimal(match[2])
    return pairs


def currency(text: str) -> str:
    """A currency's three letters (ISO 4217), in capitals."""
    if not re.fullmatch("[A-Za-z]{3}", text.strip()):
        raise ValueError("Three letters.")
    return text.strip().upper()


def label(text: str) -> str:
    """A name of one to a hundred printable ASCII characters."""
    if not re.fullmatch("[!-~]([ -~]{0,98}[!-~])?", text.strip()):
        raise ValueError("One to a hundred printable ASCII characters.")
    return text.strip()


def line(text: str, longest: int) -> str:
    """A text of one line, of one to `longest` printable characters."""
    if not 0 < len(text.strip()) <= longest or not text.strip().isprintable():
        raise ValueError(f"One to {longest} printable characters.")
    return text.strip()


def site(text: str) -> str:
    """The address of a site, to which links add a path: https://app.example.com, or with a path of its own."""
    address = urlsplit(text.strip())
    has_more = address.query or address.fragment or re.search(r"\s", address.geturl())
    if address.scheme not in ("http", "https") or not address.hostname or has_more:
        raise ValueError("Such as https://app.example.com.")
    return address.geturl()


def sentry_dsn(text: str) -> str:
    """The address of a project at Sentry, as its page on client keys shows it."""
    address = urlsplit(text.strip())
    has_project = bool(re.fullmatch(r"(/[^/]+)*/\d+", address.path))
    if not (is_web(address) and address.username and has_project):
        raise ValueError("Such as https://key@o1.ingest.sentry.io/1.")
    return address.geturl()


def is_web(address: SplitResult) -> bool:
    """Whether this is http or https, with a host. Raises ValueError where the port is no number up to 65535."""
    blank = re.search(r"\s", address.netloc)
    return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0 and not blank


def origins(text: str) -> list[str]:
    """The origins of web clients with commas between, as browsers name them: nothing after host and port; or `*`."""
    addresses: list[str] = words(text)
    for one in addresses:
        address = urlsplit(one)
        is_origin = bool(address.hostname) and one == f"{address.scheme}://{address.netloc}"
        if not is_origin and one != "*":
            raise ValueError("Such as https://app.example.com.")
    return addresses


def redis_address(text: str) -> str:
    """The address of a Redis, as its client reads it, with options that it knows: redis://, rediss:// or unix://."""
    from redis.connection import ConnectionPool  # not at the top: most set-ups on one machine have none
    from redis.exceptions import RedisError

    _check_redis(text)
    try:
        ConnectionPool.from_url(text.strip()).make_connection()  # which does not connect yet
    except RedisError as error:
        raise ValueError("An option of Redis that its client does not know.") from error
    return text.strip()


def broker_address(text: str) -> str:
    """The address of a Redis, or of another broker of Celery, with options of Celery: amqp://app@rabbitmq//."""
    from kombu.transport import TRANSPORT_ALIASES  # not at the top, as above

    scheme, separator, _ = text.strip().partition("://")
    if scheme in ("redis", "rediss", "unix"):
        _check_redis(text)
    elif scheme.partition("+")[0] not in TRANSPORT_ALIASES or not separator or re.search(r"\s", text.strip()):
        raise ValueError("Such as redis://127.0.0.1:6379/0.")
    return text.strip()


def _check_redis(text: str) -> None:
    """Raises ValueError for what is no address of a Redis, or names a database by more than its number."""
    from redis.connection import parse_url

    parse_url(text.strip())
    address = urlsplit(text.strip())
    if re.search(r"\s", text.strip()) or (
        address.scheme != "unix" and not re.fullmatch(r"/?\d*", address.path)
    ):
        raise ValueError("Such as redis://127.0.0.1:6379/0: only the address belongs there.")


def database(text: str) -> dict[str, Any]:
    """The settings of a database from its address."""
    if re.search(r"\s", text.strip()):
        raise ValueError("Only the address belongs there.")
    return dict(dj_database_url.parse(text.strip()))


def is_local(host: str) -> bool:
    """Whether a host is this very machine, so that nobody else gets there."""
    host = host.strip("[]").rstrip(".").lower()
    return host in ("localhost", "::1", "0.0.0.0") or host.endswith(".localhost") or host.startswith("127.")  # noqa: S104


def time_zone(text: str) -> str:
    """The name of a time zone that this machine knows."""
    try:
        return ZoneInfo(text.strip()).key
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("No such time zone.") from error


def people(text: str) -> list[tuple[str, str]]:
    """Names and addresses with commas between, such as "Ama Mensah <ama@example.com>, ops@example.com"."""
    pairs = getaddresses([text])
    if not all(is_address(address) for _, address in pairs):
        raise ValueError("Such as Ama Mensah <ama@example.com>, ops@example.com.")
    return pairs


def one_of(*words: str) -> Callable[[str], str]:
    """A cast that takes one of these words, in any case."""

    def cast(text: str) -> str:
        choice = next((word for word in words if word.lower() == text.strip().lower()), None)
        if choice is None:
            raise ValueError(f"One of {', '.join(words)}.")
        return choice

    return cast


def choose_settings() -> None:
    """Name the settings module to Django, unless the environment already does."""
    os.environ["DJANGO_SETTINGS_MODULE"] = read("DJANGO_SETTINGS_MODULE", "voucher_project.settings")
