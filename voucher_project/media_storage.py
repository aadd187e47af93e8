"""Where uploaded files are: a folder, or a bucket that speaks S3."""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .environment import is_web


class MediaStorage(NamedTuple):
    """What MEDIA_STORAGE says. `origin` is where browsers are sent for a file in a bucket; empty for a folder."""

    folder: Path | None
    storage: dict[str, Any]
    origin: str


def media_storage(text: str) -> MediaStorage:
    """A folder's absolute path, or s3://bucket?region=… (Amazon), or s3://bucket?endpoint=https://… (others).

    Both may have a folder after the bucket's name, and the second a region. Raises ValueError.
    """
    text = text.strip()
    if text.startswith("/"):
        return MediaStorage(Path(text), {"BACKEND": "django.core.files.storage.FileSystemStorage"}, origin="")
    address = urlsplit(text)
    pairs = parse_qsl(address.query, keep_blank_values=True, strict_parsing=bool(address.query))
    options = dict(pairs)
    bucket, region = address.netloc, options.pop("region", "")
    endpoint = urlsplit(options.pop("endpoint", ""))
    is_twice = len({name for name, _ in pairs}) < len(pairs)
    if address.scheme != "s3" or address.fragment or options or is_twice or re.search(r"\s", text):
        raise ValueError("Such as /var/lib/vouchers/media or s3://bucket?region=eu-central-1.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        raise ValueError("A bucket's name has small letters, digits and hyphens.")
    if not re.fullmatch(r"[a-z0-9-]*", region):
        raise ValueError("A region's name has small letters, digits and hyphens.")
    if endpoint.geturl():
        # Who may use it is not said there: it would stand in the addresses to which browsers are sent.
        is_origin = (
            endpoint.geturl() == f"{endpoint.scheme}://{endpoint.netloc}" and "@" not in endpoint.netloc
        )
        if not (is_web(endpoint) and is_origin):
            raise ValueError("An endpoint is such as https://s3.example.com.")
        place = origin = endpoint.geturl()
    elif region:
        place, origin = f"https://s3.{region}.amazonaws.com", f"https://{bucket}.s3.{region}.amazonaws.com"
    else:
        raise ValueError("A bucket needs its region at Amazon, or the endpoint of another store.")
    storage = {
        "BACKEND": "apps.core.media_storage.BucketStorage",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": address.path.strip("/"),
            "region_name": region or "us-east-1",  # what stores of their own take for granted
            "endpoint_url": place,
            "virtual_host": place != origin,
        },
    }
    return MediaStorage(None, storage, origin)
