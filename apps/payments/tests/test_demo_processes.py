"""The demo: the server begins anew after an edit, no process outlives the command, and what it refuses."""

import os
import socket
import sys
import tempfile
from pathlib import Path
from unittest import mock

from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import SimpleTestCase, TestCase, override_settings

from apps.payments.management import demo_processes
from apps.payments.management.commands import demo
from tests.support.server import free_port

# Notes its process, then ends as its turn says: by a status once somebody has connected, by one at once, or never.
SERVER = """
import os, socket, sys, time
port, notes, *ends = sys.argv[1:]
with open(notes, "a") as file:
    print(os.getpid(), file=file)
end = ends[len(open(notes).readlines()) - 1]
if not end.startswith("at once"):
    with socket.create_server(("127.0.0.1", int(port))) as listening:
        listening.accept()
        if end == "never":
            time.sleep(600)
sys.exit(int(end.removeprefix("at once ")))
"""


class ServerTests(SimpleTestCase):
    def setUp(self):
        self.port = free_port()
        self.notes = Path(self.enterContext(tempfile.TemporaryDirectory()), "notes")
        self.ready = 0

    def run_anew(self, *ends, on_ready):
        command = [sys.executable, "-c", SERVER, str(self.port), str(self.notes), *ends]
        return demo_processes.run_anew(command, self.port, {}, on_ready)

    def processes(self):
        return [int(line) for line in self.notes.read_text().splitlines()]

    def note_ready(self):
        self.ready += 1

    def test_it_begins_anew_after_an_edit_and_is_announced_once(self):
        self.assertEqual(self.run_anew("3", "at once 3", "at once 7", on_ready=self.note_ready), 7)
        self.assertEqual((len(set(self.processes())), self.ready), (3, 1))

    def test_one_that_never_listens_is_not_announced(self):
        self.assertEqual(self.run_anew("at once 1", on_ready=self.note_ready), 1)
        self.assertEqual(self.ready, 0)

    def test_it_ends_with_the_command(self):
        with self.assertRaises(SystemExit):
            self.run_anew("never", on_ready=sys.exit)
        (process,) = self.processes()
        with self.assertRaises(ProcessLookupError):
            os.kill(process, 0)


class RefusalTests(SimpleTestCase):
    def test_it_says_in_one_line_that_a_port_is_taken_and_how_to_choose_another(self):
        for variable, option in (("PORT", "--port"), ("STRIPE_PORT", "--stripe-port")):
            with socket.create_server(("127.0.0.1", 0)) as listener, override_settings(DEBUG=True):
                port = listener.getsockname()[1]
                ports = {"port": free_port(), "stripe_port": free_port()} | {variable.lower(): port}
                with self.assertRaisesRegex(
                    CommandError,
                    rf"^Port {port} is taken[^\n]*: make run {variable}=\d+, or manage.py demo {option} \d+$",
                ) as refused:
                    call_command("demo", **ports)
                other = int(str(refused.exception).split()[-1])
                socket.create_server(("127.0.0.1", other)).close()

    def test_a_number_that_is_no_port_is_refused(self):
        for number in (0, -1, 65536, 10**20):
            with self.assertRaisesRegex(CommandError, f"^{number} is no port"), override_settings(DEBUG=True):
                call_command("demo", port=number)

    def test_it_refuses_to_run_where_debug_is_off(self):
        with self.assertRaisesRegex(CommandError, "^The demo .*DEBUG=True.$"):
            call_command("demo", port=free_port())

    def test_it_gives_nobody_a_public_password_where_payments_are_real(self):
        for key in ("sk_live_0123456789", "rk_live_0123456789"):
            with (
                override_settings(DEBUG=True, STRIPE_SECRET_KEY=key),
                mock.patch.object(demo.Command, "_prepare", side_effect=AssertionError("prepared")),
                self.assertRaisesRegex(CommandError, "^The demo .*live Stripe key.$"),
            ):
                call_command("demo", port=free_port())


class DatabaseTests(TestCase):
    def test_a_database_of_this_version_or_an_older_one_is_taken(self):
        demo._check_database()
        MigrationRecorder(connection).record_unapplied("vouchers", "0001_initial")
        demo._check_database()

    def test_one_of_a_newer_version_is_refused_with_what_to_do(self):
        MigrationRecorder(connection).record_applied("vouchers", "9999_of_tomorrow")
        with self.assertRaisesRegex(
            CommandError, "newer version.*vouchers.9999_of_tomorrow.*move the database away"
        ):
            demo._check_database()


class AddressTests(SimpleTestCase):
    def test_links_lead_to_the_port_that_was_chosen(self):
        default = {"API_URL": "http://localhost:8000", "FRONTEND_URL": "http://127.0.0.1:8000"}
        with override_settings(**default):
            self.assertEqual(
                demo.addresses(8001),
                {"API_URL": "http://localhost:8001", "FRONTEND_URL": "http://127.0.0.1:8001"},
            )

    def test_an_address_of_the_configuration_stays(self):
        with override_settings(API_URL="http://shop.test", FRONTEND_URL="http://localhost:5173"):
            self.assertEqual(demo.addresses(8001), {})
