"""Which thread of a web process serves a request, and which process takes a connection: gunicorn as it is set up."""

import json
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from statistics import median

from django.db import connection, transaction
from django.test import SimpleTestCase, tag

from apps.authentication import services as sessions
from apps.authentication.tests.second_factor import code_of, give_app
from apps.payments.tests.factories import make_completed_transaction
from apps.users import email_changes
from apps.users.email_links import cancellation_url
from apps.users.tests.factories import make_customer, make_staff, make_user
from apps.users.unsubscribe_links import token_for
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase, RaceTestCase
from tests.support.server import START, Server
from tests.support.stripe import StripeTestCase
from tests.test_access import TABLE
from tests.test_web_server import PATIENCE, echo_server, get
from voucher_project import web_lanes

PURCHASE, REDEEM = "/api/vouchers/purchase/", "/api/vouchers/redeem/"


class TableTests(StripeTestCase, ApiTestCase):
    """The table of operations in web_lanes.py."""

    def test_every_operation_has_one_lane(self):
        self.assertEqual(sorted([*web_lanes.FAST, *web_lanes.POOLED]), sorted(TABLE))

    def test_a_request_is_known_by_its_first_line(self):
        for line, is_fast in {
            "GET /api/vouchers/types/ HTTP/1.1": True,
            "HEAD /api/vouchers/types/ HTTP/1.1": True,
            "GET /api/vouchers/my-vouchers/?page=2 HTTP/1.1": True,
            "GET /api/vouchers/detail/ABCD-EFGH/ HTTP/1.1": True,
            "OPTIONS /api/vouchers/purchase/ HTTP/1.1": True,
            "GET /api/vouchers/detail/ABCD-EFGH/pdf/ HTTP/1.1": False,
            "GET /api/vouchers/types HTTP/1.1": False,
            "GET /api/vouchers/types/more/ HTTP/1.1": False,
            "POST /api/vouchers/types/ HTTP/1.1": False,
            "GET //api/vouchers/types/ HTTP/1.1": False,
            "GET http://example.org/api/vouchers/types/ HTTP/1.1": False,
            "GET /api/vouchers/detail/x?/api/vouchers/types/ HTTP/1.1": False,
            "GET /admin/ HTTP/1.1": False,
            "POST /api/payments/webhook/ HTTP/1.1": False,
        }.items():
            with self.subTest(line):
                self.assertEqual(web_lanes.is_fast(f"{line}\r\nHost: a".encode()), is_fast)

    def test_nothing_in_the_fast_lane_calls_stripe(self):
        customer, staff = make_customer(), make_staff(email="s@example.org")
        names = {
            "transaction_id": make_completed_transaction(user=customer).pk,
            "code": Voucher.objects.get().shown_code,
        }
        refresh = [sessions.open_session(user=customer).refresh for _ in range(2)]
        email_changes.request_email_change(user=customer, new_email="new@example.org")
        stop = cancellation_url(customer.pk, customer.email).partition("#token=")[2]
        bodies = {
            "POST /api/auth/refresh/": {"refresh": refresh[0]},
            "POST /api/auth/token/refresh/": {"refresh": refresh[1]},
            "POST /api/auth/second-factor/": {"code": code_of(give_app(staff))},
            "POST /api/auth/token/verify/": {"token": access_of(customer)},
            "POST /api/auth/resend-confirmation/": {"email": customer.email},
            "POST /api/auth/change-email-cancel/": {"token": stop},
            "POST /api/users/unsubscribe/": {"token": token_for(customer.pk)},
            "POST /api/vouchers/redeem/": {"code": names["code"]},
        }
        for operation in web_lanes.FAST:
            method, path = operation.split()
            client = self.signed_in(staff if "revenue" in path or "second-factor" in path else customer)
            body = json.dumps(bodies.get(operation, {}))
            response = client.generic(method, path.format(**names), body, content_type="application/json")
            self.assertIn(response.status_code, (200, 202, 204, 205), operation)
        self.assertEqual(self.stripe.requests(), [])
        self.signed_in(customer).post(PURCHASE, {"voucher_type_id": make_type().pk})
        self.assertNotEqual(self.stripe.requests(), [], "a purchase does, so it would be seen")


