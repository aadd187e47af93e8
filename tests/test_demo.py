"""`manage.py demo`, run as a developer runs it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request

from django.conf import settings
from django.test import TransactionTestCase, tag

from tests.support.databases import database_copy
from tests.support.server import answers, free_port

START = 120  # seconds


@tag("slow")
class DemoTests(TransactionTestCase):
    def setUp(self):
        self.port, self.stripe_port = free_port(), free_port()
        # A new database, but for the migrations: they take longer than all the rest, and each run of the tests begins
        # with them.
        database = self.enterContext(database_copy(f"demo_{self.port}"))
        self.environment = {**os.environ, "DATABASE_URL": database, "REDIS_URL": ""}

    def demo(self):
        process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "demo"),
                *("--port", str(self.port), "--stripe-port", str(self.stripe_port)),
                *("--users", "2"),  # a short history: enough to see that there is one
            ],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group of its own, to which Ctrl-C goes as in a terminal
        )
        assert process.stdout
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: answers(self.port) or process.poll() is not None)
        return process

    def assertNothingRuns(self):
        wait_until(lambda: not answers(self.port) and not answers(self.stripe_port))

    def test_it_serves_the_app_and_leaves_nothing_running(self):
        process = self.demo()
        self.assertIn(b"exam_results", get(f"http://127.0.0.1:{self.port}/api/vouchers/types/"))
        self.assertTrue(answers(self.stripe_port))
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(START), 0)
        self.assertNothingRuns()
        output = process.stdout.read()
        self.assertIn("demo@example.com", output)
        self.assertIn("Created demo data: ", output)
        self.assertNotIn("Traceback", output)

        process = self.demo()
        process.kill()  # however it ends, the others end with it
        self.assertNothingRuns()
        self.assertIn("has demo data already", process.stdout.read())


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=START) as response:
        return bytes(response.read())


def wait_until(happens) -> None:
    deadline = time.monotonic() + START
    while not happens():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {START} seconds")
        time.sleep(0.1)
