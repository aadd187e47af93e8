"""`manage.py demo`, run as a developer runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from django.conf import settings
from django.test import SimpleTestCase, tag

from tests.support.runner import home
from tests.support.server import answers, free_port
from tests.test_configuration import TEST_KEYS

START = 60  # seconds


@tag("slow")
class DemoTests(SimpleTestCase):
    def setUp(self):
        self.port, self.stripe_port = free_port(), free_port()
        database = home() / f"demo-{self.port}.sqlite3"
        self.environment = {**os.environ, "DATABASE_URL": f"sqlite:///{database}", "REDIS_URL": ""}

    def demo(self, **environment):
        process = subprocess.Popen(
            [
                sys.executable,
                "manage.py",
                "demo",
                "--port",
                str(self.port),
                "--stripe-port",
                str(self.stripe_port),
                "--users",
                "2",  # a short history: enough to see that there is one
            ],
            cwd=settings.BASE_DIR,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_it_serves_the_app_and_leaves_nothing_running(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            with self.subTest(signal=number.name):
                process = self.demo()
                wait_until(lambda: answers(self.port))
                self.assertIn(b"exam_results", get(f"http://127.0.0.1:{self.port}/api/vouchers/types/"))
                self.assertTrue(answers(self.stripe_port))
                process.send_signal(number)
                self.assertEqual(process.wait(10), -9 if number == signal.SIGKILL else 0)
                wait_until(lambda: not answers(self.stripe_port))
                output = process.stdout.read()
                self.assertIn("demo@example.com", output)
                self.assertRegex(output, "Created demo data: |has demo data already")

    def test_it_says_in_one_line_that_a_port_is_taken(self):
        with socket.create_server(("127.0.0.1", self.port)):
            process = self.demo()
            self.assertEqual(process.wait(START), 1)
        self.assertRegex(process.stdout.read(), rf"^CommandError: Port {self.port} .*--port.\n$")

    def test_it_refuses_to_run_where_debug_is_off(self):
        process = self.demo(
            DEBUG="False",
            SECRET_KEY="x7" * 5 + "Zk3vQ9tX7mB2nL5pR8sD1fG4hJ6kW0yC",
            ALLOWED_HOSTS="a",
            ALLOW_SQLITE="True",
            STRIPE_WEBHOOK_SECRET="whsec_0123456789AbCdEf",
            **TEST_KEYS,
        )
        self.assertEqual(process.wait(START), 1)
        self.assertRegex(process.stdout.read(), "^CommandError: The demo .*DEBUG=True.\n$")


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return bytes(response.read())


def wait_until(happens) -> None:
    deadline = time.monotonic() + START
    while not happens():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {START} seconds")
        time.sleep(0.1)
