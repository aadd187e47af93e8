"""The benchmark: its data is in order, it drives load and counts what comes back, and it judges right."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from threading import Thread
from unittest import TestCase, skipUnless
from unittest.mock import patch
from xml.etree import ElementTree

import psycopg2
from django.core.management import call_command
from django.db import connection

from apps.users.models import User
from apps.vouchers import codes
from apps.vouchers.models import Voucher, VoucherUsage
from bench import baseline, data, goals, load, pgbench, plots, report
from bench.client import raw_request
from bench.machine import WITHOUT, plain_environment
from bench.opponents import Pool
from bench.results import Results, read
from tests.support.flush import FastFlushTestCase
from tests.support.server import database_url

WRK = """
Running 1s test @ http://127.0.0.1:8000/
  1 threads and 8 connections
Requests/sec:    812.00

{"requests": 812, "issued": 820, "seconds": 1.000000, "bytes": 81200, "p50_ms": 9.5, "p99_ms": 21.25, "refused": 0, \
"broken": 0, "timeouts": 0}
"""
PGBENCH = """
number of transactions actually processed: 4218
number of failed transactions: 0 (0.000%)
latency average = 1.896 ms
initial connection time = 10.1 ms
tps = 4218.500000 (without initial connection time)
"""


def is_superuser() -> bool:
    """Whether the tests' database is one that the loader can fill."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


