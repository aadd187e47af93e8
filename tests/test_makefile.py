"""`make`, with stand-ins for Python and pip: the next call mends an installation that was interrupted, or broke."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless

from django.conf import settings
from django.test import SimpleTestCase

# In place of Python and uv: notes how it is called. `-m venv` makes .venv, with itself as Python and uv; $BREAK fails.
PYTHON = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in *"$BREAK"*) exit 1;; esac
case "$*" in
    "-m venv --clear .venv")
        rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/uv;;
esac
"""
NOTHING = "(breaks nothing)"
VENV = "-m venv --clear .venv"
PIP = "-m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement"
INSTALL = (
    f"{PIP} .venv/uv.txt",
    "pip install --quiet --python .venv --require-hashes --requirement requirements-dev.txt",
)


@skipUnless(shutil.which("make"), "needs make")
class EnvironmentTests(SimpleTestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        shutil.copy(Path(settings.BASE_DIR, "Makefile"), self.folder)
        Path(self.folder, "requirements-dev.txt").write_text("uv==1.0 \\\n    --hash=sha256:0\nruff==1\n")
        self.python = Path(self.folder, "python")
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)

    def make(self, *arguments, breaks=NOTHING, status=0):
        """The calls of Python but for those that only look at what is there."""
        notes = Path(self.folder, "notes")
        notes.unlink(missing_ok=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "PORT", "STRIPE_PORT"))
        }
        ran = subprocess.run(
            ["make", f"PYTHON={self.python}", *arguments],
            cwd=self.folder,
            env={**environment, "NOTES": str(notes), "BREAK": breaks},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ran.returncode != 0, status != 0, ran.stdout + ran.stderr)
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [line for line in lines if not line.startswith("-c ")]

    def test_a_new_environment_is_made_once(self):
        self.assertEqual(self.make("run"), [VENV, *INSTALL, "manage.py demo"])
        self.assertEqual(self.make("run"), ["manage.py demo"])

    def test_an_installation_that_was_interrupted_is_begun_anew(self):
        calls = self.make("run", breaks="pip install", status=2)
        self.assertEqual(calls, [VENV, INSTALL[0], f"{PIP} requirements-dev.txt"])
        self.assertEqual(self.make("run"), [VENV, *INSTALL, "manage.py demo"])
        self.assertEqual(self.make("run"), ["manage.py demo"])

    def test_a_half_made_or_broken_environment_is_made_anew(self):
        for damage in (
            lambda: Path(self.folder, ".venv/bin/python").unlink(),
            lambda: shutil.rmtree(self.folder / ".venv/bin"),
        ):
            self.make("run")
            damage()
            Path(self.folder, ".venv/ready").unlink()
            self.assertEqual(self.make("run"), [VENV, *INSTALL, "manage.py demo"])
        Path(self.folder, ".venv/ready").unlink()
        self.assertEqual(self.make("run", breaks="import pip"), [VENV, *INSTALL, "manage.py demo"])

    def test_one_that_is_whole_is_brought_up_to_date_and_kept(self):
        self.make("run")
        later = Path(self.folder, ".venv/ready").stat().st_mtime + 10
        os.utime(self.folder / "requirements-dev.txt", (later, later))
        self.assertEqual(self.make("run"), [*INSTALL, "manage.py demo"])

    def test_where_uv_fails_pip_installs(self):
        calls = self.make("run", breaks="--python .venv")
        self.assertEqual(calls, [VENV, *INSTALL, f"{PIP} requirements-dev.txt", "manage.py demo"])
        self.assertEqual(self.make("run"), ["manage.py demo"])

    def test_the_demo_gets_the_ports(self):
        self.make("run")
        self.assertEqual(
            self.make("run", "PORT=8001", "STRIPE_PORT=12112"),
            ["manage.py demo --port 8001 --stripe-port 12112"],
        )
