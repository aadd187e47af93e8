from datetime import UTC, datetime, timedelta

import time_machine
from celery import current_app
from celery.beat import ScheduleEntry
from django.conf import settings
from django.utils import timezone

from apps.authentication import services, tasks
from apps.authentication.models import Session
from apps.authentication.services import sessions
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase


class OldSessions(ApiTestCase):
    def test_they_go_a_month_after_their_last_token_died_and_others_stay(self):
        customer = make_customer()
        for _ in range(4):
            services.open_session(user=customer)
        now = timezone.now()
        live, ended, expired, old = Session.objects.order_by("created_at")
        services.revoke_session(user=customer, sid=ended.pk)
        Session.objects.filter(pk=expired.pk).update(expires_at=now - timedelta(days=29))
        Session.objects.filter(pk=old.pk).update(expires_at=now - timedelta(days=31))
        self.assertEqual(tasks.remove_old_sessions.delay().get(), 1)
        self.assertEqual(set(Session.objects.all()), {live, ended, expired})
        self.assertEqual(tasks.remove_old_sessions.delay().get(), 0)
        self.assertEqual(Session.objects.count(), 3)

    def test_more_than_one_batch_goes_too(self):
        customer = make_customer()
        long_ago = timezone.now() - timedelta(days=100)
        Session.objects.bulk_create(
            Session(user=customer, refresh_jti="x", auth_hash="x", expires_at=long_ago)
            for _ in range(sessions.BATCH + 1)
        )
        self.assertEqual(services.remove_old_sessions(now=timezone.now()), sessions.BATCH + 1)


class TheSchedule(ApiTestCase):
    def test_every_job_of_the_schedule_is_one_that_a_worker_knows(self):
        app = current_app._get_current_object()
        app.loader.import_default_modules()
        names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
        self.assertLessEqual(names, set(app.tasks))
        self.assertLessEqual(
            {"core.send_queued_mail", "core.remove_old_mail", "authentication.remove_old_sessions"}, names
        )

    def test_no_job_takes_longer_than_the_broker_waits_before_it_hands_it_out_again(self):
        app = current_app._get_current_object()
        app.loader.import_default_modules()
        visible_after = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            job = app.tasks[entry["task"]]
            if job.acks_late:
                with self.subTest(job.name):
                    self.assertLess(job.time_limit or settings.CELERY_TASK_TIME_LIMIT, visible_after)

    def test_a_daily_job_comes_though_the_schedule_begins_anew_each_hour(self):
        app = current_app._get_current_object()
        start = datetime(2026, 3, 1, tzinfo=UTC)
        for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
            with self.subTest(name), time_machine.travel(start, tick=False) as clock:
                due = 0
                for _ in range(24):
                    begun = ScheduleEntry(name=name, task=entry["task"], schedule=entry["schedule"], app=app)
                    clock.shift(timedelta(hours=1))
                    due += begun.is_due().is_due
                self.assertGreaterEqual(due, 1)
