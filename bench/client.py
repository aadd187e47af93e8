"""A small HTTP client for what is done before and beside the load, and requests as bytes for the load itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final

# As a proxy sends them that stands before the product; the others take no notice.
PROXY_HEADERS: Final = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
TIMEOUT: Final = 60  # seconds


class UnexpectedAnswer(Exception):
    """An answer whose status is not the expected one."""


@dataclass(frozen=True)
class Answer:
    """Status, headers by name in lower case, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self, *expected: int) -> Any:
        """The body, read as JSON. Raises UnexpectedAnswer unless the status is one of `expected`."""
        if self.status not in expected:
            raise UnexpectedAnswer(f"{self.status} instead of {expected[0]}: {self.body[:300]!r}")
        return json.loads(self.body)


class Client:
    """Calls to a server of this machine, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, with `body` as JSON, and read the answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request(method, path, encoded(body), headers_of(body, token, headers))
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()


def encoded(body: Any) -> bytes:
    """The JSON of a body; nothing for None."""
    return b"" if body is None else json.dumps(body).encode()


def headers_of(body: Any, token: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request: those of a proxy, of its body and of its access token, and its own."""
    return {
        **PROXY_HEADERS,
        **({} if body is None else {"Content-Type": "application/json"}),
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **(headers or {}),
    }


def raw_request(
    method: str,
    path: str,
    body: Any = None,
    token: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    keep_alive: bool = True,
) -> bytes:
    """A whole request of HTTP/1.1, as bytes."""
    content = encoded(body)
    fields = {"Host": "127.0.0.1", "Accept": "application/json", **headers_of(body, token, headers)}
    if content:
        fields["Content-Length"] = str(len(content))
    if not keep_alive:
        fields["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content
