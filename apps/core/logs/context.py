"""What a log line belongs to: the request, and the background task, that the code which writes it works for."""

from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from weakref import ref

NO_ROUTE: Final = "(no route)"

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class Task(NamedTuple):
    """A background task that is being run."""

    name: str
    id: str


current_task: ContextVar[Task | None] = ContextVar("current_task", default=None)
# Not the request itself: a thread keeps it until its next one, and a request may have a body of megabytes.
_current_request: ContextVar["ref[Any] | None"] = ContextVar("current_request", default=None)


def enter_request(request: Any, identifier: str) -> None:
    """Name the request to every line that is written from here on in this thread.

    Until its next request: Django logs errors after the last middleware, and a body that is streamed is read later.
    """
    request_id.set(identifier)
    _current_request.set(ref(request))


def route_of(request: Any) -> str:
    """The pattern of the request's address, without what stands in its places."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else NO_ROUTE


def current_route() -> str | None:
    """The route of the request that this thread serves; None outside one."""
    reference = _current_request.get()
    request = reference() if reference else None
    return None if request is None else route_of(request)
