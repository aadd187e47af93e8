"""What a test run sets up for its tests, and for the programs that they start."""

import subprocess
import sys

from django.test import SimpleTestCase
from requests.utils import get_environ_proxies, should_bypass_proxies

from tests.support.runner import Runner


class SurroundingsTests(SimpleTestCase):
    def test_a_program_that_a_test_starts_keeps_the_bytecode_of_what_it_imports(self):
        command = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]
        self.assertEqual(subprocess.run(command, capture_output=True, check=True).stdout, b"False\n")

    def test_this_machine_is_called_past_any_proxy(self):
        for url in ("http://127.0.0.1:12111/v1/refunds", "http://localhost:8000/"):
            self.assertTrue(should_bypass_proxies(url, no_proxy=None), url)
            self.assertEqual(get_environ_proxies(url), {})


class SelectionTests(SimpleTestCase):
    def names(self, **options):
        """The classes of these that a run with these options has tests of."""
        labels = [
            f"{__name__}.SurroundingsTests",
            "local_stripe.tests.test_command_line",
            "tests.test_repository.MigrationTests",
            "tests.test_negotiation",
            "tests.nowhere",
        ]
        return {type(test).__name__ for test in Runner(verbosity=0, **options).build_suite(labels)}

    def test_what_is_let_into_no_database_or_is_the_same_beside_any_is_left_out_and_nothing_else(self):
        of_a_database = {"MigrationTests", "_FailedTest"}
        others = {"SurroundingsTests", "CommandLineTests", "NegotiationTests"}
        self.assertEqual(self.names(), of_a_database | others)
        self.assertEqual(self.names(with_database=True), of_a_database)
