"""`deploy/previous_release` names a release of ours, which `.ci/run` puts on today's schema."""

import re
import subprocess
from pathlib import Path
from unittest import skipUnless

from django.conf import settings
from django.test import SimpleTestCase

from tests.support import previous_release

ROOT = Path(settings.BASE_DIR)
RELEASES = re.findall(r"^## (\d+\.\d+\.\d+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


class PreviousReleaseTests(SimpleTestCase):
    def test_it_is_the_newest_release_or_while_that_is_being_cut_the_one_before(self):
        commit, version = (ROOT / "deploy/previous_release").read_text().split()
        self.assertRegex(commit, r"\A[0-9a-f]{40}\Z")
        self.assertIn(version, RELEASES[:2])

    @skipUnless(
        git("cat-file", "-e", f"{previous_release.commit()}^{{commit}}").returncode == 0,
        "this clone does not have its commit",
    )
    def test_the_commit_is_that_of_the_release(self):
        commit, version = (ROOT / "deploy/previous_release").read_text().split()
        self.assertIn(f'"{version}"', git("show", f"{commit}:voucher_project/openapi.py").stdout)
        self.assertEqual(git("merge-base", "--is-ancestor", commit, "HEAD").returncode, 0)

    def test_tests_that_the_release_does_not_have_are_left_out(self):
        here = previous_release.WRITERS
        self.assertEqual(previous_release.present((*here, "apps.payments.tests.test_nothing"), ROOT), [*here])
