"""Clients that are generated from the OpenAPI document do a buyer's journey against a running server, unchanged.

The generators that are npm packages (tests/clients/package.json) are in the folder that the variable CLIENTS names:
`make clients` and `.ci/run` install them there. One run of all tests on PostgreSQL is enough for them.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import skipUnless

from django.conf import settings
from django.test import LiveServerTestCase, tag
from drf_spectacular.generators import SchemaGenerator

from apps.payments.models import Refund
from apps.vouchers.models import VoucherUsage
from apps.vouchers.tests.factories import make_type
from tests.support.flush import FastFlushTestCase
from tests.support.runner import home
from tests.support.stripe import StripeTestCase

SOURCES = Path(settings.BASE_DIR, "tests/clients")
PACKAGES = Path(os.environ["CLIENTS"], "node_modules").absolute() if "CLIENTS" in os.environ else None
needs_packages = skipUnless(
    PACKAGES and PACKAGES.is_dir(), "node and the packages of tests/clients are not there: make clients"
)


class GeneratedClientsTestCase(StripeTestCase, FastFlushTestCase, LiveServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        make_type(price="10.00")
        self.folder = home() / f"clients-{os.getpid()}"
        shutil.copytree(SOURCES, self.folder, ignore=shutil.ignore_patterns("node_modules"))
        self.addCleanup(shutil.rmtree, self.folder)
        document = SchemaGenerator().get_schema(request=None, public=True)
        (self.folder / "schema.json").write_text(json.dumps(document))

    def run_program(self, *command: str | Path, **environment: str) -> str:
        """What the program prints. The folder of the clients is its working directory."""
        ran = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={**os.environ, "SITE": self.live_server_url, "STRIPE": self.stripe.base_url, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, f"{ran.stdout[-5000:]}\n{ran.stderr[-5000:]}")
        return ran.stdout

    def assertJourney(self, printed: str) -> None:
        """The journey has bought two vouchers, redeemed the first and requested a refund of the second."""
        facts: dict[str, Any] = json.loads(printed.splitlines()[-1])
        used, refunded = facts["codes"]
        self.assertEqual((facts["status"], facts["count"], facts["refunded"]), ("used", 1, [refunded]))
        self.assertIn(used, [usage.voucher.shown_code for usage in VoucherUsage.objects.all()])
        refund = Refund.objects.get(lines__voucher__user__email=facts["email"])
        self.assertEqual((refund.status, refund.transaction.status), ("requested", "completed"))


@skipUnless(find_spec("openapi_python_client"), "requirements-dev.txt is not installed")
class PythonClientTests(GeneratedClientsTestCase):
    def test_a_python_client_does_the_journey(self):
        generator = Path(sys.executable).with_name("openapi-python-client")
        self.run_program(
            generator, "generate", "--path", "schema.json", "--meta", "none", "--output-path", "voucher_client",
            "--config", "openapi-python-client.yaml",
        )  # fmt: skip
        self.assertJourney(self.run_program(sys.executable, "python_journey.py"))


@needs_packages
@tag("slow")
class NodeTests(GeneratedClientsTestCase):
    def setUp(self) -> None:
        super().setUp()
        assert PACKAGES
        (self.folder / "node_modules").symlink_to(PACKAGES)
        self.programs = self.folder / "node_modules/.bin"

    def test_the_rules_that_redocly_recommends_are_kept(self):
        environment = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        self.run_program(self.programs / "redocly", "lint", "schema.json", **environment)

    def test_types_compile_and_a_validating_client_does_the_journey(self):
        self.run_program(self.programs / "openapi-typescript", "schema.json", "-o", "api.ts")
        self.run_program(self.programs / "openapi-ts")
        self.run_program(self.programs / "tsc")  # strict, see tsconfig.json
        for name in ("types_journey", "validated_journey"):
            with self.subTest(name):
                self.assertJourney(self.run_program("node", f"built/{name}.js"))
