"""The settings as they are loaded from the environment of a production."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

ROOT = Path(settings.BASE_DIR)
NAMES = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
KEY = "Zk3vQ9tX7mB2nL5pR8sD1fG4hJ6kW0yC3xV7bN2qT5zM9"
PRODUCTION = dict.fromkeys(NAMES, "") | {
    "SECRET_KEY": KEY,
    "ALLOWED_HOSTS": "vouchers.example.org",
    "DATABASE_URL": "postgresql://app:pw-of-the-database@127.0.0.1:1/vouchers",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "STRIPE_SECRET_KEY": "sk_live_0123456789AbCdEf",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789AbCdEf",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789AbCdEf",
    "CORS_ALLOWED_ORIGINS": "https://app.example.org",
    "FRONTEND_URL": "https://app.example.org",
    "EMAIL_HOST": "mail.example.org",
    "DEFAULT_FROM_EMAIL": "vouchers@example.org",
    "LOG_FILE": "none",
}
TEST_KEYS = {
    "STRIPE_SECRET_KEY": "sk_test_0123456789AbCdEf",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789AbCdEf",
    "STRIPE_TEST_MODE": "True",
}


def load(**differences: str) -> dict[str, Any]:
    """The settings as they are with the production environment, but for `differences`."""
    with patch.dict(os.environ, PRODUCTION | differences):
        spec = spec_from_file_location("voucher_project.tried", ROOT / "voucher_project/settings.py")
        assert spec
        assert spec.loader
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return vars(module)


def python(*arguments: str, **differences: str) -> "subprocess.CompletedProcess[str]":
    """What Python does in the project's folder with the production environment, but for `differences`."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **differences},
        capture_output=True,
        text=True,
        check=False,
    )


def manage(*arguments: str, **differences: str) -> "subprocess.CompletedProcess[str]":
    """What `manage.py` answers with the production environment, but for `differences`."""
    return python("manage.py", *arguments, **differences)


def result_of(program: str) -> Any:
    """What a program in Python prints as JSON in a new process with the production environment; it has to succeed."""
    done = python("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class ConfigurationTestCase(SimpleTestCase):
    def assertRefused(self, refusals: list[tuple[dict[str, str], str]]) -> None:
        """The production environment with each of these differences is refused in one line, which begins so."""
        for differences, line in refusals:
            with self.subTest(**differences):
                with self.assertRaises(ImproperlyConfigured) as refused:
                    load(**differences)
                _, *problems = str(refused.exception).splitlines()
                self.assertEqual(len(problems), 1, problems)
                self.assertTrue(problems[0].strip().startswith(line), problems[0])

    def assertUnreadable(self, unreadable: list[tuple[str, str]]) -> None:
        """The production environment with each of these values is refused, by the name of its variable."""
        for name, value in unreadable:
            with self.subTest(name, value=value), self.assertRaisesMessage(ImproperlyConfigured, name):
                load(**{name: value})

    def assertAccepted(self, accepted: list[dict[str, str]]) -> None:
        """The production environment with each of these differences is accepted."""
        for differences in accepted:
            with self.subTest(**differences):
                self.assertIs(load(**differences)["DEBUG"], False)
