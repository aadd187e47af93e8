"""Uploaded files in a bucket that speaks S3, for installations without a folder that lasts. Named by MEDIA_STORAGE.

The setting names this class by a dotted path: where files are in a folder, nothing of boto3 is loaded (20 MB).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.utils.encoding import filepath_to_uri
from storages.backends.s3 import S3Storage

CONNECT: Final = 2  # seconds that a connection may take
READ: Final = 5  # seconds that an answer may take; a request that failed is sent once more
PLACES: Final = 3  # requests at once of a process: a store that hangs holds no more of its threads
PATIENCE: Final = 1  # seconds to wait for a place
PROBE: Final = 1  # seconds, both, of the question whether the bucket is there
VALID: Final = 3600  # seconds that a signed address is valid


class BucketStorage(S3Storage):
    """A private bucket. What is amiss with it is an OSError, as with a folder."""

    def __init__(self, *, virtual_host: bool, **options: Any) -> None:
        self._config = {
            "signature_version": "s3v4",
            "s3": {"addressing_style": "virtual" if virtual_host else "path"},
            # Not every store that speaks S3 knows the newer checksums.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        super().__init__(
            **options,
            client_config=Config(
                **self._config,
                connect_timeout=CONNECT,
                read_timeout=READ,
                retries={"total_max_attempts": 2, "mode": "standard"},
            ),
            transfer_config=TransferConfig(use_threads=False),
            file_overwrite=True,  # names are random: no question whether there is one
            default_acl=None,
            querystring_auth=True,
            querystring_expire=VALID,
        )
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PLACES)
        self._shared: Any = None
        self._probe: Any = None

    @property
    def connection(self) -> Any:
        """One for all threads, of which only the client is used, which may be shared: one for each takes 10 MB."""
        with self._lock:
            if self._shared is None:
                self._shared = self._resource(self.client_config)
        return self._shared

    def _resource(self, config: Config) -> Any:
        return self._create_session().resource(
            "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=config
        )

    def url(self, name: str | None, *args: Any, **options: Any) -> str:
        """The address at this site, which lasts; it leads on to `signed_url`."""
        return settings.MEDIA_URL + filepath_to_uri(name or "").lstrip("/")

    def signed_url(self, name: str) -> str:
        """The address of a file in the bucket, good for VALID seconds for whoever has it. Asks the bucket nothing."""
        with _as_os_error():  # keys that can't be had
            return str(super().url(name))

    def state(self) -> str:
        """Whether the bucket can be used: "ok", "not writable" (refused, or there is none), or "not reachable"."""
        with self._lock:
            if self._probe is None:
                patience = {"connect_timeout": PROBE, "read_timeout": PROBE}
                config = Config(**self._config, **patience, retries={"total_max_attempts": 1})
                self._probe = self._resource(config).meta.client
        try:
            self._probe.head_bucket(Bucket=self.bucket_name)
        except ClientError as error:
            refused = error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
            return "not writable" if refused else "not reachable"
        except BotoCoreError:
            return "not reachable"
        return "ok"

    def check_writing(self) -> str:
        """As `state`, after a small file was written, and removed again."""
        if (state := self.state()) != "ok":
            return state
        try:
            self.delete(self.save("check.txt", ContentFile(b"ok")))
        except OSError:
            return "not writable"
        return "ok"

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        with self._request():
            file: File[bytes] = super()._open(name, mode)
        return file

    def _save(self, name: str, content: Any) -> str:
        with self._request():
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        with self._request():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with self._request():
            return bool(super().exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with self._request():
            directories, files = super().listdir(path)
            return directories, files

    @contextmanager
    def _request(self) -> Iterator[None]:
        """A request to the store, for which there is a place. Raises OSError for whatever goes wrong."""
        if not self._places.acquire(timeout=PATIENCE):
            raise OSError("The bucket of media files: too many requests at once")
        try:
            with _as_os_error():
                yield
        finally:
            self._places.release()


@contextmanager
def _as_os_error() -> Iterator[None]:
    """boto3's errors are none of Python's; whoever stores a file expects those. Says nothing of the request."""
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise OSError(f"The bucket of media files: {type(error).__name__}") from error
