"""What Prometheus is told, by whom it may be asked, and what it holds."""

import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from django.conf import settings
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import timezone
from post_office.models import STATUS, Email
from prometheus_client.mmap_dict import MmapedDict

from apps.core import heartbeats
from apps.core.metrics import Counter, Gauge, Reader, Reading, exposition, folder, instruments, readers
from apps.core.models import JobResult
from apps.payments.models import StripeEvent
from apps.users.tests.factories import make_customer
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import Client
from tests.support.metrics import TOKEN, WITH_TOKEN, MetricsTestCase
from tests.support.server import free_port


class AccessTests(MetricsTestCase):
    def test_without_a_token_in_the_settings_there_is_no_such_page(self):
        with override_settings(METRICS_TOKEN=""):
            for headers in ({}, WITH_TOKEN, {"Authorization": "Bearer "}, {"Authorization": ""}):
                self.assertEqual(Client().get("/metrics", headers=headers).status_code, 404)

    def test_without_the_token_it_says_nothing(self):
        for header in (
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN[:-1]}",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer \xe9",
        ):
            response = Client().get("/metrics", headers={"Authorization": header})
            self.assertEqual((response.status_code, response.content), (401, b"Unauthorized\n"), header)
            self.assertEqual(response.headers["WWW-Authenticate"], "Bearer")

    def test_with_the_token_it_answers_by_whatever_host_and_is_kept_by_nobody(self):
        response = Client().get("/metrics", headers={**WITH_TOKEN, "Host": "10.1.2.3:8000"})
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        self.assertTrue(response.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertEqual(Client().post("/metrics", headers=WITH_TOKEN).status_code, 405)

    def test_a_token_may_have_any_characters(self):
        token = "jeton-métrique-\udcff-0123456789-0123456789"
        sent = token.encode("utf-8", "surrogateescape").decode("latin-1")
        with override_settings(METRICS_TOKEN=token):
            self.assertTrue(exposition.is_authorized(f"Bearer {sent}"))
            self.assertFalse(exposition.is_authorized(f"Bearer {sent[:-1]}"))

    def test_a_process_without_metrics_does_not_import_the_library(self):
        code = (
            "import sys, django; django.setup(); from django.test import Client;"
            "assert Client().get('/api/health/').status_code == 200;"
            "print('prometheus_client' in sys.modules)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "voucher_project.settings", "METRICS_TOKEN": ""},
            capture_output=True,
            text=True,
        )
        self.assertEqual(ended.stdout.splitlines()[-1:], ["False"], ended.stderr)


class WorkerTests(MetricsTestCase):
    """The page of a worker, which has no other."""

    def get(self, path, **headers):
        caller = HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.addCleanup(caller.close)
        caller.request("GET", path, headers=headers)
        response = caller.getresponse()
        return response.status, response.read().decode()

    def test_it_serves_what_was_counted_and_reads_nothing_to_who_has_the_token(self):
        self.port = free_port()
        with override_settings(METRICS_PORT=self.port):
            server = exposition.serve()
        assert server
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        status, text = self.get("/metrics", **WITH_TOKEN)
        self.assertEqual(status, 200)
        self.assertIn("voucher_purchases_total", text)
        self.assertNotIn("voucher_database_up", text)
        self.assertEqual(self.get("/metrics"), (401, "Unauthorized\n"))
        self.assertEqual(self.get("/", **WITH_TOKEN)[0], 404)
        with override_settings(METRICS_PORT=self.port), self.assertLogs("apps.core.metrics", "ERROR"):
            self.assertIsNone(exposition.serve())  # it is taken, and jobs are done all the same

    def test_without_a_port_or_a_token_there_is_none(self):
        for changes in ({"METRICS_PORT": 0}, {"METRICS_PORT": 1, "METRICS_TOKEN": ""}):
            with override_settings(**changes):
                self.assertIsNone(exposition.serve())


class CountingTests(MetricsTestCase):
    def test_a_request_counts_by_route_method_and_class_of_status(self):
        labels = {"route": "/api/vouchers/detail/<str:code>/", "method": "GET", "status": "4xx"}
        route = {"route": labels["route"]}
        api = self.signed_in(make_customer())
        number = self.counted(
            "requests_total", lambda: api.get("/api/vouchers/detail/2345-6789-ABCD-EFGH/"), **labels
        )
        self.assertEqual(number, 1)
        self.assertGreaterEqual(self.value("request_seconds_count", **route), 1)

    def test_methods_and_addresses_that_anybody_may_invent_make_no_series(self):
        series = len(self.scrape())
        for number in range(30):
            Client().generic(f"X{number}", "/api/health/")
            Client().get(f"/nowhere/{number}/")
            Client().get(f"/admin/nowhere/{number}/")
        added = [name for name, labels in self.scrape() if "nowhere" in str(labels) or "X1" in str(labels)]
        self.assertEqual(added, [])
        self.assertLess(len(self.scrape()) - series, 60)

    def test_redemptions_count_by_outcome(self):
        user = make_customer()
        voucher = make_voucher(owner=user, voucher_type=make_type(max_uses=2))
        api = self.signed_in(user)

        def redeem(code, **headers):
            return lambda: api.post("/api/vouchers/redeem/", {"code": code}, headers=headers)

        key = {"Idempotency-Key": "one-key-of-a-client"}
        self.assertEqual(
            self.counted("redemptions_total", redeem(voucher.code, **key), outcome="redeemed"), 1
        )
        self.assertEqual(
            self.counted("redemptions_total", redeem(voucher.code, **key), outcome="replayed"), 1
        )
        self.assertEqual(self.counted("redemptions_total", redeem("no code"), outcome="code_malformed"), 1)
        redeem(voucher.code)()
        self.assertEqual(
            self.counted("redemptions_total", redeem(voucher.code), outcome="voucher_used_up"), 1
        )
        self.assertEqual(self.counted("refusals_total", redeem("no code"), code="code_malformed"), 1)

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_NETWORK=(1, 60))
    def test_limits_that_are_reached_count_by_name(self):
        self.api.get("/api/test/")
        number = self.counted(
            "limits_reached_total", lambda: self.api.get("/api/test/"), limit="LIMIT_REQUESTS_PER_NETWORK"
        )
        self.assertEqual(number, 1)

    def test_nothing_is_counted_where_nobody_asks(self):
        counter = Counter("unused_total", "None.", ("kind",))
        with override_settings(METRICS_TOKEN=""):
            counter.count("one")
        self.assertIsNone(counter._metric)

    def test_a_process_that_can_not_count_serves_all_the_same_and_says_so_once(self):
        counter = Counter("unwritable_total", "None.")
        away = patch.object(Counter, "_make", side_effect=PermissionError(13, "Permission denied"))
        with (
            away,
            patch.object(instruments, "_warned", False),
            self.assertLogs("apps.core.metrics") as logged,
        ):
            counter.count()
            counter.count()
        self.assertEqual(len(logged.output), 1, logged.output)
        instruments._instruments.remove(counter)

    def test_series_are_bounded(self):
        counter = Counter("bounded_total", "None.", ("kind",))
        with patch.object(instruments, "MOST_SERIES", 3):
            for number in range(50):
                counter.count(f"kind {number}")
        kinds = {
            dict(labels)["kind"]: value
            for (name, labels), value in self.scrape().items()
            if "bounded" in name
        }
        self.assertEqual(kinds, {"kind 0": 1, "kind 1": 1, "kind 2": 1, "other": 47})


