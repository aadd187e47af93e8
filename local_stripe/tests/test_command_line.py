"""``python -m local_stripe`` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import stripe

import local_stripe

from .support import Endpoint, call

ROOT = Path(local_stripe.__file__).parent.parent


class CommandLineTests(unittest.TestCase):
    def run_it(self, *arguments: str, **more: Any) -> tuple[subprocess.Popen[str], str]:
        """Start it on a free port; gives the process and its address."""
        process = subprocess.Popen(
            [sys.executable, "-m", "local_stripe", "--port", "0", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            **more,
        )
        self.addCleanup(_end, process)
        assert process.stdout is not None
        line = process.stdout.readline()
        self.assertRegex(line, r"\Alocal Stripe on http://127\.0\.0\.1:[0-9]+\n\Z")
        return process, line.split()[-1]

    def test_it_serves_and_sends_signed_webhooks(self) -> None:
        with Endpoint() as endpoint:
            arguments = ("--webhook-url", endpoint.url, "--webhook-secret", "whsec_cli")
            _, url = self.run_it(*arguments, stdin=subprocess.DEVNULL)
            key = {"Authorization": "Bearer sk_test_x"}
            call("POST", f"{url}/v1/payment_intents", b"amount=1000&currency=usd", key)
            self.assertTrue(call("POST", f"{url}/_control/webhooks/wait", b"").json["idle"])
            headers, body = endpoint.received[0]
            event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_cli")
            self.assertEqual(event.type, "payment_intent.created")

    def test_a_pending_refund_settles_by_itself(self) -> None:
        _, url = self.run_it("--settle-after", "0", stdin=subprocess.DEVNULL)
        key = {"Authorization": "Bearer sk_test_x"}
        form = b"amount=1000&currency=usd&payment_method=pm_card_pendingRefund&confirm=true"
        form += b"&allowed_payment_method_types[]=card"
        intent = call("POST", f"{url}/v1/payment_intents", form, key).json["id"]
        refund = call("POST", f"{url}/v1/refunds", f"payment_intent={intent}".encode(), key).json
        self.assertEqual(refund["status"], "pending")
        deadline = time.monotonic() + 30
        while call("GET", f"{url}/v1/refunds/{refund['id']}", None, key).json["status"] != "succeeded":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_a_state_file_outlives_the_process_also_one_that_was_killed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            option = ("--state-file", f"{folder}/state")
            key = {"Authorization": "Bearer sk_test_x"}
            process, url = self.run_it(*option, stdin=subprocess.DEVNULL)
            done = self.fail_with("--port", "0", *option)
            self.assertRegex(done.stderr, r"\Alocal Stripe: [^\n]+: in use by another local Stripe\n\Z")
            intent = call("POST", f"{url}/v1/payment_intents", b"amount=1000&currency=usd", key).json["id"]
            process.kill()
            process.wait()
            process, url = self.run_it(*option, stdin=subprocess.DEVNULL)
            self.assertEqual(call("GET", f"{url}/v1/payment_intents/{intent}", None, key).status, 200)
            process.kill()
            process.wait()
            Path(folder, "state").write_bytes(b"no database" * 99)
            process, _ = self.run_it(*option, stdin=subprocess.DEVNULL)
            process.terminate()
            process.wait()
            assert process.stderr is not None
            self.assertRegex(process.stderr.read(), r"\A[^\n]+ it is kept as [^\n]+\n\Z")

    def test_signals_end_it_at_once(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                process, _ = self.run_it(stdin=subprocess.DEVNULL)
                process.send_signal(number)
                self.assertEqual(process.wait(60), 0)
                assert process.stderr is not None
                self.assertEqual(process.stderr.read(), "")

    def test_it_ends_with_its_standard_input_when_asked(self) -> None:
        process, url = self.run_it("--exit-with-stdin", stdin=subprocess.PIPE)
        self.assertEqual(call("GET", f"{url}/_control/requests").status, 200)
        assert process.stdin is not None and process.stderr is not None
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(process.stderr.read(), "")

    def test_it_outlives_its_standard_input_otherwise(self) -> None:
        process, url = self.run_it(stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.close()
        self.assertEqual(call("GET", f"{url}/_control/requests").status, 200)
        self.assertIsNone(process.poll())

    def test_a_port_in_use_is_said_in_one_line(self) -> None:
        with local_stripe.LocalStripe() as other:
            done = self.fail_with("--port", str(other.port))
        self.assertEqual(done.returncode, 1)
        expected = f"local Stripe: cannot listen on 127.0.0.1:{other.port}: Address already in use\n"
        self.assertEqual(done.stderr, expected)

    def test_bad_options_are_said_in_one_line(self) -> None:
        for options in (
            ("--port", "99999"),
            ("--port", "0", "--webhook-url", "nonsense"),
            ("--port", "0", "--settle-after", "-1"),
        ):
            with self.subTest(options=options):
                done = self.fail_with(*options)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertRegex(done.stderr, r"\Alocal Stripe: [^\n]+\n\Z")

    def fail_with(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "local_stripe", *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()
