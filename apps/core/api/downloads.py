"""Answers that are files: pictures and documents for one person, drawn during the request."""

from typing import Any

from django.http import HttpResponse


def file_response(content: bytes, *, media_type: str, name: str, inline: bool = False) -> HttpResponse:
    """The file, for no cache to keep. `name` is ASCII without quotes; browsers save it, or show it if `inline`.

    A browser that opens it as a page runs nothing in it and loads nothing for it.
    """
    headers: dict[str, Any] = {
        "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{name}"',
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(content, content_type=media_type, headers=headers)
