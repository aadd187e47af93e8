"""Answers with a document that was built without serializers."""

import hashlib
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from .documents import json_bytes

JSON = "application/json"


class EncodedDocument:
    """A document whose bytes are kept, to be sent many times."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.content = json_bytes(document)
        # As Django's ConditionalGetMiddleware makes it.
        self.etag = f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


def document_response(
    request: Request, document: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> HttpResponse:
    """The answer with the document, as a `Response` of REST framework would be rendered.

    An EncodedDocument is sent as its bytes, with its ETag.
    """
    if _wants_indent(request):
        if isinstance(document, EncodedDocument):
            document = document.document
        return Response(document, status=status, headers=headers)
    if not isinstance(document, EncodedDocument):
        return HttpResponse(json_bytes(document), content_type=JSON, status=status, headers=headers)
    response = HttpResponse(document.content, content_type=JSON, status=status, headers=headers)
    if request.method == "GET":  # as that middleware does
        response.headers["ETag"] = document.etag
    return response


def _wants_indent(request: Request) -> bool:
    return ";" in request.accepted_media_type  # such as "application/json; indent=4"
