"""Whether the worker and the schedule run, and an answer in time whatever does not."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

from django.db import DatabaseError, OperationalError
from django.test import override_settings
from django.utils import timezone

from apps.core import health, heartbeats, readiness, tasks
from apps.core.models import Heartbeat
from tests.support.cases import ApiTestCase

AWAY = "redis://127.0.0.1:1/0"


@contextmanager
def silent_server():
    """The address of a Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


class HeartbeatTests(ApiTestCase):
    def states(self):
        checks = self.api.get("/api/health/ready/").json()["checks"]
        return checks["worker"], checks["beat"]

    def test_without_a_broker_neither_runs_and_nothing_is_wrong(self):
        with override_settings(CELERY_BROKER_URL=""):
            self.assertEqual(self.states(), ("not configured", "not configured"))

    @override_settings(CELERY_BROKER_URL=AWAY)
    def test_each_is_well_while_its_last_sign_is_recent(self):
        self.assertEqual(self.states(), ("degraded", "degraded"))
        heartbeats.record(heartbeats.SCHEDULE)
        self.assertEqual(self.states(), ("degraded", "ok"))
        heartbeats.record(heartbeats.WORKER)
        self.assertEqual(self.states(), ("ok", "ok"))
        Heartbeat.objects.filter(name=heartbeats.WORKER).update(at=timezone.now() - timedelta(minutes=4))
        self.assertEqual(self.states(), ("degraded", "ok"))
        self.assertEqual(self.api.get("/api/health/ready/").status_code, 200)

    def test_the_schedule_leaves_its_sign_as_it_sends_and_the_worker_as_it_works(self):
        headers: dict[str, float] = {}
        with patch.object(tasks, "close_old_connections"):  # the test's own is in a transaction
            tasks.note_the_schedule(headers=headers)
        self.assertEqual(set(heartbeats.last_signs()), {heartbeats.SCHEDULE})
        tasks.heartbeat.push_request(**{tasks.SENT_AT: headers[tasks.SENT_AT] - 7})  # as a worker does
        self.addCleanup(tasks.heartbeat.pop_request)
        tasks.heartbeat.run()
        self.assertAlmostEqual(heartbeats.last_signs()[heartbeats.WORKER].waited or 0, 7, delta=2)

    def test_a_sign_that_can_not_be_written_stops_nothing(self):
        away = patch.object(Heartbeat.objects, "filter", side_effect=DatabaseError)
        with away, self.assertLogs("apps.core.heartbeats", "WARNING"):
            heartbeats.record(heartbeats.SCHEDULE)

    def test_there_is_one_row_for_each(self):
        for _ in range(3):
            for name in heartbeats.NAMES:
                heartbeats.record(name)
        self.assertEqual(Heartbeat.objects.count(), 2)


class PatienceTests(ApiTestCase):
    def test_a_redis_that_never_answers_delays_it_by_moments(self):
        with (
            silent_server() as cache,
            silent_server() as broker,
            override_settings(REDIS_URL=cache, CELERY_BROKER_URL=broker),
        ):
            started = time.monotonic()
            response = self.api.get("/api/health/ready/")
            took = time.monotonic() - started
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(
            (response.json()["checks"]["cache"], response.json()["checks"]["broker"]),
            ("degraded", "degraded"),
        )
        self.assertLess(took, 2.5)

    def test_a_database_that_is_away_is_waited_for_once(self):
        with (
            patch.object(health, "database", side_effect=OperationalError),
            patch.object(health, "migrations") as migrations,
            patch.object(health, "time_limits") as time_limits,
            patch.object(heartbeats, "states") as signs,
            override_settings(CELERY_BROKER_URL=AWAY),
        ):
            states = readiness.states()
        self.assertEqual((states["database"], states["migrations"]), ("failed", "failed"))
        self.assertEqual({states[name] for name in ("time_limits", "worker", "beat")}, {"degraded"})
        for check in (migrations, time_limits, signs):
            check.assert_not_called()

    def test_while_one_request_looks_others_are_answered_as_of_the_last_time(self):
        """Else a Redis or a bucket that hangs would hold all threads of the server, however short each waits."""
        probe, looking, goes_on = readiness._Probe(), threading.Event(), threading.Event()

        def hang():
            looking.set()
            self.assertTrue(goes_on.wait(10))
            return {"cache": "degraded"}

        with ThreadPoolExecutor() as pool:
            with patch.object(readiness, "states", return_value={"cache": "ok"}):
                self.assertEqual(probe.states(), {"cache": "ok"})
            with patch.object(readiness, "states", side_effect=hang) as states:
                first = pool.submit(probe.states)
                self.assertTrue(looking.wait(10))
                self.assertEqual(probe.states(), {"cache": "ok"})
                with patch.object(readiness, "RECENT", 0):
                    second = pool.submit(probe.states)
                    time.sleep(0.1)
                    self.assertFalse(second.done())
                    goes_on.set()
                    self.assertEqual((first.result(10), second.result(10)), ({"cache": "degraded"},) * 2)
                self.assertEqual(states.call_count, 1)
            with patch.object(readiness, "states", return_value={"cache": "ok"}):
                self.assertEqual(probe.states(), {"cache": "ok"})

    def test_one_redis_for_both_is_asked_once(self):
        with (
            patch.object(health, "cache", return_value="ok"),
            patch.object(health, "broker") as broker,
            override_settings(REDIS_URL=AWAY, CELERY_BROKER_URL=AWAY),
        ):
            self.assertEqual(readiness.states()["broker"], "ok")
        broker.assert_not_called()

    def test_migrations_are_looked_up_in_files_once_and_in_the_database_always(self):
        self.assertEqual(health.migrations(), "ok")
        with patch.object(health, "MigrationExecutor", side_effect=AssertionError("read again")):
            self.assertEqual(health.migrations(), "ok")
        newest = max(name for name in health._applied if name[0] == "core")
        applied = dict.fromkeys(health._applied - {newest})
        with patch(
            "django.db.migrations.recorder.MigrationRecorder.applied_migrations", return_value=applied
        ):
            self.assertEqual(health.migrations(), "pending")
