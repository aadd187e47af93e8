"""Profile pictures: what is taken, and what is kept of it."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, Any, Final

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from PIL import Image, ImageOps

from apps.core.errors import UnavailableError

log = logging.getLogger(__name__)

FOLDER: Final = "profile-pictures"
MAX_BYTES: Final[int] = settings.MAX_UPLOAD_BYTES
MAX_SIDE: Final = 4096
NO_PICTURE: Final = "This is not a whole JPEG, PNG or WebP picture."
PATIENCE: Final = 5  # seconds to wait for the picture before
# The formats that are taken; the file chooser of the shop offers them too (shop/static/shop/views/account.js).
EXTENSIONS: Final = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
NAME: Final = rf"[0-9a-f]{{32}}\.(?:{'|'.join(EXTENSIONS.values())})"  # of a file, as a pattern
KEEP_REDIRECT: Final = 600  # seconds that a browser may keep a signed address, which is valid for longer
OPTIONS: Final[dict[str, dict[str, Any]]] = {"JPEG": {"quality": 90}, "PNG": {}, "WEBP": {"quality": 90}}


def content_type_of(name: str) -> str:
    """The media type of a picture that is stored under this name."""
    extension = name.rpartition(".")[2]
    return next(f"image/{kind.lower()}" for kind, written in EXTENSIONS.items() if written == extension)


_place = threading.BoundedSemaphore(1)


class PictureRefused(Exception):
    """The upload is not a picture that we take; `code` and `detail` say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def store_picture(upload: "UploadedFile[Any]") -> str:
    """Store the picture anew, under a random name, and return that name.

    The pixels are all that is kept: no metadata, no second frame, nothing hidden behind the picture.
    Raises PictureRefused if it is too large, or not a JPEG, PNG or WebP, and UnavailableError while others are
    at work (decoded, one takes up to 200 MB) and while nothing can be stored: then no part of a file is left.
    """
    if (upload.size or 0) > MAX_BYTES:
        raise PictureRefused("file_too_large", "A picture has at most 5 MB.")
    if not _place.acquire(timeout=PATIENCE):
        raise UnavailableError("Too many pictures at once. Please send yours again in a moment.")
    try:
        picture, kind = _read(upload)
        stored = BytesIO()
        picture.save(stored, kind, **OPTIONS[kind])
    finally:
        _place.release()
    name = f"{FOLDER}/{uuid.uuid4().hex}.{EXTENSIONS[kind]}"
    try:
        return default_storage.save(name, ContentFile(stored.getvalue()))
    except OSError as error:
        log.error("A picture can't be stored: %s", type(error).__name__)
        with suppress(OSError):
            default_storage.delete(name)
        raise UnavailableError("Pictures can't be stored at the moment. Please try again later.") from error


def signed_url(name: str) -> str:
    """Where browsers get the picture, in a bucket: an address that is good for a while. Raises UnavailableError."""
    storage: Any = default_storage
    try:
        return str(storage.signed_url(name))
    except OSError as error:
        log.error("A picture's address can't be signed: %s", type(error).__name__)
        raise UnavailableError from error


def deleter_for(name: str) -> Callable[[], None]:
    """What removes the stored picture, for `transaction.on_commit`."""
    return lambda: default_storage.delete(name)


def _read(upload: IO[bytes]) -> tuple[Image.Image, str]:
    """The upright pixels and the kind of a picture, whose kind and size are known before it is decoded."""
    with _refusing():
        source = Image.open(upload, formats=tuple(EXTENSIONS))
    if max(source.size) > MAX_SIDE:
        raise PictureRefused(
            "image_too_large", f"A picture is at most {MAX_SIDE} pixels wide and as many high."
        )
    kind = (
        "JPEG" if source.format == "MPO" else source.format or ""
    )  # MPO: a JPEG with more pictures behind it
    if kind not in EXTENSIONS:
        raise PictureRefused("invalid_image", NO_PICTURE)
    with _refusing(), source:
        ImageOps.exif_transpose(source, in_place=True)
        mode = "RGBA" if source.has_transparency_data and kind != "JPEG" else "RGB"
        bare = Image.new(mode, source.size)
        bare.paste(source if source.mode == mode else source.convert(mode))
    return bare, kind


@contextmanager
def _refusing() -> Iterator[None]:
    """The decoders raise whatever they stumble over: it is the upload's fault."""
    try:
        yield
    except Exception as error:
        raise PictureRefused("invalid_image", NO_PICTURE) from error