class FolderTests(MetricsTestCase):
    """The files in which the processes of a server count, in a folder of this test's own."""

    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.enterContext(patch.dict(os.environ, {folder.VARIABLE: str(self.folder)}))

    def test_who_removes_an_ended_process_waits_for_no_reader(self):
        MmapedDict(str(self.folder / "counter_7.db")).close()
        ended: list[int] = []

        def end():
            folder.add_ended(self.folder, 7)
            ended.append(7)

        def read(now):
            thread = threading.Thread(target=end)
            thread.start()
            thread.join(5)
            return []

        with patch.object(readers, "_readers", [Reader("slow", (Gauge("slow", "None."),), read)]):
            self.metrics()
        self.assertEqual(ended, [7])

    def test_a_process_that_is_just_beginning_is_no_error_and_one_that_ended_so_neither(self):
        (self.folder / "counter_7.db").touch()
        self.assertIn("voucher_build_info", self.metrics())
        folder.add_ended(self.folder, 7)

    def test_without_the_folder_readings_are_shown(self):
        self.folder.rmdir()
        with (
            patch.object(instruments, "_warned", False),
            patch.object(Counter, "series", side_effect=FileNotFoundError(2, "No such file")),
            self.assertLogs("apps.core.metrics.instruments", "ERROR") as said,
        ):
            self.assertIn("voucher_build_info", self.metrics())
        self.assertEqual(len(said.output), 1)
        self.folder.mkdir()


