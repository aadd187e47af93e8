"""Reading uploads."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import FormParser, MultiPartParser


class PlainFormParser(FormParser):
    """application/x-www-form-urlencoded in UTF-8, likewise."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})


class UploadParser(MultiPartParser):
    """multipart/form-data in UTF-8, whatever charset the request names: some charsets aren't even text."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})
