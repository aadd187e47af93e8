"""``/v1/events``: what happened, for whoever missed a webhook (docs, "Process undelivered events")."""

from __future__ import annotations

from fnmatch import fnmatchcase

from . import listing
from .errors import Obj, invalid, resource_missing
from .params import Reader, array, boolean, read, text
from .routing import Route
from .state import Request, State


def retrieve(state: State, request: Request, id: str) -> Obj:
    """``GET /v1/events/ID``."""
    read(request.params, {})
    event = state.find("event", id)
    if event is None:
        raise resource_missing("event", id, "id", in_path=True)
    return event


def list_events(state: State, request: Request) -> Obj:
    """``GET /v1/events``, newest first; ``type``, which may end in ``*``, or ``types`` narrow."""
    own: dict[str, Reader] = {"type": text(), "types": array(text()), "delivery_success": boolean}
    asked = read(request.params, {**listing.READERS, **own})
    if "type" in asked and "types" in asked:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    types = asked.get("types", [asked["type"]] if "type" in asked else ["*"])
    success = asked.get("delivery_success")

    def wanted(event: Obj) -> bool:
        delivered = event["pending_webhooks"] == 0
        return any(fnmatchcase(event["type"], t) for t in types) and success in (None, delivered)

    return listing.page(state, "event", asked, wanted)


ROUTES = [
    Route("GET", r"/v1/events", list_events),
    Route("GET", r"/v1/events/(?P<id>[^/]+)", retrieve),
]
