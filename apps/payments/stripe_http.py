"""How a request gets to Stripe and back: the HTTP client that the gateway passes to Stripe's library.

Of the library's own clients, the one for `requests` reads the proxies and `.netrc` anew for each request, and has
connections of its own in each thread. Both took more time than the rest of a call.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote_plus, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import stripe
import urllib3

log = logging.getLogger(__name__)

# Who calls waits for at most two tries of (connect, read) seconds. The lease of a request about money is longer than
# all its calls (REQUEST_LEASE in services/idempotency_keys.py; a test adds them up).
TIMEOUTS: Final = (2, 6)
RETRIES: Final = 1

_COMPRESSED: Final = {"Accept-Encoding": "gzip, deflate"}


class PooledClient(stripe.HTTPClient):
    """Stripe's HTTP client over connections that all threads of a process share.

    `timeouts` are the seconds to connect and to wait for the answer, `connections` how many are kept open. A proxy is
    the one that the environment names for `base` when the client is created (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
    Certificates are checked against those that Stripe's library brings. Redirects are not followed: Stripe has none.
    Raises stripe.APIConnectionError for a proxy's address that can't be used.
    """

    name = "urllib3"

    def __init__(self, base: str, *, timeouts: tuple[float, float], connections: int) -> None:
        super().__init__()
        connect, read = timeouts
        options: dict[str, Any] = {
            "maxsize": connections,
            "timeout": urllib3.Timeout(connect=connect, read=read),
            "retries": False,  # the library has its own
            "ca_certs": stripe.ca_bundle_path,
        }
        try:
            self._pool = _pool(_proxy_for(base), options)
        except ValueError:  # urllib3's are some too; they quote the address, and so maybe its password
            log.error(
                "The environment's proxy for Stripe can't be used: it is no http://user:password@host:port"
            )
            raise stripe.APIConnectionError("No usable proxy", should_retry=False) from None

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Body, status and header of the answer. Raises stripe.APIConnectionError if there is none."""
        try:
            # Not by `request`, which copies the headers twice for bodies that it makes itself.
            answer = self._pool.urlopen(
                method.upper(),
                url,
                body=post_data,
                headers={**_COMPRESSED, **(headers or {})},
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            # Of a certificate that is not Stripe's, and a body that can't be read, there is no better one to wait for.
            for_good = (urllib3.exceptions.SSLError, urllib3.exceptions.DecodeError)
            message = f"No answer from Stripe: {type(error).__name__}"
            raise stripe.APIConnectionError(message, should_retry=not isinstance(error, for_good)) from error
        # As text: of bytes that are no UTF-8, such as a proxy's page, the library would raise an error not its own.
        return answer.data.decode(errors="replace"), answer.status, answer.headers

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _proxy_for(base: str) -> str | None:
    """The address of the proxy that the environment names for a base address, or None."""
    address = urlsplit(base)
    proxies = getproxies_environment()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(address.netloc, proxies):
        return None
    return proxy if "//" in proxy else f"http://{proxy}"


def _pool(proxy: str | None, options: dict[str, Any]) -> urllib3.PoolManager:
    """Connections to Stripe; where there is a proxy, through it, signed in to it as its address says."""
    if proxy is None:
        return urllib3.PoolManager(**options)
    address = urlsplit(proxy)
    headers = None
    if address.username is not None:
        # In the header there are the bytes that are meant by %XX, whatever their encoding is (latin-1 keeps them).
        user = f"{unquote(address.username, 'latin-1')}:{unquote(address.password or '', 'latin-1')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


class DirectCalls:
    """Requests as Stripe's library sends them, for the calls that buyers wait for.

    Its `raw_request` makes the same headers and reads the environment anew for each, and writes texts for a log that is
    off: it took as long as the HTTP. The retries and the errors are the library's.
    """

    def __init__(self, client: stripe.StripeClient, http: PooledClient, base: str) -> None:
        self._http, self._base = http, base
        self._requestor = client._requestor
        options: Any = {
            name: getattr(self._requestor._options, name) for name in ("api_key", "stripe_version")
        }
        headers = {method: self._requestor.request_headers(method, "V1", options) for method in _METHODS}
        self._headers: Final[dict[str, dict[str, str]]] = headers

    def send(self, method: str, path: str, params: Mapping[str, Any], idempotency_key: str = "") -> str:
        """The body of an answer that says yes. Raises what Stripe's library raises for any other, or for none."""
        url, headers, encoded = f"{self._base}{path}", self._headers[method], _encoded(params)
        if method == "post":
            headers = {**headers, "Idempotency-Key": idempotency_key}
        elif encoded:
            url, encoded = f"{url}?{encoded}", ""
        body, status, header = self._http.request_with_retries(
            method, url, headers, encoded or None, max_network_retries=RETRIES
        )
        if not 200 <= status < 300:
            self._requestor._interpret_response(body, status, header, "V1")  # raises
        return body


_METHODS: Final = ("get", "post")


def _encoded(params: Mapping[str, Any]) -> str:
    """Parameters as the library writes them: `metadata[order_id]=7`. Their names are plain ASCII."""
    return "&".join(f"{name}={_quoted(str(value))}" for name, value in _flat(params))


def _quoted(text: str) -> str:
    is_plain = text.isascii() and text.isalnum()  # as most are: to look for what to quote takes far longer
    return text if is_plain else quote_plus(text, safe="[]")


def _flat(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members of lists and objects one by one, as Stripe's library names them."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            for key, member in value.items():
                yield f"{name}[{key}]", member
        elif isinstance(value, list):
            for place, member in enumerate(value):
                yield f"{name}[{place}]", member
        else:
            yield name, value
