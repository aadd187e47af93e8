"""What a test run sets up for its tests, and for the programs that they start."""

import subprocess
import sys

from django.test import SimpleTestCase


class SurroundingsTests(SimpleTestCase):
    def test_a_program_that_a_test_starts_keeps_the_bytecode_of_what_it_imports(self):
        command = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]
        self.assertEqual(subprocess.run(command, capture_output=True, check=True).stdout, b"False\n")
