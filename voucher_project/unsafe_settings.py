"""What may not go out: settings with which the app refuses to start when DEBUG is off."""

import re
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from apps.core.email_addresses import is_sender

from .environment import HOST, is_local
from .stripe_keys import configuration_problems


def problems_of(settings: Mapping[str, Any]) -> list[str]:
    """What makes these settings unfit for DEBUG=False, a line each; none if they are safe."""
    example_keys = ("change", "example", "insecure", "secret-key", "your-", "local-development")
    rules = [
        (not settings["SECRET_KEY"], "SECRET_KEY is missing."),
        (0 < len(settings["SECRET_KEY"]) < 40, "SECRET_KEY is too short: at least 40 random characters."),
        (
            len(set(settings["SECRET_KEY"])) < 10 <= len(settings["SECRET_KEY"])
            or any(word in settings["SECRET_KEY"].lower() for word in example_keys),
            "SECRET_KEY is an example: make one of your own.",
        ),
        (
            len(settings["JWT_SIGNING_KEY"]) < 32,
            "JWT_SIGNING_KEY is too short: at least 32 random characters.",
        ),
        (
            0 < len(settings["JWT_PREVIOUS_SIGNING_KEY"]) < 32,
            "JWT_PREVIOUS_SIGNING_KEY is too short: whoever guesses it can sign in as anyone.",
        ),
        (
            0 < len(settings["METRICS_TOKEN"]) < 32,
            "METRICS_TOKEN is too short: at least 32 random characters.",
        ),
        (not settings["ALLOWED_HOSTS"], "ALLOWED_HOSTS is empty: name the hosts that this site answers to."),
        ("*" in settings["ALLOWED_HOSTS"], "ALLOWED_HOSTS is '*': name the hosts that this site answers to."),
        (
            "*" in settings["CORS_ALLOWED_ORIGINS"],
            "CORS_ALLOWED_ORIGINS is '*': name the origins of your web clients.",
        ),
        (
            "sqlite" in settings["DATABASES"]["default"]["ENGINE"] and not settings["ALLOW_SQLITE"],
            "DATABASE_URL is SQLite: use PostgreSQL, or say ALLOW_SQLITE=True if you mean it.",
        ),
        (
            settings["CSRF_COOKIE_NAME"].startswith("__Host-") and bool(settings["CSRF_COOKIE_DOMAIN"]),
            "CSRF_COOKIE_NAME begins with __Host-, and browsers take no such cookie for a CSRF_COOKIE_DOMAIN.",
        ),
        (
            settings["EMAIL_USE_TLS"] and settings["EMAIL_USE_SSL"],
            "EMAIL_USE_TLS and EMAIL_USE_SSL are both on: a server takes one of them.",
        ),
        (
            settings["DATABASE_POOLED"] and "sqlite" in settings["DATABASES"]["default"]["ENGINE"],
            "DATABASE_POOLED is True but DATABASE_URL is SQLite, before which stands no pooler.",
        ),
        (
            bool(settings["AWS_ACCESS_KEY_ID"]) != bool(settings["AWS_SECRET_ACCESS_KEY"]),
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: one of them is missing.",
        ),
        (
            "sqlite" in settings["DATABASE_DIRECT"].get("ENGINE", ""),
            "DATABASE_DIRECT_URL is SQLite: name the PostgreSQL that stands behind the pooler.",
        ),
    ]
    return [
        *(line for wrong, line in rules if wrong),
        *_blanks_in_keys(settings),
        *_host_problems(settings["ALLOWED_HOSTS"]),
        *_address_problems(settings["FRONTEND_URL"]),
        *_mail_problems(settings),
        *configuration_problems(
            settings["STRIPE_SECRET_KEY"],
            settings["STRIPE_PUBLISHABLE_KEY"],
            settings["STRIPE_WEBHOOK_SECRETS"],
            settings["STRIPE_API_BASE"],
            test_mode=settings["STRIPE_TEST_MODE"],
        ),
    ]


def _blanks_in_keys(settings: Mapping[str, Any]) -> Iterator[str]:
    for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "JWT_PREVIOUS_SIGNING_KEY", "METRICS_TOKEN"):
        if re.search(r"\s", settings[name]):
            yield f"{name} has a blank or a comment in it: only the key belongs there."


def _host_problems(hosts: list[str]) -> Iterator[str]:
    for host in hosts:
        if host and not HOST.fullmatch(host):  # after a last comma there is an empty one
            yield (
                f"ALLOWED_HOSTS has {host[:100]!r}, which is no host name: without scheme, port, path and blanks, "
                "such as api.example.com."
            )


def _address_problems(frontend_url: str) -> Iterator[str]:
    """Links in mails and QR codes on paper lead there: what is printed can't be corrected."""
    if not frontend_url:
        yield "FRONTEND_URL is missing: links in mails and QR codes lead there, such as https://app.example.com."
    elif is_local(urlsplit(frontend_url).hostname or ""):
        yield "FRONTEND_URL is an address of this machine: links in mails and QR codes would lead nobody there."


def _mail_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    sender = settings["DEFAULT_FROM_EMAIL"]
    domain = parseaddr(sender)[1].rpartition("@")[2]
    if not sender:
        yield "DEFAULT_FROM_EMAIL is missing: the sender of all mail, such as vouchers@example.com."
    elif not is_sender(sender):
        yield "DEFAULT_FROM_EMAIL is no sender: one address, or a name in quotation marks and <an address>."
    elif is_local(domain) or "." not in domain:
        yield "DEFAULT_FROM_EMAIL is an address of this machine: mail servers would refuse it."
    if settings["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
        if not settings["EMAIL_HOST"]:
            yield "EMAIL_HOST is missing: the mail server; localhost, if this machine has one."
        elif not HOST.fullmatch(settings["EMAIL_HOST"]):
            yield "EMAIL_HOST is no host name: without port, blanks and comments."
