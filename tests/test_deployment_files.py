"""The files by which the app is deployed say what they have to, and what is in their schemas."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import skipUnless

import yaml
from django.conf import settings
from django.test import SimpleTestCase

from tests.support.configuration import NAMES

ROOT = Path(settings.BASE_DIR)
CELERY = "celery -A voucher_project"
WORKER = f"{CELERY} worker --concurrency 2"
BEAT = f"{CELERY} beat --schedule /tmp/celerybeat-schedule"
MIGRATE = "python manage.py migrate --noinput"
# What only one of these files sets, for programs other than ours.
OTHERS = {"WEB_HOST", "PYTHON_VERSION"}


class ComposeTests(SimpleTestCase):
    document: ClassVar[dict[str, Any]]
    services: ClassVar[dict[str, Any]]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = yaml.safe_load((ROOT / "compose.yaml").read_text())
        cls.services = cls.document["services"]

    @skipUnless(find_spec("check_jsonschema"), "requirements-dev.txt is not installed")
    def test_it_is_of_the_compose_specification(self):
        self.assertEqual(self.problems(self.document), [])
        # And the schema sees what is wrong.
        broken = json.loads(json.dumps(self.document))
        broken["services"]["web"]["read_onyl"] = True
        self.assertEqual(len(self.problems(broken)), 1)

    def problems(self, document):
        import check_jsonschema
        import jsonschema

        path = Path(check_jsonschema.__file__ or "").parent / "builtin_schemas/vendor/compose-spec.json"
        schema = json.loads(path.read_text())
        validator = jsonschema.validators.validator_for(schema)(schema)
        return [error.message for error in validator.iter_errors(document)]

    def test_what_it_refers_to_is_there(self):
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertLessEqual(set(service.get("depends_on", ())), self.services.keys())
                self.assertLessEqual(set(service.get("networks", ())), self.document["networks"].keys())
                for volume in service.get("volumes", ()):
                    source = volume.removesuffix(":ro").rpartition(":")[0]
                    if source.startswith("./"):
                        self.assertTrue((ROOT / source).exists(), source)
                    elif not source.startswith((".", "$")):
                        self.assertIn(source, self.document["volumes"])

    def test_the_app_can_write_nothing_and_do_nothing_but_its_work(self):
        for name in ("migrate", "web", "worker", "beat"):
            with self.subTest(name):
                service = self.services[name]
                self.assertIs(service["read_only"], True)
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["environment"]["DEBUG"], "False")
                self.assertNotIn("ports", service)
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertIs(service["read_only"], True)
                self.assertIn("no-new-privileges:true", service["security_opt"])

    def test_whoever_needs_the_schema_waits_for_it_and_a_service_for_what_it_talks_to(self):
        for name in ("web", "worker", "beat"):
            waits = {other: how["condition"] for other, how in self.services[name]["depends_on"].items()}
            self.assertEqual(
                waits,
                {
                    "migrate": "service_completed_successfully",
                    "broker": "service_healthy",
                    "cache": "service_healthy",
                },
            )
        self.assertEqual(self.services["migrate"]["depends_on"]["postgres"]["condition"], "service_healthy")
        self.assertEqual(self.services["proxy"]["depends_on"]["web"]["condition"], "service_healthy")
        for name in ("postgres", "broker", "cache", "proxy", "worker", "beat"):
            self.assertIn("test", self.services[name]["healthcheck"])

    def test_monitoring_is_started_by_its_profile_alone_and_asks_where_the_app_answers(self):
        profiles = {name: service.get("profiles") for name, service in self.services.items()}
        chosen = {name for name, names in profiles.items() if names == ["monitoring"]}
        self.assertEqual(chosen, {"prometheus", "grafana"})
        config = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
        targets = [job["static_configs"][0]["targets"] for job in config["scrape_configs"]]
        port = self.services["worker"]["environment"]["METRICS_PORT"]
        self.assertEqual(targets, [["web:8000"], [f"worker:{port}"]])
        source = yaml.safe_load((ROOT / "deploy/monitoring/grafana-datasource.yml").read_text())
        self.assertEqual(source["datasources"][0]["url"], "http://prometheus:9090")
        board = yaml.safe_load((ROOT / "deploy/monitoring/grafana-dashboards.yml").read_text())
        (mount,) = (one for one in self.services["grafana"]["volumes"] if "dashboard.json" in one)
        self.assertIn(f":{board['providers'][0]['options']['path']}/", mount)

    def test_its_variables_are_ours(self):
        for name in ("migrate", "web", "worker", "beat"):
            self.assertLessEqual(set(self.services[name]["environment"]), set(NAMES))

    def test_the_broker_keeps_all_and_the_cache_lets_go(self):
        broker, cache = (shlex.join(self.services[name]["command"]) for name in ("broker", "cache"))
        self.assertIn("--maxmemory-policy noeviction", broker)
        self.assertIn("--appendonly yes", broker)
        self.assertEqual(self.services["broker"]["volumes"], ["broker:/data"])
        self.assertIn("--maxmemory-policy allkeys-lru", cache)
        environment = self.services["web"]["environment"]
        self.assertIn("//cache:", environment["REDIS_URL"])
        self.assertIn("//broker:", environment["CELERY_BROKER_URL"])

    def test_the_proxy_is_the_one_that_is_tested(self):
        proxy = self.services["proxy"]
        self.assertIn("./deploy/nginx.conf:/etc/nginx/nginx.conf:ro", proxy["volumes"])
        upstream = re.search(r"server (\w+):(\d+)", (ROOT / "deploy/nginx.conf").read_text())
        assert upstream
        self.assertEqual(upstream[1], *self.services["web"]["networks"]["inside"]["aliases"])
        self.assertEqual(upstream[2], "8000")  # where gunicorn.conf.py listens
        self.assertEqual(
            self.services["web"]["environment"]["TRUSTED_PROXY_COUNT"], "${TRUSTED_PROXY_COUNT:-1}"
        )

    def test_processes_are_those_of_the_other_files(self):
        self.assertEqual(shlex.join(self.services["worker"]["command"]), WORKER)
        self.assertEqual(shlex.join(self.services["beat"]["command"]), BEAT)
        self.assertEqual(shlex.join(self.services["migrate"]["command"]), MIGRATE)
        procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
        self.assertEqual((procfile["worker"], procfile["beat"]), (WORKER, BEAT))
        self.assertEqual(procfile["release"], f"DATABASE_STATEMENT_TIMEOUT_MS=600000 {MIGRATE}")
        self.assertEqual(procfile["web"], "WEB_HOST=0.0.0.0 gunicorn voucher_project.wsgi")


class RenderTests(SimpleTestCase):
    """Render publishes its schema without a licence, so it is not here: these are our own rules."""

    FIELDS: ClassVar[set[str]] = {
        *("name", "type", "runtime", "plan", "buildCommand", "preDeployCommand", "startCommand"),
        *("healthCheckPath", "maxShutdownDelaySeconds", "disk", "envVars", "maxmemoryPolicy", "ipAllowList"),
    }
    document: ClassVar[dict[str, Any]]
    services: ClassVar[dict[str, Any]]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = yaml.safe_load((ROOT / "render.yaml").read_text())
        cls.services = {service["name"]: service for service in cls.document["services"]}

    def test_services_have_fields_that_render_knows(self):
        for service in self.services.values():
            self.assertLessEqual(service.keys(), self.FIELDS)
        self.assertEqual(self.document.keys(), {"databases", "services", "envVarGroups"})
        self.assertEqual(self.services["voucher-app"]["disk"].keys(), {"name", "mountPath", "sizeGB"})

    def test_what_it_refers_to_is_there(self):
        databases = {one["name"] for one in self.document["databases"]}
        groups = {group["name"] for group in self.document["envVarGroups"]}
        for name, service in self.services.items():
            for variable in service.get("envVars", ()):
                with self.subTest(name, variable=variable.get("key")):
                    if "fromGroup" in variable:
                        self.assertIn(variable["fromGroup"], groups)
                    elif "fromDatabase" in variable:
                        self.assertIn(variable["fromDatabase"]["name"], databases)
                    elif "fromService" in variable:
                        other = self.services[variable["fromService"]["name"]]
                        self.assertEqual(other["type"], variable["fromService"]["type"])
                        key = variable["fromService"].get("envVarKey", "RENDER_EXTERNAL_HOSTNAME")
                        known = {one.get("key") for one in other.get("envVars", ())}
                        self.assertIn(key, known | {"RENDER_EXTERNAL_HOSTNAME"})

    def test_its_variables_are_ours(self):
        keys = {one["key"] for group in self.document["envVarGroups"] for one in group["envVars"]}
        for service in self.services.values():
            keys |= {one["key"] for one in service.get("envVars", ()) if "key" in one}
        self.assertLessEqual(keys - OTHERS, set(NAMES))

    def test_groups_have_values_alone(self):
        for group in self.document["envVarGroups"]:
            for variable in group["envVars"]:
                self.assertEqual(len({"value", "generateValue"} & variable.keys()), 1, variable)

    def test_migrations_come_before_the_web_process_and_the_worker_waits_for_them(self):
        web = self.services["voucher-app"]
        self.assertEqual(web["preDeployCommand"], f"env DATABASE_STATEMENT_TIMEOUT_MS=600000 {MIGRATE}")
        self.assertNotIn("migrate", (ROOT / "build.sh").read_text().partition("set -e")[2])
        for name, command in (("voucher-worker", WORKER), ("voucher-beat", BEAT)):
            self.assertEqual(self.services[name]["startCommand"], f"deploy/after_migrations.sh {command}")

    def test_the_broker_keeps_all_and_the_cache_lets_go(self):
        self.assertEqual(self.services["voucher-redis"]["maxmemoryPolicy"], "noeviction")
        self.assertNotEqual(self.services["voucher-redis"]["plan"], "free")  # which keeps nothing on disk
        self.assertEqual(self.services["voucher-cache"]["maxmemoryPolicy"], "allkeys-lru")
        for name in ("voucher-app", "voucher-worker", "voucher-beat"):
            variables = {one.get("key"): one for one in self.services[name]["envVars"]}
            self.assertEqual(variables["REDIS_URL"]["fromService"]["name"], "voucher-cache")
            self.assertEqual(variables["CELERY_BROKER_URL"]["fromService"]["name"], "voucher-redis")

    def test_pictures_are_on_the_disk(self):
        web = self.services["voucher-app"]
        (place,) = [one["value"] for one in web["envVars"] if one.get("key") == "MEDIA_STORAGE"]
        self.assertTrue(place.startswith(web["disk"]["mountPath"] + "/"))

    def test_it_counts_both_proxies_before_the_app(self):
        # Cloudflare's edge writes the client's address, Render's own proxy that of the edge.
        (group,) = self.document["envVarGroups"]
        self.assertIn({"key": "TRUSTED_PROXY_COUNT", "value": "2"}, group["envVars"])

    def test_python_is_that_of_runtime_txt(self):
        (group,) = self.document["envVarGroups"]
        version = next(one["value"] for one in group["envVars"] if one["key"] == "PYTHON_VERSION")
        self.assertEqual((ROOT / "runtime.txt").read_text(), f"python-{version}\n")


class BareMachineTests(SimpleTestCase):
    page = (ROOT / "docs/deploy/install.md").read_text()
    units: ClassVar[dict[str, str]] = {
        path.stem: path.read_text() for path in ROOT.glob("deploy/systemd/*.service")
    }

    def test_units_run_the_processes_of_the_other_files(self):
        commands = {
            name: re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE) for name, unit in self.units.items()
        }
        programs = "/opt/vouchers/current/.venv/bin/"
        beat = BEAT.replace("/tmp/celerybeat-schedule", "/run/vouchers-beat/schedule")
        self.assertEqual(
            commands,
            {
                "vouchers-web": [f"{programs}gunicorn voucher_project.wsgi"],
                "vouchers-worker": [f"{programs}{WORKER}"],
                "vouchers-beat": [f"{programs}{beat}"],
            },
        )

    def test_units_have_few_rights_and_time_to_end(self):
        for name, unit in self.units.items():
            with self.subTest(name):
                for line in (
                    "User=vouchers",
                    "NoNewPrivileges=yes",
                    "CapabilityBoundingSet=",
                    "ProtectSystem=strict",
                ):
                    self.assertIn(f"\n{line}\n", unit)
                self.assertIn(f" {name}", self.page)
        self.assertIn("\nTimeoutStopSec=40\n", self.units["vouchers-web"])  # gunicorn.conf.py gives 30
        self.assertIn("\nTimeoutStopSec=160\n", self.units["vouchers-worker"])  # a job has 150

    @skipUnless(shutil.which("sed"), "sed is not installed")
    def test_the_page_takes_the_proxy_that_is_tested_and_changes_two_addresses(self):
        command = next(line for line in self.page.splitlines() if "deploy/nginx.conf >" in line)
        changed = subprocess.run(
            ["bash", "-c", command.partition(">")[0]], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        before = (ROOT / "deploy/nginx.conf").read_text().splitlines()
        lines = [(old, new) for old, new in zip(before, changed, strict=True) if old != new]
        settings_of_nginx = [new.strip() for old, new in lines if not old.startswith("#")]
        self.assertEqual(settings_of_nginx, ["pid /run/nginx.pid;", "server 127.0.0.1:8000 max_fails=0;"])

    def test_variables_of_the_pages_are_ours(self):
        for page in ("install", "compose", "render"):
            text = (ROOT / f"docs/deploy/{page}.md").read_text()
            names = set(re.findall(r"^([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
            self.assertLessEqual(names - {"POSTGRES_PASSWORD"}, set(NAMES))


class WaitingTests(SimpleTestCase):
    """deploy/after_migrations.sh, with a stand-in for Python that has migrations left to run for a while."""

    def wait(self, checks_that_fail, **environment):
        folder = Path(self.enterContext(TemporaryDirectory()))
        stand_in = folder / "python"
        stand_in.write_text(
            f'#!/bin/sh\necho "$@" >>{folder}/calls\n[ "$(wc -l <{folder}/calls)" -gt {checks_that_fail} ]\n'
        )
        stand_in.chmod(0o755)
        ran = subprocess.run(
            [ROOT / "deploy/after_migrations.sh", "echo", "it", "began"],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PAUSE": "0.01", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return ran, (folder / "calls").read_text().splitlines()

    def test_it_waits_until_they_were_run(self):
        ran, calls = self.wait(3)
        self.assertEqual((ran.returncode, ran.stdout), (0, "it began\n"), ran.stderr)
        self.assertEqual(calls, ["manage.py migrate --check"] * 4)

    def test_it_gives_up_and_says_so(self):
        ran, _ = self.wait(10**6, WAIT="0")
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertIn("The migrations were not run", ran.stderr)


class ScriptTests(SimpleTestCase):
    def test_scripts_may_be_run_and_read(self):
        for path in (ROOT / "build.sh", *ROOT.glob("deploy/*.sh"), ROOT / "deploy/try_purchase.py"):
            with self.subTest(path.name):
                self.assertTrue(path.stat().st_mode & stat.S_IXUSR)
                if path.suffix == ".sh":
                    checked = subprocess.run(
                        ["bash", "-n", path], capture_output=True, text=True, check=False
                    )
                    self.assertEqual((checked.returncode, checked.stderr), (0, ""))


class ImageTests(SimpleTestCase):
    def test_only_named_files_get_into_it(self):
        """Whoever follows the pages has dumps of the database, keys and files of variables beside the code."""
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        first, *rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(first, "*")
        named = {rule[1:] for rule in rules if rule.startswith("!")}
        self.assertLessEqual({"apps", "shop", "static", "voucher_project", "manage.py"}, named)
        for name in named:
            self.assertRegex(name, r"^\w[\w.]*$")
            self.assertTrue((ROOT / name).exists(), name)
        self.assertFalse(named & {"deploy", "docs", "logs", "media", "tests"})
