"""Routes: the function that answers each path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from local_stripe.protocol.errors import StripeError
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import Request, State


@dataclass(frozen=True)
class Route:
    """One endpoint: ``handler(state, request, **names of the pattern)`` returns the object to answer.

    ``publishable`` tells that a browser may call it with a publishable key.
    """

    method: str
    pattern: str
    handler: Callable[..., JsonDict]
    publishable: bool = False
    compiled: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern))


def answer(routes: Iterable[Route], state: State, request: Request) -> JsonDict:
    """The object that answers ``request``; the caller holds the lock.

    Raises StripeError: 404 for an unknown path, 401 for a publishable key where a secret one is needed.
    """
    for route in routes:
        match = route.compiled.fullmatch(request.path) if route.method == request.method else None
        if match is None:
            continue
        if request.publishable and not route.publishable:
            raise StripeError(
                401,
                "This API call cannot be made with a publishable API key. Please use a secret API key. You "
                "can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.",
                code="secret_key_required",
            )
        return route.handler(state, request, **match.groupdict())
    raise StripeError(
        404,
        f"Unrecognized request URL ({request.method}: {request.path[:200]}). Please see "
        "https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )
