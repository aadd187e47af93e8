"""Answers with a document that was built without serializers."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from .documents import json_bytes


def document_response(
    request: Request, document: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> HttpResponse:
    """The answer with the document, as a `Response` of REST framework would be rendered."""
    if ";" in request.accepted_media_type:  # such as "application/json; indent=4"
        return Response(document, status=status, headers=headers)
    return HttpResponse(json_bytes(document), content_type="application/json", status=status, headers=headers)
