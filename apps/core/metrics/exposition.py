"""All metrics as text, in Prometheus's format, to whoever has the token."""

import hmac
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings

from . import folder, instruments, readers

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def is_authorized(header: str) -> bool:
    """Whether an Authorization header has METRICS_TOKEN as its bearer token."""
    scheme, _, token = header.partition(" ")
    expected = settings.METRICS_TOKEN
    # A header is bytes, which WSGI writes as if they were Latin-1.
    same = hmac.compare_digest(
        token.strip().encode("latin-1", "replace"), expected.encode("utf-8", "surrogateescape")
    )
    return bool(expected) and scheme.lower() == "bearer" and same


def render(*, with_readers: bool = True) -> bytes:
    """What was counted by all processes of this server and, `with_readers`, what is read now."""
    from prometheus_client import CollectorRegistry, generate_latest

    instruments.begin()
    registry = CollectorRegistry()
    if with_readers:
        registry.register(_Collector(_readings))
    read = generate_latest(registry)
    path = folder.current()
    if path is None:
        return read + generate_latest(instruments.registry())
    if not path.is_dir():  # somebody removed it: nothing is counted, but readings are there
        return read
    # Behind what is read, which may take seconds: whoever removes an ended process waits for the lock.
    counts = CollectorRegistry()
    counts.register(_Collector(partial(_counts, path)))
    with folder.locked(path):
        return read + generate_latest(counts)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application with what the processes of this server counted, for one that serves nothing else."""
    if environ["PATH_INFO"] != "/metrics":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not found\n"]
    if not is_authorized(environ.get("HTTP_AUTHORIZATION", "")):
        start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
        return [b"Unauthorized\n"]
    body = render(with_readers=False)
    start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
    return [body]


def serve() -> WSGIServer | None:
    """Serve `application` at METRICS_PORT by a thread of this process, if there is such a port and a token."""
    if not (settings.METRICS_TOKEN and settings.METRICS_PORT):
        return None
    host, port = settings.METRICS_HOST, settings.METRICS_PORT
    try:
        server = make_server(host, port, application, handler_class=_QuietHandler)
    except OSError as error:  # jobs are done all the same
        log.error("Metrics: port %s of %s can't be used (%s)", port, host, error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("Metrics: at http://%s:%s/metrics", host, port)
    return server


class _QuietHandler(WSGIRequestHandler):
    timeout = 5  # seconds: one client is served at a time, and a silent one must not keep the others waiting

    def log_message(self, *arguments: Any) -> None:
        """Nothing: an address may hold a secret."""


class _Collector:
    """What prometheus_client asks for families of metrics."""

    def __init__(self, collect: Callable[[], Iterable[Any]]) -> None:
        self.collect = collect

    def describe(self) -> list[Any]:
        """Nothing: it would read all of them as it is registered."""
        return []


def _counts(path: Path) -> Iterable[Any]:
    """What all processes of this server counted. The file of one that is just beginning is empty."""
    from prometheus_client.multiprocess import MultiProcessCollector

    files = [str(file) for file in path.glob("*.db") if file.stat().st_size]
    counts: Iterable[Any] = MultiProcessCollector.merge(files)
    return counts


def _readings() -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    def family(gauge: readers.Gauge) -> Any:
        return GaugeMetricFamily(
            f"{settings.METRICS_NAMESPACE}_{gauge.name}", gauge.text, labels=gauge.labels
        )

    build = family(readers.Gauge("build_info", "Always 1: the version that runs.", ("version",)))
    build.add_metric([settings.VERSION], 1)
    families = {gauge: family(gauge) for gauge in readers.gauges()}
    for reading in readers.readings():
        families[reading.gauge].add_metric(reading.values, reading.number)
    yield build
    yield from families.values()