@tag("any-database")
class LaneTests(StripeTestCase, RaceTestCase):
    """One process of the application."""

    def server(self, *, worker="", **environment):
        if worker:
            environment["GUNICORN_CMD_ARGS"] = f"--worker-class tests.support.workers.{worker}"
        server = Server(self.stripe.base_url, WEB_THREADS="8", **environment)
        self.addCleanup(server.kill)
        self.assertEqual(get(server.port, patience=START), 200)
        return server

    def post(self, server, access, path, body):
        """A request in a thread; the thread, and a list that will have the answer's status."""
        headers, answers = {"Authorization": f"Bearer {access}"}, []
        call = lambda: answers.append(server.post(path, json.dumps(body).encode(), headers))  # noqa: E731
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread, answers

    def wait_until(self, happens):
        deadline = time.monotonic() + self.patience
        while not happens():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def hold_purchases(self, server):
        """Sixteen people who buy again and again, while Stripe answers nobody; the first call is under way."""
        kind, over = make_type().pk, threading.Event()
        self.addCleanup(over.set)
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", delay=60, status=500, times=100_000)

        def buy(access):
            while not over.is_set():
                self.post(server, access, PURCHASE, {"voucher_type_id": kind})[0].join()

        for access in [access_of(make_user()) for _ in range(16)]:
            threading.Thread(target=buy, args=[access], daemon=True).start()
        self.wait_until(lambda: self.stripe.faults()[0]["times"] < 100_000)

    def test_a_stripe_that_hangs_keeps_no_reader_and_no_redeemer_waiting(self):
        server, customer = self.server(), make_customer()
        access, vouchers = access_of(customer), [make_voucher(owner=customer) for _ in range(10)]
        self.hold_purchases(server)
        for voucher in vouchers:
            self.assertEqual(get(server.port), 200)
            thread, answers = self.post(server, access, REDEEM, {"code": voucher.shown_code})
            thread.join(PATIENCE)
            self.assertEqual(answers, [200])

    def test_control_it_holds_up_a_process_with_one_thread(self):
        server = self.server(worker="OneLanePatientWorker")
        self.hold_purchases(server)
        self.assertIsNone(get(server.port, patience=1.5))

    @contextmanager
    def waiting_redemptions(self, server):
        """Three redemptions that wait for a lock of this test until the block has run."""
        customer = make_customer()
        access, codes = access_of(customer), [make_voucher(owner=customer).shown_code for _ in range(3)]
        with transaction.atomic():  # on SQLite this locks all rows for all writers
            list(Voucher.objects.select_for_update())
            sent = [self.post(server, access, REDEEM, {"code": code}) for code in codes]
            self.wait_until(self.is_waited_for)
            yield
        for thread, answers in sent:
            thread.join(self.patience)
            self.assertEqual(answers, [200])

    def is_waited_for(self):
        """Whether somebody waits for a row that is locked. SQLite does not tell."""
        if connection.vendor == "sqlite":
            time.sleep(0.5)
            return True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(cursor.fetchone())

    def test_a_redemption_that_waits_for_a_lock_keeps_nobody_else_waiting(self):
        server = self.server()
        with self.waiting_redemptions(server):
            self.assertEqual([get(server.port) for _ in range(5)], [200] * 5)

    def test_control_it_holds_up_a_lane_that_knows_no_overdue_requests(self):
        server = self.server(worker="PatientWorker")
        with self.waiting_redemptions(server):
            self.assertIsNone(get(server.port, patience=1.5))


class ConnectionTests(SimpleTestCase):
    """A server whose answers say what it was asked, and by which process."""

    def serve(self, **environment):
        server = echo_server(**environment)
        self.addCleanup(server.kill)
        return server

    def test_a_client_that_takes_no_answer_keeps_the_fast_lane_from_nobody(self):
        server = self.serve(SEND_SECONDS="60")
        wire = self.enterContext(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
        wire.sendall(b"GET /api/test/?much HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(wire.recv(1))
        self.assertEqual([get(server.port, "/api/test/") for _ in range(3)], [200] * 3)

    def serve_by_two(self, worker):
        """A server of two processes of this class, both of which are there."""
        options = f"--worker-class tests.support.workers.{worker}"
        server = self.serve(WEB_CONCURRENCY="2", GUNICORN_CMD_ARGS=options)
        deadline = time.monotonic() + START
        while not self.processes(server)[0]:
            self.assertLess(time.monotonic(), deadline)
        return server

    def processes(self, server):
        """Eight connections at once that are kept alive: how many of them each process has, the fewest first."""
        with ExitStack() as stack:
            connections = [HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE) for _ in range(8)]
            for one in connections:
                stack.callback(one.close)
                one.connect()
            for _ in range(2):  # the second request of each comes to the process that has the connection
                answers = [self.ask(one) for one in connections]
        counts = Counter(answers)
        return [0, 8] if len(counts) == 1 else sorted(counts.values())

    @staticmethod
    def ask(one):
        one.request("GET", "/process")
        return one.getresponse().read()

    def test_connections_that_are_kept_alive_spread_over_the_processes(self):
        server = self.serve_by_two(worker="CourteousWorker")
        # Most of the times: a process that has not yet seen its last connections end takes fewer than it might.
        self.assertGreaterEqual(median(self.processes(server)[0] for _ in range(5)), 2)

    def test_control_they_do_not_where_each_process_takes_what_it_gets(self):
        server = self.serve_by_two(worker="GreedyWorker")
        self.assertLess(min(self.processes(server)[0] for _ in range(20)), 2)

    def test_no_request_is_lost_while_processes_are_renewed(self):
        options = "--max-requests 20 --max-requests-jitter 0"
        server = self.serve(WEB_CONCURRENCY="2", GUNICORN_CMD_ARGS=options)
        for path in ("/api/test/", "/elsewhere/"):
            self.assertEqual([get(server.port, path) for _ in range(100)], [200] * 100)


def access_of(user):
    """An access token of a new session."""
    return sessions.open_session(user=user).access
