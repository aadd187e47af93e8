"""The request headers that web clients on other origins may send."""

from typing import Final

# Besides our own, what tracing (W3C Trace Context, Sentry) and HTTP libraries add to every request of a page.
ALLOWED_HEADERS: Final = (
    "accept",
    "authorization",
    "baggage",
    "cache-control",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-csrftoken",
    "x-request-id",
    "x-requested-with",
)
