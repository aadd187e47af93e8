"""The network that a request comes from, for limits that count by network."""

import ipaddress
from functools import lru_cache
from typing import Any, Protocol

from django.conf import settings


class HasMeta(Protocol):
    """A request, Django's or REST framework's."""

    @property
    def META(self) -> dict[str, Any]: ...  # noqa: N802 - Django's name


def client_network(request: HasMeta) -> str:
    """The network that a request comes from: an IPv4 address, or the /64 of an IPv6 address; "" if unknown.

    Of X-Forwarded-For only the entry that the outermost of TRUSTED_PROXY_COUNT proxies wrote is believed. Where
    there is none, the request came past the proxies: then it is the address of the connection.
    """
    connection = str(request.META.get("REMOTE_ADDR") or "")
    hops = settings.TRUSTED_PROXY_COUNT
    entries = str(request.META.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    forwarded = entries[-hops] if 0 < hops <= len(entries) else ""
    return _network(forwarded) or _network(connection)


def address_report(request: HasMeta) -> dict[str, str | int]:
    """Whom the limits take the sender of a request for, and all that this follows from; for staff alone."""
    return {
        "network": client_network(request),
        "connection": str(request.META.get("REMOTE_ADDR") or ""),
        "x_forwarded_for": str(request.META.get("HTTP_X_FORWARDED_FOR") or ""),
        "trusted_proxy_count": settings.TRUSTED_PROXY_COUNT,
    }


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    address = address.strip()
    if address.startswith("["):  # "[2001:db8::1]:443"
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:  # "203.0.113.7:443"
        address = address.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
