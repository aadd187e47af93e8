"""One's own account."""

from collections.abc import Iterator
from datetime import UTC
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import rate_limits
from apps.core.api.openapi import documented
from apps.core.api.parsers import PlainFormParser, StrictJSONParser, UploadParser
from apps.core.errors import UnavailableError
from apps.core.views import PublicView

from . import personal_data, pictures, services
from .current_user import current_user
from .errors import AccountClosed, UnsubscribeLinkInvalid
from .serializers import ExportOutput, ProfileInput, ProfileJsonInput, UnsubscribeInput, UserOutput

IN_MEMORY: Final = 1 << 20  # bytes of an export; more of it goes to a file without a name


@require_safe
def picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """A profile picture, by the random name that it was stored under. Its bytes never change.

    Where pictures are in a bucket it is sent on to a signed address there, which is good for a while.
    """
    path = f"{pictures.FOLDER}/{name}"
    if settings.MEDIA_ORIGIN:
        response: HttpResponseBase = HttpResponseRedirect(pictures.signed_url(path))
        response["Cache-Control"] = f"private, max-age={pictures.KEEP_REDIRECT}"
        return response
    try:
        file = default_storage.open(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Http404 from error
    except OSError as error:
        raise UnavailableError from error
    response = FileResponse(file, content_type=pictures.content_type_of(name))
    response["Cache-Control"] = "public, max-age=86400, immutable"
    return response


class Export(APIView):
    @documented("Everything held about the caller.", operation_id="export", answers={200: ExportOutput})
    def get(self, request: Request) -> HttpResponseBase:
        """Written to a file first: what goes wrong is answered as an error, and very much takes no memory."""
        rate_limits.hit(rate_limits.Counter("LIMIT_EXPORTS", str(current_user(request).pk)))
        file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the response closes it
        file.writelines(_as_json(personal_data.export(current_user(request))))
        size = file.tell()
        file.seek(0)
        options: dict[str, Any] = {
            "content_type": JSONRenderer.media_type,
            "headers": {
                "Content-Disposition": 'attachment; filename="my-data.json"',
                "Cache-Control": "no-store",
            },
        }
        if size <= IN_MEMORY:
            return HttpResponse(file.read(), **options)
        return FileResponse(file, as_attachment=True, filename="my-data.json", **options)


def _as_json(parts: Iterator[tuple[str, Any]]) -> Iterator[bytes]:
    """A JSON object of the parts, with the time; of a part that is an iterator over lists, one list."""
    render = JSONRenderer().render
    yield b'{"exported_at":' + render(timezone.now().astimezone(UTC))
    for name, value in parts:
        yield b"," + render(name) + b":"
        if not isinstance(value, Iterator):
            yield render(value)
            continue
        yield b"["
        between = b""
        for rows in filter(None, value):
            yield between + render(rows)[1:-1]
            between = b","
        yield b"]"
    yield b"}"


class Unsubscribe(PublicView):
    """Where the link in a reminder leads, through the web client, and where mail programs post (RFC 8058).

    These send a form that says only `List-Unsubscribe=One-Click`; their token is in the address.
    """

    parser_classes = (StrictJSONParser, PlainFormParser, UploadParser)

    @documented(
        "Mail no more reminders to whoever got the one that this token is from.",
        operation_id="unsubscribe",
        request=UnsubscribeInput,
        answers={204: None},
        errors=(UnsubscribeLinkInvalid,),
        parameters=[OpenApiParameter("token", str, description="Instead of the member of the body.")],
    )
    def post(self, request: Request) -> Response:
        in_address = request.query_params.get("token")
        serializer = UnsubscribeInput(data={"token": in_address} if in_address else request.data)
        serializer.is_valid(raise_exception=True)
        services.turn_off_reminders(token=serializer.validated_data["token"])
        return Response(status=204)


# What a change of the profile takes, for the OpenAPI document: by media type, as only a form carries a file.
ALL_FIELDS: Final = {"application/json": ProfileJsonInput, "multipart/form-data": ProfileInput}
SOME_FIELDS: Final = {kind: serializer(partial=True) for kind, serializer in ALL_FIELDS.items()}


class Profile(APIView):
    deprecated = False
    parser_classes = (StrictJSONParser, UploadParser)

    @documented("One's own profile.", operation_id="profile", answers={200: UserOutput})
    def get(self, request: Request) -> Response:
        return self._answer(request.user, request)

    @documented(
        "Change one's own profile. The picture needs a form (multipart/form-data); null removes it.",
        operation_id="profile_replace",
        request=ALL_FIELDS,
        answers={200: UserOutput},
        errors=(AccountClosed,),
    )
    def put(self, request: Request) -> Response:
        return self._update(request, partial=False)

    @documented(
        "Change some fields of one's own profile.",
        operation_id="profile_update",
        request=SOME_FIELDS,
        answers={200: UserOutput},
        errors=(AccountClosed,),
    )
    def patch(self, request: Request) -> Response:
        return self._update(request, partial=True)

    def _update(self, request: Request, *, partial: bool) -> Response:
        serializer = ProfileInput(data=request.data, partial=partial, context={"request": request})
        serializer.is_valid(raise_exception=True)
        user: Any = request.user
        return self._answer(services.update_profile(user=user, **serializer.validated_data), request)

    def _answer(self, user: Any, request: Request) -> Response:
        return Response(UserOutput(user, context={"request": request}).data)
