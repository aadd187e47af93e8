"""Prometheus's own tool for rules, where it is installed: which alerts fire on metrics of ours."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

MONITORING = Path(settings.BASE_DIR, "deploy", "monitoring")
ALERTS = MONITORING / "alerts.yml"
PROMTOOL = shutil.which("promtool")
WITHOUT = "promtool is not installed (Debian: prometheus)"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def rules() -> list[dict[str, Any]]:
    """All rules of alerts.yml."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: Any) -> "subprocess.CompletedProcess[str]":
    """What promtool answers."""
    assert PROMTOOL
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)], cwd=MONITORING, capture_output=True, text=True, check=False
    )


def firing(before: str, after: str, *, minutes: int = 90, up: bool = True) -> set[str]:
    """The names of the alerts that fire where the metrics are, and stay for so many minutes, as in two scrapes.

    What was counted between the two is counted again each minute.
    """
    series = [{"series": 'up{job="vouchers",instance="web:8000"}', "values": f"{int(up)}x{minutes}"}]
    series += [{"series": name, "values": values} for name, values in _series(before, after, minutes)]
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                # One that can't be: what promtool found instead is what is wanted.
                "promql_expr_test": [
                    {
                        "expr": FIRING,
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": '{alertname="None"}', "value": 1}],
                    }
                ],
            }
        ],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(test, file)
        file.flush()
        ended = promtool("test", "rules", file.name)
    answer = ended.stdout + ended.stderr
    assert "got:" in answer, answer
    return set(re.findall(r'alertname="(\w+)"', answer.partition("got:")[2]))


def _series(before: str, after: str, minutes: int) -> Iterator[tuple[str, str]]:
    first = {name: value for name, value, _ in _samples(before)}
    for name, value, counts in _samples(after):
        begin = first.get(name, 0.0) if counts else value
        yield name, f"{begin:f}+{value - begin:f}x{minutes}"


def _samples(text: str) -> Iterable[tuple[str, float, bool]]:
    """Each series as a rule's test names it, its value, and whether it only ever goes up."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {**sample.labels, "job": "vouchers", "instance": "web:8000"}
            inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
            yield f"{sample.name}{{{inside}}}", sample.value, family.type in ("counter", "histogram")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
