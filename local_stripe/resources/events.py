"""``/v1/events``: past events, for a client that missed a webhook (docs, "Process undelivered events")."""

from __future__ import annotations

from fnmatch import fnmatchcase

from local_stripe.protocol import pagination
from local_stripe.protocol.errors import invalid, resource_missing
from local_stripe.protocol.params import Reader, array, boolean, read, text
from local_stripe.protocol.routing import Route
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import Request, State


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/events/ID``."""
    read(request.params, {})
    event = state.find("event", id)
    if event is None:
        raise resource_missing("event", id, "id", in_path=True)
    return event


def list_events(state: State, request: Request) -> JsonDict:
    """``GET /v1/events``, newest first; ``type``, which may end in ``*``, or ``types`` narrow."""
    own: dict[str, Reader] = {"type": text(), "types": array(text()), "delivery_success": boolean}
    params = read(request.params, {**pagination.READERS, **own})
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    types = params.get("types", [params["type"]] if "type" in params else ["*"])
    success = params.get("delivery_success")

    def matches(event: JsonDict) -> bool:
        delivered = event["pending_webhooks"] == 0
        return any(fnmatchcase(event["type"], t) for t in types) and success in (None, delivered)

    return pagination.page(state, "event", params, matches)


ROUTES = [
    Route("GET", r"/v1/events", list_events),
    Route("GET", r"/v1/events/(?P<id>[^/]+)", retrieve),
]
