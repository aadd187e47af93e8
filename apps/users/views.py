"""One's own account."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.openapi import documented
from apps.core.parsers import StrictJSONParser

from . import services
from .parsers import UploadParser
from .serializers import ProfileInput, UserOutput


class Profile(APIView):
    deprecated = False
    parser_classes = (StrictJSONParser, UploadParser)

    @documented("One's own profile.", operation_id="profile", answers={200: UserOutput})
    def get(self, request: Request) -> Response:
        return self._answer(request.user, request)

    @documented(
        "Change one's own profile. The picture needs a form (multipart/form-data); null removes it.",
        operation_id="profile_replace",
        request=ProfileInput,
        answers={200: UserOutput},
    )
    def put(self, request: Request) -> Response:
        return self._update(request, partial=False)

    @documented(
        "Change some fields of one's own profile.",
        operation_id="profile_update",
        request=ProfileInput(partial=True),
        answers={200: UserOutput},
    )
    def patch(self, request: Request) -> Response:
        return self._update(request, partial=True)

    def _update(self, request: Request, *, partial: bool) -> Response:
        given = ProfileInput(data=request.data, partial=partial, context={"request": request})
        given.is_valid(raise_exception=True)
        user: Any = request.user
        return self._answer(services.update_profile(user=user, **given.validated_data), request)

    def _answer(self, user: Any, request: Request) -> Response:
        return Response(UserOutput(user, context={"request": request}).data)
