"""What Prometheus is told, for tests."""

from collections.abc import Callable
from typing import Any

from django.test import override_settings
from prometheus_client.parser import text_string_to_metric_families

from apps.core.metrics import readers

from .cases import ApiTestCase, Client

TOKEN = "metrics-token-0123456789-0123456789"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@override_settings(METRICS_TOKEN=TOKEN)
class MetricsTestCase(ApiTestCase):
    """Tests of what is at /metrics; its readings are new each time."""

    def setUp(self) -> None:
        super().setUp()
        readers.forget()
        self.addCleanup(readers.forget)

    def metrics(self) -> str:
        """All metrics as Prometheus gets them."""
        readers.forget()
        response = Client().get("/metrics", headers=WITH_TOKEN)
        self.assertEqual(response.status_code, 200, response.content)
        return str(response.content.decode())

    def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The number of each series, by its name and then its labels as a set of pairs."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> Any:
        """The number of one series; None if it is not there."""
        return self.scrape().get((f"voucher_{name}", frozenset(labels.items())))

    def counted(self, name: str, step: Callable[[], object], **labels: str) -> float:
        """By how much a counter goes up while `step` runs."""
        before = self.value(name, **labels) or 0
        step()
        return (self.value(name, **labels) or 0) - before
