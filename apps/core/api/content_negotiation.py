"""Which media type answers a request, by its header `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANY_TYPE = "*/*"
USUAL_LENGTH = 200  # of a header that may be read without the rules, which have a bound of their own


class ContentNegotiation(DefaultContentNegotiation):
    """REST framework's own rules; a header that names nothing, such as an empty one, counts as none."""

    def get_accept_list(self, request: Request) -> list[str]:
        tokens: list[str] = super().get_accept_list(request)
        nothing_named = not request.META.get("HTTP_ACCEPT", "").strip(" \t,")
        return [ANY_TYPE] if nothing_named else tokens

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        choices = list(renderers)
        if len(choices) == 1 and not format_suffix:
            accept = request.META.get("HTTP_ACCEPT", ANY_TYPE)
            only, media_type = choices[0], str(choices[0].media_type)
            # What nearly all clients send: whether the one type is accepted needs none of the rules on preferences.
            is_usual = len(accept) <= USUAL_LENGTH and ";" not in accept
            if is_usual and not {ANY_TYPE, media_type}.isdisjoint(accept.split(", ")):
                return only, media_type
        choice: tuple[BaseRenderer, str] = super().select_renderer(request, choices, format_suffix)
        return choice


class IgnoreClientContentNegotiation(ContentNegotiation):
    """For views that answer with a file: it comes whatever `Accept` says, and problems are JSON as ever."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class FormatOrAccept(ContentNegotiation):
    """For views with several formats: `?format=` names one, whatever `Accept` says; without it `Accept` decides."""

    def get_accept_list(self, request: Request) -> list[str]:
        return [ANY_TYPE] if "format" in request.query_params else super().get_accept_list(request)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        named = format_suffix or request.query_params.get("format")
        choice: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, named)
        return choice
