"""Refused redemptions are counted by local day, service and reason, whatever else happens, and cost no statement."""

import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

import time_machine
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.test import override_settings
from django.utils import timezone

from apps.authentication import services as authentication
from apps.users.tests.factories import make_customer
from apps.vouchers import services, tasks
from apps.vouchers.models import RefusalCount, RefusalWriter, VoucherType
from apps.vouchers.services import redemption, refusals
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import (
    held,
    make_expired_voucher,
    make_type,
    make_used_voucher,
    make_voucher,
    unknown_code,
)
from tests.support.cases import ApiTestCase, CommittingTestCase, RaceTestCase
from tests.support.server import Server

URL = "/api/vouchers/redeem/"
SERVICE = "exam_results"


def rows():
    """What is stored, once this process has written: {(service, reason): number}, of all days."""
    services.write_refusals()
    return {(row.service_type, row.reason): row.number for row in RefusalCount.objects.all()}


class RefusalTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def redeem(self, code, **fields):
        return self.api.post(URL, {"code": code, **fields})

    def test_each_reason_is_counted_under_the_service_of_the_voucher(self):
        make = partial(make_voucher, owner=self.customer)
        cases = [
            (make_used_voucher(owner=self.customer), "voucher_used_up"),
            (make_expired_voucher(owner=self.customer), "voucher_expired"),
            (make(**held(Hold.SUSPENDED)), "by_staff"),
            (make(**held(Hold.VOIDED)), "by_staff"),
            (make(**held(Hold.REFUNDED)), "refunded"),
            (make(**held(Hold.REFUND_PENDING)), "refund_pending"),
            (make(**held(Hold.DISPUTED)), "disputed"),
            (make(**held(Hold.WITHDRAWN)), "withdrawn"),
        ]
        expected = dict.fromkeys(((SERVICE, reason) for _, reason in cases), 2) | {(SERVICE, "by_staff"): 4}
        for voucher, _ in cases:
            for _ in range(2):
                self.assertEqual(self.redeem(voucher.code).status_code, 409)
        self.assertEqual(rows(), expected)

    def test_what_names_no_voucher_is_counted_under_the_service_that_was_named(self):
        make_type()
        for code, reason in ((unknown_code(), "voucher_not_found"), ("no code", "code_malformed")):
            for service in ({}, {"service_type": SERVICE}):
                self.assertGreaterEqual(self.redeem(code, **service).status_code, 400)
            self.assertEqual(rows().pop(("", reason)), 1)
            self.assertEqual(rows().pop((SERVICE, reason)), 1)

    def test_a_mismatch_is_counted_under_the_service_that_was_named(self):
        make_type(service_type="placement")
        voucher = make_voucher(owner=self.customer)
        for service in ("placement", "no_such_service"):
            self.assertProblem(self.redeem(voucher.code, service_type=service), 409, "service_mismatch")
        self.assertEqual(rows(), {("placement", "service_mismatch"): 1, ("", "service_mismatch"): 1})

    def test_a_service_that_only_the_voucher_has_is_counted(self):
        voucher = make_expired_voucher(owner=self.customer)
        VoucherType.objects.update(service_type="renamed")
        for service in ({}, {"service_type": SERVICE}):
            self.assertProblem(self.redeem(voucher.code, **service), 409, "voucher_expired")
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 2})

    def test_what_the_request_itself_breaks_is_counted(self):
        make_type()
        voucher = make_voucher(owner=self.customer)
        bodies: tuple[Any, ...] = ({}, [], {"code": None}, {"code": voucher.code, "details": "text"})
        for body in bodies:
            self.assertProblem(self.api.post(URL, body), 400, "validation_error")
        self.assertEqual(self.api.post(URL, "{", content_type="application/json").status_code, 400)
        self.assertEqual(self.api.post(URL, "x", content_type="text/plain").status_code, 415)
        self.assertProblem(self.redeem(voucher.code, service_type=[SERVICE]), 400, "validation_error")
        key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "k" * 256}
        self.assertProblem(
            self.api.post(URL, {"code": voucher.code, "service_type": SERVICE}, **key),
            400,
            "idempotency_key_invalid",
        )
        self.assertEqual(
            rows(),
            {
                ("", "validation_error"): 5,
                ("", "parse_error"): 1,
                ("", "unsupported_media_type"): 1,
                (SERVICE, "idempotency_key_invalid"): 1,
            },
        )

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REDEEM_FAILURES_PER_ACCOUNT=(1, 900))
    def test_the_limit_on_unknown_codes_is_counted(self):
        voucher = make_voucher(owner=self.customer)
        self.redeem(unknown_code())
        self.assertProblem(self.redeem(voucher.code, service_type=SERVICE), 429, "rate_limited")
        self.assertEqual(rows(), {("", "voucher_not_found"): 1, (SERVICE, "rate_limited"): 1})

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_USER=(1, 60))
    def test_the_limit_on_requests_is_counted_here_and_not_elsewhere(self):
        self.assertEqual(self.redeem(make_voucher(owner=self.customer).code).status_code, 200)
        self.assertEqual(self.api.get("/api/vouchers/my-vouchers/").status_code, 429)
        self.assertEqual(rows(), {})
        self.assertProblem(self.redeem(unknown_code()), 429, "rate_limited")
        self.assertEqual(rows(), {("", "rate_limited"): 1})

    def test_nothing_else_is_counted(self):
        voucher = make_voucher(owner=self.customer)
        key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "once"}
        for _ in range(2):  # the second time the voucher is used up, and the answer is that of the first
            self.assertEqual(self.api.post(URL, {"code": voucher.code}, **key).status_code, 200)
        self.assertEqual(self.client_class().post(URL, {"code": voucher.code}).status_code, 401)
        self.assertEqual(self.api.get(URL).status_code, 405)
        with (
            patch.object(services, "redeem_voucher", side_effect=OperationalError),
            self.assertLogs("apps.core.api.problems", "ERROR"),
        ):
            self.assertEqual(self.redeem(voucher.code).status_code, 503)
        self.assertEqual(rows(), {})

    def test_a_refused_request_with_a_key_is_counted_once(self):
        voucher = make_used_voucher(owner=self.customer)
        response = self.api.post(URL, {"code": voucher.code}, HTTP_IDEMPOTENCY_KEY="once")
        self.assertProblem(response, 409, "voucher_used_up")
        self.assertEqual(rows(), {(SERVICE, "voucher_used_up"): 1})

    def test_a_refusal_costs_no_query(self):
        voucher = make_used_voucher(owner=self.customer)
        with self.assertQueries(3):  # who it is, the attempt, and the look at why
            self.assertEqual(self.redeem(voucher.code).status_code, 409)

    def test_no_code_is_stored(self):
        make_type()
        codes = [unknown_code() for _ in range(3)]
        for code in codes:
            self.redeem(code, service_type=code)
            self.redeem("no code", service_type=code)
        self.assertEqual(rows(), {("", "voucher_not_found"): 3, ("", "code_malformed"): 3})

    def test_a_local_day_begins_at_local_midnight(self):
        # Clocks in New York go forward on 8 March 2026: a day of 23 hours.
        new_york = override_settings(TIME_ZONE="America/New_York")
        moments = {
            datetime(2026, 3, 8, 4, 59, 59, tzinfo=UTC): date(2026, 3, 7),
            datetime(2026, 3, 8, 5, 0, tzinfo=UTC): date(2026, 3, 8),
            datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC): date(2026, 3, 8),
            datetime(2026, 3, 9, 4, 0, tzinfo=UTC): date(2026, 3, 9),
        }
        with new_york:
            for moment in moments:
                with time_machine.travel(moment, tick=False):
                    services.count_refusal(reason="voucher_expired")
            rows()
        days = sorted(RefusalCount.objects.values_list("day", "number"))
        self.assertEqual(days, [(date(2026, 3, 7), 1), (date(2026, 3, 8), 2), (date(2026, 3, 9), 1)])


