"""The errors that services raise. Each is a fact with a stable `code`; `problems.py` gives it its HTTP status."""

from collections.abc import Mapping, Sequence
from typing import Any


class DomainError(Exception):
    """A request that can't be done, said in a way that a person can read and a program can act on."""

    code = "error"
    detail = "This can't be done."

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """`extra` holds further members of the problem document: plain JSON values."""
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.extra = extra


class InvalidError(DomainError):
    """The request itself is wrong; sent again it fails again."""


class UnauthenticatedError(DomainError):
    """Nobody that we know is asking."""


class ForbiddenError(DomainError):
    """Somebody that we know is asking for what they may not have."""


class NotFoundError(DomainError):
    """It isn't there, or isn't theirs to see."""


class ConflictError(DomainError):
    """The request is fine, the state of things is against it."""


class UnprocessableError(DomainError):
    """The request is well formed, and contradicts an earlier one."""


class TooManyAttempts(DomainError):
    """A limit is reached; the request may be sent again after `retry_after` seconds."""

    code = "rate_limited"
    detail = "Too many attempts. Please try again later."

    def __init__(self, *, retry_after: int = 60) -> None:
        super().__init__()
        self.retry_after = retry_after


class UnavailableError(DomainError):
    """Something that we depend on doesn't answer; the same request may be sent again."""

    code = "service_unavailable"
    detail = "The service is busy. Please send the request again."
    retry_after = 5


class NotReady(UnavailableError):
    """Something that requests need is not there."""

    code = "not_ready"
    detail = "A dependency is not ready."


def first_of(by_field: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The text of the first problem in {field: [{code, detail}]}: the message where there is room for one."""
    return next((problem["detail"] for problems in by_field.values() for problem in problems), "")
