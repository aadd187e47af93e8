"""Answers that are the same for everybody, kept with their headers: they pass neither middleware nor view again."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from django.utils.module_loading import import_string

from apps.core.api.throttling import count_network

from . import rate_limits
from .errors import TooManyAttempts
from .middleware import Next

# What of a request, besides method, address and scheme, makes a difference to such an answer.
KEY_HEADERS: Final = ("HTTP_HOST", "HTTP_ORIGIN", "HTTP_ACCEPT", "HTTP_IF_NONE_MATCH")
VARY_NAMES: Final = frozenset({"origin", "accept"})  # the same, as an answer may name it
# A request with one of these is not for the cache: it has a body, or states a condition that is hardly ever used.
UNCACHED: Final = frozenset(
    {"HTTP_TRANSFER_ENCODING", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"}
)
MOST: Final = 200  # answers of an address: who invents headers gets no more of the memory

Key = tuple[str | None, ...]


class CachedResponse(NamedTuple):
    """An answer, and the route that it came from, which the log names."""

    status: int
    content: bytes
    headers: dict[str, tuple[str, str]]  # as Django keeps them: by the name in lower case
    route: ResolverMatch | None

    @property
    def etag(self) -> str:
        """The version of the rows that it tells of."""
        return self.headers["etag"][1]

    def response(self, request: HttpRequest) -> HttpResponse:
        """The answer to this request."""
        request.resolver_match = self.route
        response = HttpResponse(self.content, status=self.status)
        response.headers._store = dict(self.headers)  # each was checked when it was set
        return response


class ResponseCacheMiddleware:
    """Answers a GET of an address in settings.RESPONSE_CACHE as the same request was answered before.

    There each address has a function that returns the ETag of its answer as it is now, from the rows: an answer with
    another is made anew. So a change is seen at once in every process, and nothing has to report it. Stands outside all
    that an answer passes, so that what is kept has the headers of all.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self.etags: dict[str, Callable[[], str]] = {
            address: import_string(function) for address, function in settings.RESPONSE_CACHE.items()
        }
        self.responses: dict[str, dict[Key, CachedResponse]] = {address: {} for address in self.etags}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        responses = self.responses.get(request.path)
        if responses is None or not _is_plain_get(request):
            return self.get_response(request)
        key = (request.scheme, *map(request.META.get, KEY_HEADERS))
        cached = responses.get(key)
        if cached is not None and self._is_current(cached, request):
            return cached.response(request)
        response = self.get_response(request)
        if _is_for_everybody(response):
            if len(responses) >= MOST:
                responses.clear()
            headers = dict(response.headers._store)
            responses[key] = CachedResponse(
                response.status_code, response.content, headers, request.resolver_match
            )
        return response

    def _is_current(self, cached: CachedResponse, request: HttpRequest) -> bool:
        """Count the request, and whether the answer may be sent again: the rows are the same.

        An error is left to the view, whose throttle raises it: so it is answered in the form of the API, and nobody
        waits twice for a database that does not answer.
        """
        try:
            hits = count_network(request)
            is_current = cached.etag == self.etags[request.path]()
        except (TooManyAttempts, Error) as error:
            request.early_error = error  # type: ignore[attr-defined]
            return False
        if not is_current:
            rate_limits.undo(hits)  # the view counts it
        return is_current


def _is_plain_get(request: HttpRequest) -> bool:
    """Whether it is a GET without query, body, and conditions but an ETag."""
    meta = request.META
    return (
        request.method == "GET"
        and not meta.get("QUERY_STRING")
        and meta.get("CONTENT_LENGTH") in (None, "", "0")
        and UNCACHED.isdisjoint(meta)
    )


def _is_for_everybody(response: HttpResponse) -> bool:
    """Whether anybody who sends the same headers may get it."""
    vary = {name.strip().lower() for name in response.get("Vary", "").split(",") if name.strip()}
    return (
        response.status_code in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)
        and not response.streaming
        and "ETag" in response
        and "public" in response.get("Cache-Control", "")
        and not response.cookies
        and vary <= VARY_NAMES
    )