class RefusalStepByStepTests(RefusalTests):
    """With the form of redeeming for other databases."""

    def setUp(self):
        form = patch.object(redemption, "ONE_STATEMENT", ())
        form.start()
        self.addCleanup(form.stop)
        super().setUp()


class WritingTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        make_type()

    def count(self, number=1, service=SERVICE, reason="voucher_expired"):
        for _ in range(number):
            services.count_refusal(reason=reason, requested_service=service)

    def test_counts_add_up_from_writing_to_writing(self):
        for number in (2, 3):
            self.count(number)
            services.write_refusals()
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 5})

    def test_nothing_is_written_if_nothing_was_counted(self):
        with self.assertQueries(0):
            services.write_refusals()

    def test_what_could_not_be_written_is_written_the_next_time(self):
        self.count(2)
        with (
            patch.object(refusals, "_add_to_rows", side_effect=DatabaseError),
            self.assertRaises(DatabaseError),
        ):
            services.write_refusals()
        self.assertEqual((RefusalCount.objects.count(), RefusalWriter.objects.count()), (0, 0))
        self.count()
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 3})

    def write_without_an_answer(self):
        """Write, and lose the answer to the COMMIT."""
        store = refusals.store

        def lose(batch):
            store(batch)
            raise OperationalError("server closed the connection unexpectedly")

        with patch.object(refusals, "store", lose), self.assertRaises(OperationalError):
            services.write_refusals()

    def test_what_was_written_without_an_answer_is_not_written_again(self):
        self.count(2)
        self.write_without_an_answer()
        self.count()
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 3})

    def test_control_without_its_number_it_would_be(self):
        self.count(2)
        self.write_without_an_answer()
        RefusalWriter.objects.update(last_batch=0)
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 4})

    def test_services_that_nobody_has_fill_neither_memory_nor_table(self):
        for number in range(3 * refusals.MOST_KEPT):
            self.count(service=f"service-{number}")
        self.count(service="long" * 20)
        self.count(service="nul\x00")
        self.count(service="\ud800")
        self.assertLessEqual(len(refusals._buffer._counts), refusals.MOST_KEPT + 1)
        self.assertEqual(rows(), {("", "voucher_expired"): 3 * refusals.MOST_KEPT + 3})

    def test_among_them_a_real_service_is_counted_once_it_is_known(self):
        self.count()
        services.write_refusals()
        for number in range(refusals.MOST_KEPT):
            self.count(service=f"service-{number}")
        self.count(2)
        self.assertEqual(
            rows(), {(SERVICE, "voucher_expired"): 3, ("", "voucher_expired"): refusals.MOST_KEPT}
        )

    def test_a_request_is_answered_though_no_thread_can_be_started(self):
        api = self.signed_in(make_customer())
        with (
            override_settings(WRITE_REFUSALS_EVERY=3600),
            patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")) as start,
        ):
            response = api.post(URL, {"code": unknown_code()})
        self.assertTrue(start.called)
        self.assertProblem(response, 404, "voucher_not_found")
        self.assertEqual(rows(), {("", "voucher_not_found"): 1})

    def test_old_days_are_removed_and_the_first_that_is_kept_stays(self):
        now = timezone.now()
        oldest = timezone.localdate(now - settings.KEEP_REFUSALS)
        for day in (oldest - timedelta(days=1), oldest, timezone.localdate(now)):
            RefusalCount.objects.create(day=day, service_type=SERVICE, reason="voucher_expired", number=1)
        RefusalWriter.objects.create(written_at=now - timedelta(days=8))
        recent = RefusalWriter.objects.create(written_at=now - timedelta(days=6))
        self.assertEqual(tasks.remove_old_refusals(), 1)
        self.assertEqual(min(RefusalCount.objects.values_list("day", flat=True)), oldest)
        self.assertEqual(list(RefusalWriter.objects.all()), [recent])


