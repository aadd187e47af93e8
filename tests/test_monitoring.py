"""The alert rules and the dashboard: what they name is there, and an alert fires for each trouble that is planted."""

import itertools
import json
import re
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from unittest import skipUnless
from unittest.mock import Mock, patch

import yaml
from django.conf import settings
from django.db import OperationalError
from django.test import SimpleTestCase, override_settings, tag
from django.utils import timezone
from post_office.models import STATUS, Email
from prometheus_client.parser import text_string_to_metric_families

from apps.analytics.tasks import audit_books
from apps.core import heartbeats, readiness
from apps.core.backoffice import attention
from apps.core.models import Heartbeat, JobResult
from apps.core.rate_limits import reset
from apps.core.task_log import DURATIONS, TASKS
from apps.core.tasks import send_queued_mail
from apps.payments import gateway
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.metrics import CALL_OUTCOMES, PURCHASE_STEPS
from apps.payments.models import StripeEvent, Transaction
from apps.payments.tasks import reconcile
from apps.payments.tests.money import PaidTestCase
from apps.vouchers.errors import VoucherNotFound
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import unknown_code
from tests.support import promtool
from tests.support.books import rebuild_figures
from tests.support.metrics import MetricsTestCase
from tests.support.promtool import ALERTS, MONITORING, PROMTOOL, WITHOUT, firing, rules

NAME = re.compile(r"\bvoucher_[a-z_]+\b")
MATCHER = re.compile(r'(\w+)=(~?)"([^"]*)"')
PAGE = Path(settings.BASE_DIR, "docs/deploy/monitoring.md")


def dashboard():
    return json.loads((MONITORING / "grafana-dashboard.json").read_text())


