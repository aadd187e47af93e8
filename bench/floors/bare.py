"""Floor of the server: WSGI that answers every request with the same bytes. `bench.floors.bare:application`."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from .body import TYPES

BODY = json.dumps(TYPES, separators=(",", ":")).encode()
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]