class TimerTests(CommittingTestCase):
    def wait_for(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline, "never")
            time.sleep(0.01)

    def test_a_thread_writes_soon_and_again_after_a_failure(self):
        make_type()
        failed = patch.object(refusals, "_add_to_rows", side_effect=DatabaseError)
        with override_settings(WRITE_REFUSALS_EVERY=0.05):
            with failed, self.assertLogs("apps.vouchers.services.refusals", "WARNING") as caught:
                services.count_refusal(reason="voucher_expired", requested_service=SERVICE)
                self.wait_for(lambda: caught.records)
            self.wait_for(RefusalCount.objects.exists)
            self.wait_for(lambda: refusals._buffer._timer is None)
        self.assertEqual(rows(), {(SERVICE, "voucher_expired"): 1})

    def test_a_process_that_ends_writes_what_it_has_counted(self):
        token = f"Bearer {authentication.open_session(user=make_customer()).access}"
        server = Server()
        self.addCleanup(server.kill)
        body = b'{"code": "%b"}' % unknown_code().encode()
        for _ in range(3):
            self.assertEqual(server.post(URL, body, {"Authorization": token}), 404)
        server.stop(60)  # before a thread of the server writes, unless the machine is very busy
        self.assertEqual(RefusalCount.objects.get().number, 3)


class WritersTogether(RaceTestCase):
    """Threads that count in one process while it writes, and other processes that write the same rows."""

    THREADS, EACH = 3, 40

    def race(self):
        """How many of the refusals that were counted are stored."""
        RefusalCount.objects.all().delete()
        others = [refusals.RefusalBuffer() for _ in range(3)]

        def count():
            for _ in range(self.EACH):
                services.count_refusal(reason="voucher_expired", requested_service=SERVICE)

        def count_and_write(buffer):
            for number in range(self.EACH):
                # In another order in each: rows that were locked in it would be a deadlock.
                buffer.add(
                    f"reason-{number * 7 % 5 if buffer is others[0] else number % 5}", SERVICE, SERVICE
                )
                if number % 8 == 7:
                    buffer.write()

        def write():
            for _ in range(4):
                services.write_refusals()

        self.together(
            *[count] * self.THREADS, write, write, *(partial(count_and_write, each) for each in others)
        )
        services.write_refusals()
        return sum(RefusalCount.objects.values_list("number", flat=True))

    def test_every_refusal_is_stored_once(self):
        make_type()
        for round_no in range(3):
            self.assertEqual(self.race(), (self.THREADS + 3) * self.EACH, f"round {round_no}")

    @skipUnless(connection.vendor == "postgresql", "SQLite lets one write after the other")
    def test_the_same_race_catches_a_writer_that_reads_first(self):
        make_type()

        def read_and_write(counts, known):
            for refusal, number in sorted(counts.items()):
                key = {"day": refusal.day, "service_type": refusal.service_type, "reason": refusal.reason}
                row = RefusalCount.objects.filter(**key).first()
                time.sleep(0.001)
                RefusalCount.objects.update_or_create(
                    **key, defaults={"number": number + (row.number if row else 0)}
                )

        with patch.object(refusals, "_add_to_rows", read_and_write):
            expected = (self.THREADS + 3) * self.EACH
            self.assertCaught(self.race, lambda number: number != expected)