@skipUnless(connection.vendor == "postgresql", "the data is loaded into PostgreSQL only")
class DataTests(FastFlushTestCase):
    def setUp(self):
        if not is_superuser():
            self.skipTest("the loader needs a superuser of PostgreSQL")
        self.connection = psycopg2.connect(database_url())
        self.addCleanup(self.connection.close)
        self.addCleanup(self.drop_table)

    def drop_table(self):
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_code")

    def indexes(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
            return {row for row in cursor.fetchall() if row[0] != "bench_code_pkey"}

    def test_the_books_are_in_order_and_the_people_own_what_they_should(self):
        indexes = self.indexes()
        loaded = data.load(self.connection, vouchers=1_000)
        output = StringIO()
        call_command("audit", stdout=output)  # ends the program if a rule is broken
        self.assertIn("All rules hold.", output.getvalue())
        self.assertEqual(self.indexes(), indexes)
        self.assertEqual(Voucher.objects.count(), 1_000 + 1 + data.MANY + data.RACES)
        self.assertEqual(Voucher.objects.filter(user__email=loaded.buyer20).count(), 20)
        self.assertEqual(Voucher.objects.filter(user__email=loaded.buyer100k).count(), 500)
        self.assertTrue(User.objects.get(email=loaded.staff).is_staff)
        redeemer = User.objects.get(pk=loaded.redeemer_id, email=loaded.redeemer)
        with self.settings(PASSWORD_HASHERS=["apps.users.passwords.Argon2idPasswordHasher"]):
            self.assertTrue(redeemer.check_password(loaded.password))
        used = VoucherUsage.objects.count() / 1_000
        self.assertTrue(0.25 < used < 0.42, used)
        redeemable = Voucher.objects.filter(code__in=loaded.codes, uses_remaining=1, is_active=True)
        self.assertEqual(redeemable.count(), len(set(loaded.codes)))
        self.assertGreater(len(loaded.codes), 200)

    def test_rows_can_be_added_afterwards(self):
        data.load(self.connection, vouchers=100)
        last = max(User.objects.values_list("pk", flat=True))
        self.assertGreater(User.objects.create_user("new@example.com").pk, last)


class CodeTests(TestCase):
    def test_the_fast_codes_are_codes(self):
        make = data.code_maker(random.Random(7))
        for code in {make() for _ in range(500)}:
            self.assertEqual(codes.parse(code), code)

    def test_a_code_is_sent_once_and_those_not_sent_come_again(self):
        pool = Pool(list("abcdefgh"))
        self.assertEqual(pool.take(5), list("abcde"))
        pool.give_back(sent=2)  # a and b were sent, and e was tried before
        self.assertEqual(pool.take(9), list("cdfgh"))


class OutputTests(TestCase):
    def test_what_wrk_prints_is_read(self):
        output = load.parse(WRK)
        self.assertEqual((output.requests, output.issued, output.p99_ms), (812, 820, 21.25))

    def test_output_without_figures_is_a_failure(self):
        with self.assertRaisesRegex(load.LoadFailed, "unable to connect"):
            load.parse("unable to connect to 127.0.0.1:1 Connection refused\n")

    def test_what_pgbench_prints_is_read(self):
        self.assertEqual(pgbench.parse(PGBENCH), (4218, 1.896, 4218.5))
        with self.assertRaises(load.LoadFailed):
            pgbench.parse("pgbench: error: connection failed")


class Counting(BaseHTTPRequestHandler):
    """Answers 200, or 409 to a body that it had before, and keeps what it had."""

    protocol_version = "HTTP/1.1"
    bodies: Counter[bytes]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies[body] += 1
        self.send_response(409 if self.bodies[body] > 1 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """wrk hangs up when its time is over."""


@skipUnless(shutil.which("wrk"), "wrk is not installed")
class LoadTests(TestCase):
    def setUp(self):
        class Handler(Counting):
            bodies = Counter()

        self.bodies = Handler.bodies
        self.server = QuietServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def drive(self, number: int) -> load.WrkOutput:
        requests = [raw_request("POST", "/", {"number": number}) for number in range(number)]
        return load.drive(self.server.server_port, requests, load.Load(connections=2, seconds=1), self.folder)

    def test_each_request_is_sent_once_and_counted(self):
        output = self.drive(100_000)
        self.assertEqual(set(self.bodies.values()), {1})
        self.assertGreater(output.requests, 10)
        self.assertTrue(output.requests <= output.issued <= output.requests + 2)
        self.assertTrue(output.requests <= len(self.bodies) <= output.issued)
        first = {json.dumps({"number": number}).encode() for number in range(output.requests - 2)}
        self.assertLessEqual(first, set(self.bodies))

    def test_a_refused_request_fails_the_load(self):
        with self.assertRaisesRegex(load.LoadFailed, "refused"):
            self.drive(5)  # the sixth is the first again


def sample(rps: float, *, p50: float = 5, p99: float = 15, cpu: float = 2) -> load.Sample:
    return load.Sample(int(rps * 3), 3, p50, p99, 1_000, cpu * 0.75, cpu * 0.25, 4)


class JudgingTests(TestCase):
    def results(self, factor: float = 1.0) -> Results:
        """Three rounds on a machine whose speed changes from one to the next: the ratios hardly do."""
        results = Results(vouchers=1_000, gate=["All held."])
        for number, speed in enumerate((100, 300, 200), start=1):
            results.add(results.key("redeem"), number, sample(speed * 2.5 * factor))
            results.add(results.key("redeem", "B"), number, sample(speed))
            results.add(results.key("redeem", "A"), number, sample(speed / 3))
            results.add(results.key("redeem-hot"), number, sample(speed, p99=50))
            for size, cpu in ((100, 2.0), (10_000, 2.6)):
                key = results.key("redeem")
                results.add(type(key)("redeem", "product", 8, True, size), number, sample(speed, cpu=cpu))
        return results

    def verdicts(self, results: Results) -> dict[str, str]:
        return {goal.title: goal.verdict(goal.figure(results)) for goal in goals.GOALS}

    def test_goals_are_judged_by_the_median_ratio_of_the_rounds(self):
        verdicts = self.verdicts(self.results())
        self.assertEqual(verdicts["redeem, distinct: against B"], "met")
        self.assertEqual(verdicts["redeem, distinct: against A"], "met")
        self.assertEqual(verdicts["redeem, hot: against distinct"], "missed")
        self.assertEqual(verdicts["redeem, hot: p99 / p50"], "missed")
        self.assertEqual(verdicts["redeem, distinct: CPU at the largest size / at the smallest"], "missed")
        self.assertEqual(verdicts["types: against B"], "not measured")
        self.assertEqual(self.verdicts(self.results(1.3))["redeem, distinct: against B"], "met, and the aim")
        self.assertEqual(self.verdicts(self.results(0.7))["redeem, distinct: against B"], "missed")

    def test_the_baseline_tells_what_got_slower_and_keeps_quiet_about_noise(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "baseline.json")
            baseline.write(self.results(), file)
            before = baseline.read(file)
        assert before is not None
        self.assertEqual(list(baseline.changes(self.results(0.95), before)), [])
        slower = list(baseline.changes(self.results(0.8), before))
        self.assertEqual(len(slower), 1)
        self.assertRegex(slower[0], r"^slower: redeem against B is 2\.00, was 2\.50 \(-20%\)")
        self.assertRegex(next(baseline.changes(self.results(1.3), before)), "^faster: redeem")

    def test_a_run_that_was_kept_reads_the_same(self):
        results = self.results()
        again = read(json.loads(json.dumps(results.raw())))
        self.assertEqual(again.samples, results.samples)
        self.assertEqual(report.terminal(again), report.terminal(results))

    def test_the_page_is_written_between_its_markers_and_with_plots(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, "performance.md")
            page.write_text(f"# Before\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter\n")
            report.write_page(self.results(), page)
            report.write_page(self.results(), page)
            text = page.read_text()
            drawn = [ElementTree.parse(plot).getroot().tag for plot in Path(folder).glob("*.svg")]
        self.assertTrue(text.startswith("# Before\n") and text.endswith("\n\nAfter\n"))
        self.assertNotIn("old", text)
        self.assertEqual(text.count("| redeem, distinct codes | 500 |"), 1)
        self.assertEqual(drawn, ["{http://www.w3.org/2000/svg}svg"] * 2)

    def test_a_sign_in_is_compared_with_the_quickest_hash_of_one_core(self):
        clock = [0.0, 0.05, 1.0, 1.02] + [2.0, 2.04] * 7
        with patch("bench.data.time.process_time", side_effect=clock):
            self.assertAlmostEqual(data.hash_milliseconds(), 20)

    def test_a_sign_in_may_take_thirty_percent_more_than_its_hash_alone(self):
        for cpu, verdict in ((25.9, "met"), (26.1, "missed")):
            results = Results(vouchers=1_000, gate=[], facts={"hash_ms": 20})
            results.add(results.key("login"), 1, sample(10, cpu=cpu))
            self.assertEqual(self.verdicts(results)["login: CPU / that of its hash"], verdict)

    def test_what_is_measured_has_the_packages_of_production(self):
        hidden = {path.stem for path in WITHOUT.glob("*.py")}
        program = (
            f"import stripe, sys, django.test, rest_framework.compat; print({hidden}.isdisjoint(sys.modules))"
        )
        installed = any(map(find_spec, hidden))
        for environment, free_of_them in ((plain_environment(), "True"), (os.environ, str(not installed))):
            done = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
            )
            self.assertEqual(done.stdout.strip(), free_of_them)

    def test_a_plot_of_nothing_is_still_a_picture(self):
        ElementTree.fromstring(plots.bars("Nothing", [], (), ""))
        ElementTree.fromstring(plots.lines("Nothing", [1], [("one", [None])], ""))
