"""Counters and histograms, which a process counts on as things happen.

prometheus_client is imported, and a metric made, when something is first counted with METRICS_TOKEN set: a set-up
without metrics pays neither memory nor time. Under gunicorn and in Celery's worker each process counts in a file of
its own (folder.py), and a scrape adds them up.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from django.conf import settings

log = logging.getLogger(__name__)

# Combinations of labels that an instrument keeps apart. They are few by design: the bound is for mistakes.
MOST_SERIES: Final = 2000
OTHER: Final = "other"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_creation = threading.Lock()
_instruments: "list[_Instrument]" = []
_warned = False


class _Instrument:
    """A metric with labels, made when it is first needed.

    `labels` are the names of its labels. `zero` are values of them that stand at 0 from the first scrape on, so that
    Prometheus sees the first event as an increase.
    """

    def __init__(
        self, name: str, text: str, labels: Sequence[str] = (), *, zero: Iterable[tuple[str, ...]] = ()
    ) -> None:
        self.name, self.text, self.labels, self.zero = name, text, tuple(labels), tuple(zero)
        self._series: dict[tuple[str, ...], Any] = {}
        self._metric: Any = None
        _instruments.append(self)

    def series(self, values: tuple[str, ...]) -> Any:
        """What counts for these values of the labels."""
        return self._series.get(values) or self._make_series(values)

    def begin(self) -> None:
        """Have the series of `zero`, where the process can count."""
        try:
            for values in self.zero or ([] if self.labels else [()]):
                self.series(values)
        except OSError as error:
            _warn(error)

    def _make_series(self, values: tuple[str, ...]) -> Any:
        with _creation:
            if self._metric is None:
                self._metric = self._make(f"{settings.METRICS_NAMESPACE}_{self.name}")
            if len(self._series) >= MOST_SERIES:
                values = (OTHER,) * len(self.labels)
            series = self._metric.labels(*values) if values else self._metric
            self._series[values] = series
        return series

    def _make(self, name: str) -> Any:
        raise NotImplementedError


class Counter(_Instrument):
    """How often something happened. Its name ends in `_total`."""

    def count(self, *values: str) -> None:
        """Count one, for these values of the labels."""
        if settings.METRICS_TOKEN:
            try:
                self.series(values).inc()
            except OSError as error:  # its file can't be made: no request fails for that
                _warn(error)

    def _make(self, name: str) -> Any:
        import prometheus_client

        return prometheus_client.Counter(name, self.text, self.labels, registry=registry())


class Histogram(_Instrument):
    """How long something took, in seconds. Its name ends in `_seconds`."""

    def observe(self, seconds: float, *values: str) -> None:
        """Note one duration, for these values of the labels."""
        if settings.METRICS_TOKEN:
            try:
                self.series(values).observe(seconds)
            except OSError as error:
                _warn(error)

    def _make(self, name: str) -> Any:
        import prometheus_client

        return prometheus_client.Histogram(name, self.text, self.labels, buckets=SECONDS, registry=registry())


def _warn(error: OSError) -> None:
    """Once a process: it would be so for each request."""
    global _warned
    if not _warned:
        _warned = True
        log.error("Metrics: this process can't count (%s)", error.strerror)


@lru_cache(maxsize=1)
def registry() -> Any:
    """The metrics of this process, where it is the only one that counts."""
    import prometheus_client

    prometheus_client.disable_created_metrics()  # a second series for each, which nobody reads
    return prometheus_client.CollectorRegistry()


def begin() -> None:
    """Have all series that stand at 0 before anything happens."""
    for instrument in _instruments:
        instrument.begin()
