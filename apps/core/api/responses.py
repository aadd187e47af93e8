"""Answers with a document that was built without serializers."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from .documents import json_bytes


def document_response(
    request: Request, document: Any, *, headers: dict[str, str] | None = None
) -> HttpResponse:
    """200 with the document, as a `Response` of REST framework would be rendered."""
    if ";" in request.accepted_media_type:  # such as "application/json; indent=4"
        return Response(document, headers=headers)
    return HttpResponse(json_bytes(document), content_type="application/json", headers=headers)
