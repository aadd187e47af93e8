"""Stripe's errors, in the shape of the page "Errors" of Stripe's API reference."""

from __future__ import annotations

from local_stripe.runtime.json_types import JsonDict


class StripeError(Exception):
    """An error answer of the API.

    ``stored`` tells whether the idempotency layer keeps it: Stripe keeps what an endpoint answered once it
    began to execute, and nothing for a request refused by validation ("Idempotent requests").
    ``extra`` are further members of the error object, such as ``payment_intent`` or ``decline_code``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        stored: bool = False,
        extra: JsonDict | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.stored = stored
        self.extra = extra or {}

    def error_object(self) -> JsonDict:
        """The ``error`` member of the body. Members without a value are left out, as Stripe does."""
        error: JsonDict = dict(self.extra)
        if self.code:
            error["code"] = self.code
            error["doc_url"] = doc_url(self.code)
        error["message"] = self.message
        if self.param:
            error["param"] = self.param
        error["type"] = self.type
        return error


def doc_url(code: str) -> str:
    """The page of Stripe's documentation on an error code."""
    return f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """A request refused by validation: 400, never stored under an idempotency key."""
    return StripeError(400, message, code=code, param=param)


def unknown_parameters(names: list[str]) -> StripeError:
    """``parameter_unknown``: names no parameter of the endpoint has."""
    plural = "s" if len(names) > 1 else ""
    return invalid(f"Received unknown parameter{plural}: {', '.join(names)}", names[0], "parameter_unknown")


def missing_parameter(name: str) -> StripeError:
    """``parameter_missing``: a required parameter was not sent."""
    return invalid(f"Missing required param: {name}.", name, "parameter_missing")


def resource_missing(kind: str, id: str, param: str, *, in_path: bool = False) -> StripeError:
    """``resource_missing``: 404 where the id is part of the path, 400 where it is a parameter."""
    return StripeError(
        404 if in_path else 400, f"No such {kind}: '{id}'", code="resource_missing", param=param
    )


def server_error(status: int) -> StripeError:
    """What Stripe answers when the fault is on its side, or, for 429, when it is too busy."""
    if status == 429:
        return StripeError(429, "Too many requests hit the API too quickly.", code="rate_limit")
    return StripeError(
        status, "An unknown error occurred. This error was injected.", type="api_error", stored=True
    )
