"""The OpenAPI document as it is served: built once in each process."""

import hashlib
import threading
from functools import cache
from typing import Any, NamedTuple

from drf_spectacular.generators import SchemaGenerator
from rest_framework.renderers import BaseRenderer

# The library's generator is not safe in two threads at once: it changes views and settings while it works.
_lock = threading.Lock()
_rendered: dict[str, "Rendered"] = {}


class Rendered(NamedTuple):
    """The document in one format, and the entity tag of these bytes."""

    content: bytes
    etag: str


def rendered(renderer: BaseRenderer) -> Rendered:
    """The document in the format of `renderer`. Who asks first builds it, and who asks meanwhile waits for that."""
    kind = str(renderer.format)
    if kind not in _rendered:
        with _lock:
            if kind not in _rendered:
                content = renderer.render(_document(), renderer.media_type, {})
                assert isinstance(content, bytes)
                _rendered[kind] = Rendered(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return _rendered[kind]


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document
