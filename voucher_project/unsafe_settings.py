"""What may not go out: settings with which the app refuses to start when DEBUG is off."""

from collections.abc import Mapping
from typing import Any

from apps.core.email_addresses import is_sender

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
            not is_sender(settings["DEFAULT_FROM_EMAIL"]),
            "DEFAULT_FROM_EMAIL is no sender: one address, or a name in quotation marks and <an address>.",
        ),
    ]
    return [line for wrong, line in rules if wrong] + configuration_problems(
        settings["STRIPE_SECRET_KEY"],
        settings["STRIPE_PUBLISHABLE_KEY"],
        settings["STRIPE_WEBHOOK_SECRETS"],
        settings["STRIPE_API_BASE"],
        test_mode=settings["STRIPE_TEST_MODE"],
    )
