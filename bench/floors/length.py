"""The one middleware of the floors: without a Content-Length gunicorn sends an answer in chunks, which is slower."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def content_length(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Length"] = len(response.content)
        return response

    return middleware
