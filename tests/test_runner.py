"""What a test run sets up for its tests, and for the programs that they start."""

import subprocess
import sys

from django.test import SimpleTestCase
from requests.utils import get_environ_proxies, should_bypass_proxies


class SurroundingsTests(SimpleTestCase):
    def test_a_program_that_a_test_starts_keeps_the_bytecode_of_what_it_imports(self):
        command = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]
        self.assertEqual(subprocess.run(command, capture_output=True, check=True).stdout, b"False\n")

    def test_this_machine_is_called_past_any_proxy(self):
        for url in ("http://127.0.0.1:12111/v1/refunds", "http://localhost:8000/"):
            self.assertTrue(should_bypass_proxies(url, no_proxy=None), url)
            self.assertEqual(get_environ_proxies(url), {})