class ReadingTests(MetricsTestCase):
    def test_mail_that_waits_is_counted_with_its_age(self):
        for status, minutes in ((STATUS.queued, 12), (STATUS.queued, 3), (STATUS.failed, 90)):
            email = Email.objects.create(from_email="a@example.com", to=["b@example.com"], status=status)
            created = timezone.now() - timedelta(minutes=minutes)
            Email.objects.filter(pk=email.pk).update(created=created)
        self.assertEqual(self.value("mails", state="new"), 2)
        self.assertEqual(self.value("mails", state="failed"), 1)
        self.assertAlmostEqual(self.value("mail_oldest_seconds", state="new"), 720, delta=20)
        self.assertEqual(self.value("mail_oldest_seconds", state="retried"), 0)

    def test_events_that_wait_are_counted_with_their_age(self):
        self.assertEqual(self.value("webhook_oldest_event_seconds"), 0)
        for number, minutes in enumerate((10, 4)):
            StripeEvent.objects.create(
                stripe_id=f"evt_{number}",
                type="payment_intent.succeeded",
                object_id="pi_1",
                received_at=timezone.now() - timedelta(minutes=minutes),
            )
        self.assertEqual(self.value("webhook_events_waiting"), 2)
        self.assertAlmostEqual(self.value("webhook_oldest_event_seconds"), 600, delta=20)

    def test_jobs_and_signs_of_life_have_their_ages(self):
        JobResult.objects.record("Audit", problems=3, complete=False, next_within=timedelta(hours=1))
        JobResult.objects.update(finished_at=timezone.now() - timedelta(hours=2))
        heartbeats.record(heartbeats.WORKER, waited=1.5)
        self.assertEqual(self.value("check_problems", check="Audit"), 3)
        self.assertEqual(self.value("check_complete", check="Audit"), 0)
        self.assertAlmostEqual(self.value("check_age_seconds", check="Audit"), 7200, delta=20)
        self.assertAlmostEqual(self.value("check_overdue_seconds", check="Audit"), -3600, delta=20)
        self.assertAlmostEqual(self.value("heartbeat_age_seconds", process="worker"), 0, delta=20)
        self.assertEqual(self.value("queue_wait_seconds"), 1.5)
        self.assertIsNone(self.value("heartbeat_age_seconds", process="beat"))

    def test_what_needs_a_person_and_the_version_are_there(self):
        self.assertEqual(self.value("attention_items", item="refunds_failed"), 0)
        self.assertEqual(self.value("build_info", version=settings.VERSION), 1)
        if connection.vendor == "postgresql":
            self.assertGreaterEqual(self.value("database_connections", state="active"), 1)

    def test_a_database_that_is_away_is_no_error_of_the_page(self):
        with patch(
            "django.db.backends.base.base.BaseDatabaseWrapper.cursor",
            side_effect=OperationalError("secret host"),
        ):
            series = self.scrape()
        self.assertEqual(series["voucher_database_up", frozenset()], 0)
        self.assertEqual(series["voucher_scrape_failed", frozenset({("reader", "mail")})], 1)
        self.assertEqual([name for name, _ in series if name == "voucher_mails"], [])
        self.assertEqual(self.value("database_up"), 1)
        self.assertEqual(self.value("scrape_failed", reader="mail"), 0)

    def test_a_reader_that_fails_takes_no_other_with_it(self):
        def read(now):
            raise RuntimeError("secret insides")

        broken = Reader("broken", (Gauge("broken", "None."),), read)
        with patch.object(readers, "_readers", [broken, *readers._readers]):
            self.assertEqual(self.value("scrape_failed", reader="broken"), 1)
            self.assertEqual(self.value("mails", state="new"), 0)

    def test_readings_are_kept_for_a_moment(self):
        calls = []
        gauge = Gauge("number_of_reads", "None.")

        def read(now):
            calls.append(now)
            return [Reading(gauge, len(calls))]

        with patch.object(readers, "_readers", [Reader("counted", (gauge,), read)]):
            readers.forget()
            for _ in range(5):
                Client().get("/metrics", headers=WITH_TOKEN)
        self.assertEqual(len(calls), 1)

    def test_a_query_that_takes_too_long_is_ended(self):
        if connection.vendor != "postgresql":
            self.skipTest("SQLite ends no statement")

        def read(now):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(20)")
            return []

        slow = Reader("slow", (Gauge("slow", "None."),), read)
        with patch.object(readers, "_readers", [slow]), patch.object(readers, "STATEMENT_MS", 50):
            self.assertEqual(self.value("scrape_failed", reader="slow"), 1)


class PrivacyTests(MetricsTestCase):
    def test_no_code_and_nothing_of_a_person_is_in_it(self):
        user = make_customer(email="somebody@example.com")
        voucher = make_voucher(owner=user)
        api = self.signed_in(user)
        for address in (f"/api/vouchers/detail/{voucher.code}/", f"/api/vouchers/detail/{voucher.code}/qr/"):
            api.get(address)
        api.post("/api/vouchers/redeem/", {"code": voucher.code})
        text = Client().get("/metrics", headers=WITH_TOKEN).content.decode()
        self.assertIn("/api/vouchers/detail/<str:code>/", text)
        for secret in (voucher.code, voucher.code.replace("-", ""), voucher.code[-4:], "somebody", TOKEN):
            self.assertNotIn(secret, text)
        self.assertEqual(re.findall(r"@|\b\d+\.\d+\.\d+\.\d+\b", text.replace(settings.VERSION, "")), [])
