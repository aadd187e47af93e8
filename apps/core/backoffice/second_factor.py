"""What the back office wants of staff besides their password: that they passed a second factor, and lately so.

What a second factor is, and where it is kept, an app above knows; it registers that in the `ready` of its AppConfig.
Until then nobody needs one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True)
class SecondFactor:
    """`is_missing` says whether the admin's session of a user lacks it, `ask` is what `ask_fresh_proof` describes."""

    is_missing: Callable[[HttpRequest, Any], bool]
    ask: Callable[[HttpRequest], HttpResponse | None]


_registered: list[SecondFactor] = []


def register(second_factor: SecondFactor) -> None:
    """Have the back office want this second factor, in place of what was registered before."""
    _registered[:] = [second_factor]


def is_missing(request: HttpRequest, user: Any) -> bool:
    """Whether `user`, staff signed in to the admin, has yet to pass the second factor that their session needs."""
    return any(each.is_missing(request, user) for each in _registered)


def ask_fresh_proof(request: HttpRequest) -> HttpResponse | None:
    """Call it before what must not be done at a screen that somebody left open; None if no proof is needed now.

    Else the answer to send: a page that asks for the proof and then sends the same request again, with all that its
    form had, so that nothing is lost. Call it for GET too where a page asks what to do: then the proof comes first.
    """
    for each in _registered:
        if (page := each.ask(request)) is not None:
            return page
    return None
