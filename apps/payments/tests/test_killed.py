"""A server that is killed in the middle of a purchase: nobody loses or gains by it."""

import json
import threading
import time
from datetime import timedelta

from django.db import transaction
from django.test import tag
from django.utils import timezone

from apps.payments.models import IdempotencyKey, Transaction
from apps.users.tests.factories import PASSWORD
from apps.vouchers.models import Voucher
from tests.support.books import broken_rules
from tests.support.cases import CommittingTestCase
from tests.support.server import Server

from .money import CONFIRM, INTENT
from .test_reconcile import ReconcileTestCase

QUANTITY = 2
CREATE, FETCH = ("POST", "/v1/payment_intents"), ("GET", "/v1/payment_intents/")


@tag("slow")
class KilledTests(ReconcileTestCase, CommittingTestCase):
    def setUp(self):
        super().setUp()
        who = {"email": self.customer.email, "password": PASSWORD}
        access = self.client.post("/api/auth/login/", who).json()["access"]
        self.headers = {"Authorization": f"Bearer {access}"}
        self.server = self.started()

    def started(self):
        server = Server(self.stripe.base_url)
        self.addCleanup(server.kill)
        return server

    def send(self, path, body, **headers):
        """A request to the server, in a thread; what it was answered is in the list once the thread has ended."""
        answers = []
        request = (path, json.dumps(body).encode(), self.headers | headers)
        thread = threading.Thread(target=lambda: answers.append(self.server.post(*request)), daemon=True)
        thread.start()
        return thread, answers

    def kill_while_stripe_answers(self, call, path, body, **headers):
        """The server is killed when Stripe has done what this call asks for and has not answered yet."""
        method, address = call
        self.stripe.add_fault(method=method, path=address, effect_then_delay=60)  # nobody waits for its end
        thread, answers = self.send(path, body, **headers)
        self.wait_until(lambda: not self.stripe.faults())
        time.sleep(0.1)
        self.server.kill()
        thread.join(self.patience)
        self.assertEqual(answers, [None])

    def wait_until(self, happens):
        deadline = time.monotonic() + self.patience
        while not happens():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def some_minutes_pass(self):
        """Long enough for the reconciliation to look, and for the request to count as dead."""
        Transaction.objects.update(created_at=timezone.now() - timedelta(minutes=10))
        IdempotencyKey.objects.update(running_until=timezone.now() - timedelta(minutes=9))

    def assertWhole(self, bought):
        """Each of so many purchases is completed with its vouchers, the books are in order, and Stripe agrees."""
        statuses = list(Transaction.objects.values_list("status", flat=True))
        self.assertEqual(statuses, ["completed"] * bought)
        self.assertEqual(Voucher.objects.count(), bought * QUANTITY)
        self.assertEqual(broken_rules(), {})
        self.assertEqual(self.run_it(), [])

    def test_between_stripes_success_and_our_commit(self):
        intent_id = self.start(QUANTITY).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        self.kill_while_stripe_answers(FETCH, CONFIRM, {"payment_intent_id": intent_id})
        self.assertEqual((Transaction.objects.get().status, Voucher.objects.count()), ("pending", 0))
        self.assertEqual(broken_rules(), {})
        self.some_minutes_pass()
        self.assertEqual(self.run_it(expect=1), [("paid_not_fulfilled", False)])
        self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertEqual(self.api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code, 200)
        self.assertWhole(bought=1)

    @tag("pooled")
    def test_while_it_waits_for_the_rows_lock(self):
        intent_id = self.start(QUANTITY).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        before = len(self.stripe.requests())
        with transaction.atomic():
            Transaction.objects.select_for_update().get()
            thread, answers = self.send(CONFIRM, {"payment_intent_id": intent_id})
            self.wait_until(lambda: len(self.stripe.requests()) > before)
            time.sleep(0.2)
            self.server.kill()
        thread.join(self.patience)
        self.assertEqual((answers, Transaction.objects.get().status), ([None], "pending"))
        self.some_minutes_pass()
        self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertWhole(bought=1)

    def killed_before_the_id_is_noted(self):
        """A purchase under a key of the client's, and the intent that Stripe made for it."""
        body = {"voucher_type_id": self.type.pk, "quantity": QUANTITY}
        self.kill_while_stripe_answers(CREATE, INTENT, body, **{"Idempotency-Key": "once"})
        self.assertEqual(Transaction.objects.get().stripe_payment_intent_id, None)
        self.assertEqual(broken_rules(), {})
        self.some_minutes_pass()
        (event,) = self.stripe.events("payment_intent.created")
        return body, event["data"]["object"]["id"]

    def test_between_create_and_noting_the_id_and_the_buyer_asks_again(self):
        body, intent_id = self.killed_before_the_id_is_noted()
        self.assertEqual(self.run_it("--apply"), [])
        again = self.api.post(INTENT, body, headers={"Idempotency-Key": "once"})
        self.assertEqual(again.json()["payment_intent_id"], intent_id)
        self.stripe.pay(intent_id)
        self.assertEqual(self.api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code, 200)
        self.assertWhole(bought=1)

    def test_between_create_and_noting_the_id_and_it_is_paid_all_the_same(self):
        _, intent_id = self.killed_before_the_id_is_noted()
        self.stripe.pay(intent_id)
        self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertWhole(bought=1)

    def test_between_create_and_noting_the_id_and_nobody_comes_back(self):
        _, intent_id = self.killed_before_the_id_is_noted()
        Transaction.objects.update(created_at=timezone.now() - timedelta(hours=25))
        created = int((timezone.now() - timedelta(hours=25)).timestamp())
        self.stripe.override_payment_intent(intent_id, {"created": created})
        self.assertEqual(self.run_it("--apply"), [("abandoned", True)])
        self.assertEqual(self.stripe.payment_intent(intent_id)["status"], "canceled")
        self.assertEqual((Transaction.objects.get().status, Voucher.objects.count()), ("failed", 0))
        self.assertEqual((broken_rules(), self.run_it()), ({}, []))

    def test_in_the_middle_of_many_confirmations(self):
        begun = 0
        for answered in (1, 4, 7):
            if begun:
                self.server = self.started()
            paid = [self.start(QUANTITY).json()["payment_intent_id"] for _ in range(10)]
            for intent_id in paid:
                self.stripe.pay(intent_id)
            sent = [self.send(CONFIRM, {"payment_intent_id": intent_id}) for intent_id in paid]
            self.wait_until(lambda: sum(len(answers) for _, answers in sent) >= answered)  # noqa: B023 - at once
            self.server.kill()
            for thread, _ in sent:
                thread.join(self.patience)
            begun += len(paid)
            promised = sum(answers == [200] for _, answers in sent)
            self.assertGreaterEqual(
                Transaction.objects.filter(status="completed").count() - begun + 10, promised
            )
            self.assertEqual(broken_rules(), {})
            self.some_minutes_pass()
            self.run_it("--apply")
            self.assertWhole(bought=begun)