def dashboard_queries():
    """Each query of the dashboard, with Grafana's own variables filled in."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m")


def expressions():
    """Every expression of rules and dashboard."""
    return [rule["expr"] for rule in rules()] + list(dashboard_queries())


class FileTests(SimpleTestCase):
    def test_each_alert_has_a_severity_a_summary_a_test_and_a_row_in_the_docs(self):
        tests = (MONITORING / "alerts_test.yml").read_text()
        page = PAGE.read_text()
        names = [rule["alert"] for rule in rules()]
        self.assertEqual(len(names), len(set(names)))
        for rule in rules():
            with self.subTest(alert=rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertTrue(rule["annotations"]["summary"])
                self.assertIn(f'alertname="{rule["alert"]}"', tests)
                self.assertIn(f"| {rule['alert']} |", page)

    def test_the_example_of_prometheus_loads_the_rules(self):
        example = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        self.assertEqual(example["rule_files"], [ALERTS.name])
        self.assertEqual(
            [job["job_name"] for job in example["scrape_configs"]], ["vouchers", "vouchers-worker"]
        )

    def test_the_dashboard_has_panels_that_do_not_overlap_and_one_variable_for_the_source(self):
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = [
            (x, y)
            for panel in panels
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        self.assertEqual(len(places), len(set(places)))
        self.assertLess(max(x for x, _ in places), 24)
        self.assertEqual([one["name"] for one in dashboard()["templating"]["list"]], ["source"])
        for panel in panels:
            if panel["type"] != "row":
                self.assertEqual(panel["datasource"]["uid"], "${source}", panel["title"])


@skipUnless(PROMTOOL, WITHOUT)
class PromtoolTests(SimpleTestCase):
    def test_the_rules_are_right(self):
        ended = promtool.promtool("check", "rules", ALERTS.name)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_each_alert_fires_when_it_should_and_not_before(self):
        ended = promtool.promtool("test", "rules", "alerts_test.yml")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_the_queries_of_the_dashboard_are_right(self):
        rule = [
            {"record": f"panel_{number}", "expr": query} for number, query in enumerate(dashboard_queries())
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rule}]}, file)
            file.flush()
            ended = promtool.promtool("check", "rules", "--lint=none", file.name)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)


class NameTests(MetricsTestCase):
    def test_every_metric_that_they_name_is_there(self):
        heartbeats.record(heartbeats.WORKER, waited=1)
        JobResult.objects.record("Audit", problems=0, next_within=timedelta(days=1))
        TASKS.count("core.heartbeat", "success")
        DURATIONS.observe(0.1, "core.heartbeat")
        with override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_NETWORK=(1, 60)):
            for _ in range(2):
                self.api.get("/api/test/")
        there = {
            name
            for family in text_string_to_metric_families(self.metrics())
            for name in (family.name, *(sample.name for sample in family.samples))
        }
        for expression in expressions():
            for name in NAME.findall(re.sub('"[^"]*"', "", expression)):
                self.assertIn(name, there, expression)

    def test_every_value_of_a_label_that_they_name_can_occur(self):
        from apps.core.middleware import REQUESTS

        known = {
            "outcome": {
                *PURCHASE_STEPS,
                *CALL_OUTCOMES,
                "redeemed",
                "replayed",
                "failure",
                VoucherNotFound.code,
            },
            "item": {item.name for item in attention._items},
            "process": set(heartbeats.NAMES),
            "state": {"new", "retried", "failed", "active", "idle"},
            "status": {"2xx", "3xx", "4xx", "5xx"},
            "check": {"Audit", "Reconciliation.*"},
            "name": set(readiness.states()),
            "job": {"vouchers"},
        }
        self.api.post("/api/vouchers/redeem/", {})
        self.api.post("/api/vouchers/purchase/", {})
        known["route"] = {route for route, *_ in REQUESTS._series} | {"/api/.*"}
        for expression in expressions():
            for label, is_pattern, text in MATCHER.findall(expression):
                values = text.split("|") if is_pattern else [text]
                self.assertLessEqual(set(values), known[label], expression)


@skipUnless(PROMTOOL, WITHOUT)
@tag("slow")
class TroubleTests(PaidTestCase, MetricsTestCase):
    """Each plants a trouble in the application, and gives what the application then says to the rules."""

    def setUp(self):
        super().setUp()
        self.enterContext(override_settings(RATE_LIMITS_ENABLED=False))
        self.sign(heartbeats.WORKER, heartbeats.SCHEDULE)
        JobResult.objects.record("Audit", problems=0, next_within=timedelta(days=1))
        JobResult.objects.record("Reconciliation of 2 hours", problems=0, next_within=timedelta(hours=1))

    def sign(self, *names, ago=timedelta()):
        for name in names:
            heartbeats.record(name, waited=0.1)
        Heartbeat.objects.filter(name__in=names).update(at=timezone.now() - ago)

    def assertFires(self, expected, trouble=lambda: None, **options):
        before = self.metrics()
        trouble()
        self.assertEqual(firing(before, self.metrics(), **options), expected)

    def test_nothing_fires_while_all_is_well(self):
        def business():
            self.redeem(self.buy(2).vouchers[0])
            for _ in range(30):
                self.api.get("/api/vouchers/types/")

        self.assertFires(set(), business)

    def test_a_web_process_that_does_not_answer(self):
        self.assertEqual(firing("", "", up=False) - {"BeatStopped", "WorkerStopped"}, {"WebDown"})

    def test_a_database_that_is_down(self):
        before = self.metrics()
        away = patch("django.db.backends.base.base.BaseDatabaseWrapper.cursor", side_effect=OperationalError)
        with away:
            after = self.metrics()
        self.assertEqual(firing(before, after), {"DatabaseDown"})

    def test_errors_of_the_server(self):
        def errors():
            fault = patch("apps.vouchers.type_list.types_on_sale", side_effect=RuntimeError("planted"))
            with fault, self.assertLogs("django.request", "ERROR"):
                for _ in range(10):
                    self.assertEqual(self.api.get("/api/vouchers/types/").status_code, 500)

        self.assertFires({"ServerErrors"}, errors)

    def test_slow_requests_and_redemptions(self):
        voucher = self.buy(1).vouchers[0]

        def slow(seconds):
            clock = Mock(perf_counter=Mock(side_effect=itertools.count(0, seconds)))
            with patch("apps.core.middleware.time", clock):
                for _ in range(10):
                    self.redeem(voucher)

        self.assertFires({"SlowRedemptions"}, lambda: slow(0.8))
        self.assertFires({"SlowRedemptions", "SlowRequests"}, lambda: slow(4))

    def test_a_cache_that_is_away_and_media_that_can_not_be_written(self):
        with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
            self.assertFires({"DependencyDown"})
        with patch("apps.core.health.media", return_value="not writable"):
            self.assertFires({"DependencyDown"})

    def test_a_worker_that_has_died(self):
        self.sign(heartbeats.WORKER, ago=timedelta(minutes=8))
        self.assertFires({"WorkerStopped"})
        Heartbeat.objects.filter(name=heartbeats.WORKER).delete()
        self.assertFires({"WorkerStopped"})

    def test_a_beat_that_has_stopped(self):
        self.sign(heartbeats.WORKER, heartbeats.SCHEDULE, ago=timedelta(minutes=8))
        self.assertFires({"BeatStopped"})
        Heartbeat.objects.all().delete()
        self.assertFires({"BeatStopped"})

    def test_a_job_that_fails_and_a_queue_that_is_long(self):
        def fail():
            fault = patch("apps.core.mail.send_pending", side_effect=RuntimeError)
            with fault, self.assertLogs("celery.app.trace", "ERROR"):
                send_queued_mail.apply(throw=False)

        self.assertFires({"TasksFail"}, fail)
        heartbeats.record(heartbeats.WORKER, waited=300)
        self.assertFires({"JobsWait"})

    def test_an_event_of_stripes_that_has_waited_for_ten_minutes(self):
        StripeEvent.objects.create(
            stripe_id="evt_1",
            type="payment_intent.succeeded",
            object_id="pi_1",
            received_at=timezone.now() - timedelta(minutes=10),
        )
        self.assertFires({"StripeEventsWait"})

    def test_a_stripe_that_refuses_calls(self):
        def buy():
            with override_settings(STRIPE_API_BASE="http://127.0.0.1:1"), patch("time.sleep"):
                for _ in range(8):
                    with self.assertRaises(PaymentProviderUnavailable):
                        gateway.fetch_intent("pi_1")

        self.assertFires({"StripeFails"}, buy)

    def test_a_payment_of_another_amount(self):
        def pay():
            intent_id = self.start(2).json()["payment_intent_id"]
            self.stripe.pay(intent_id)
            self.stripe.override_payment_intent(intent_id, {"amount_received": 1})
            self.api.post("/api/payments/confirm-payment/", {"payment_intent_id": intent_id})

        self.assertFires({"PaymentMismatch"}, pay)

    def test_a_finding_of_the_audit(self):
        self.buy(1)
        rebuild_figures()
        Voucher.objects.update(face_value=99)
        self.assertGreater(audit_books(), 0)
        # The limits that the audit sets for its transaction stay in force in that of the test.
        with patch("apps.core.health.time_limits", return_value="ok"):
            self.assertFires({"AuditFindings"})

    def test_a_finding_of_the_reconciliation(self):
        hour = timezone.now() - timedelta(hours=1)
        paid = self.buy(1)
        Transaction.objects.filter(pk=paid.pk).update(stripe_payment_intent_id="pi_none", created_at=hour)
        with patch("time.sleep"):
            self.assertGreater(reconcile(2), 0)
        self.assertFires({"ReconciliationFindings"})

    def test_a_check_that_does_not_run_or_not_to_its_end(self):
        JobResult.objects.filter(name="Audit").update(next_due_at=timezone.now() - timedelta(hours=2))
        self.assertFires({"CheckOverdue"})
        JobResult.objects.record("Audit", problems=0, complete=False, next_within=timedelta(days=1))
        self.assertFires({"CheckIncomplete"})

    def test_a_dispute_that_nobody_answers(self):
        paid = self.buy(1)
        self.stripe.dispute(paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        self.assertFires({"NeedsPerson"})

    def test_mail_that_nobody_sends_and_a_server_that_takes_none(self):
        def mail(status, ago):
            email = Email.objects.create(from_email="a@example.com", to=["b@example.com"], status=status)
            Email.objects.filter(pk=email.pk).update(created=timezone.now() - ago)

        mail(STATUS.queued, timedelta(minutes=15))
        self.assertFires({"MailStands"})
        Email.objects.all().delete()
        mail(STATUS.requeued, timedelta(hours=2))
        self.assertFires({"MailFails"})

    def test_limits_that_are_reached(self):
        def hammer():
            with override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_NETWORK=(1, 60)):
                reset()
                for _ in range(60):
                    self.client.get("/api/test/")

        self.assertFires({"LimitsReached"}, hammer)

    def test_codes_that_are_guessed(self):
        def guess():
            for _ in range(12):
                self.api.post("/api/vouchers/redeem/", {"code": unknown_code()})

        self.assertFires({"CodesGuessed"}, guess)

    def test_metrics_that_can_not_be_read(self):
        with ExitStack() as stack:
            stack.enter_context(patch("apps.core.mail.waiting", side_effect=RuntimeError))
            self.assertFires({"MetricsIncomplete"})
