"""The header Idempotency-Key on purchase and create-payment-intent."""

import json
from datetime import timedelta
from typing import Any

import stripe
from django.test import tag
from django.utils import timezone

from apps.payments import gateway, services, stripe_http, tasks
from apps.payments.models import IdempotencyKey, Transaction
from apps.payments.services import idempotency_keys
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase, RaceTestCase
from tests.support.stripe import StripeTestCase

from .money import CONFIRM, INTENT, PURCHASE

OLDER_INTENT = "/api/payments/create-intent/"


class KeyTestCase(StripeTestCase):
    signed_in: Any

    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)
        self.type = make_type()

    def send(self, url=PURCHASE, key="one", api=None, **changes):
        body = {"voucher_type_id": self.type.pk, "quantity": 2, **changes}
        headers = {} if key is None else {"Idempotency-Key": key}
        return (api or self.api).post(url, body, headers=headers)


class ReplayTests(KeyTestCase, ApiTestCase):
    def test_the_first_answer_comes_again_and_nothing_is_done_twice(self):
        for url in (PURCHASE, INTENT, OLDER_INTENT):
            with self.subTest(url):
                first = self.send(url, key=url)
                again = [
                    self.send(url, key=url),
                    self.send(url, key=url, api=self.signed_in(self.customer)),
                ]
                self.assertEqual(first.status_code, 201, first.content)
                self.assertNotIn("Idempotent-Replayed", first.headers)
                for response in again:
                    self.assertEqual((response.status_code, response.json()), (201, first.json()))
                    self.assertEqual(response.headers["Idempotent-Replayed"], "true")
                    self.assertTrue(response.json()["client_secret"])
        self.assertEqual(Transaction.objects.count(), 3)
        created = [
            call
            for call in self.stripe.requests()
            if (call["method"], call["path"]) == ("POST", "/v1/payment_intents")
        ]
        self.assertEqual(len(created), 3)

    def test_it_is_still_the_first_answer_after_the_payment(self):
        first = self.send()
        intent_id = first.json()["transaction"]["stripe_payment_intent_id"]
        self.stripe.pay(intent_id)
        self.api.post(CONFIRM, {"payment_intent_id": intent_id})
        self.assertEqual(self.send().json(), first.json())
        self.assertEqual(Voucher.objects.count(), 2)

    def test_it_comes_before_any_rule(self):
        first = self.send()
        VoucherType.objects.update(is_active=False, price=99)
        self.assertEqual(self.send().json(), first.json())
        self.assertProblem(self.send(key="two"), 404, "voucher_type_not_found")

    def test_a_free_type_is_issued_once(self):
        self.type = make_type(price=0)
        first = self.send()
        self.assertEqual((first.status_code, len(first.json()["vouchers"])), (201, 2))
        again = self.send()
        self.assertEqual((again.json(), again.headers["Idempotent-Replayed"]), (first.json(), "true"))
        self.assertEqual(Voucher.objects.count(), 2)

    def test_another_body_or_address_under_the_same_key_is_refused(self):
        self.send()
        self.assertProblem(self.send(quantity=3), 422, "idempotency_key_reused")
        self.assertProblem(self.send(INTENT), 422, "idempotency_key_reused")
        self.assertEqual(Transaction.objects.count(), 1)

    def test_a_key_belongs_to_its_user(self):
        self.send()
        self.assertEqual(self.send(api=self.signed_in(make_user())).status_code, 201)
        self.assertEqual(Transaction.objects.count(), 2)

    def test_keys_are_printable_and_not_too_long(self):
        for key in ("", " ", "x" * 256, "gr\xfcn", "a\tb"):
            with self.subTest(key):
                self.assertProblem(self.send(key=key), 400, "idempotency_key_invalid")
        self.assertEqual(Transaction.objects.count(), 0)
        self.assertEqual(self.send(key="x" * 255).status_code, 201)

    def test_refused_requests_are_not_kept(self):
        self.type = make_type(price="0.10")
        for body in ({"voucher_type_id": 10**9}, {"quantity": 1}, {"quantity": 0}):
            self.assertIn(self.send(**body).status_code, (400, 404))
        self.assertEqual(IdempotencyKey.objects.count(), 0)
        VoucherType.objects.update(price=10)
        self.assertEqual(self.send(quantity=1).status_code, 201)

    def test_no_client_secret_is_kept(self):
        secret = self.send().json()["client_secret"]
        self.assertNotIn(secret, str(IdempotencyKey.objects.values()))

    def test_old_keys_go(self):
        self.send()
        self.assertEqual(services.remove_old_keys(timezone.now() + timedelta(hours=47)), 0)
        self.assertEqual(services.remove_old_keys(timezone.now() + timedelta(hours=49)), 1)

    def test_without_a_key_each_request_is_a_purchase(self):
        self.send(key=None)
        self.send(key=None)
        self.assertEqual(Transaction.objects.count(), 2)


class CanceledTests(KeyTestCase, ApiTestCase):
    """A purchase that can't be paid any more is not answered as one that can."""

    def assertCanceled(self, **options):
        events = len(self.stripe.events("payment_intent.created"))
        for _ in range(2):
            self.assertProblem(self.send(**options), 409, "purchase_canceled")
        self.assertEqual(Transaction.objects.get().status, "failed")
        self.assertEqual(
            (len(self.stripe.events("payment_intent.created")), Voucher.objects.count()), (events, 0)
        )

    def test_one_that_was_canceled_at_stripe(self):
        for url in (PURCHASE, INTENT, OLDER_INTENT):
            with self.subTest(url):
                self.send(url, key=url)
                gateway.cancel_intent(Transaction.objects.get().stripe_payment_intent_id or "")
                self.assertCanceled(url=url, key=url)
                self.assertEqual(self.send(url, key=f"{url} anew").status_code, 201)
                IdempotencyKey.objects.all().delete()
                Transaction.objects.all().delete()

    def test_one_that_was_abandoned(self):
        self.send()
        self.abandon()
        self.assertCanceled()

    def test_one_that_was_abandoned_before_stripe_ever_heard_of_it(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=2)
        self.assertProblem(self.send(), 503, "payment_provider_unavailable")
        self.abandon()
        self.assertCanceled()

    def test_one_that_was_canceled_while_its_first_answer_was_lost(self):
        self.send()
        IdempotencyKey.objects.update(answer=None, running_until=None)
        gateway.cancel_intent(Transaction.objects.get().stripe_payment_intent_id or "")
        self.assertCanceled()

    def test_one_that_was_given_up_and_paid_all_the_same_keeps_its_answer(self):
        first = self.send()
        Transaction.objects.update(status="failed")
        intent_id = first.json()["transaction"]["stripe_payment_intent_id"]
        self.stripe.pay(intent_id)
        self.assertEqual(self.send().json(), first.json())
        self.assertEqual(self.api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code, 200)
        self.assertEqual(Voucher.objects.count(), 2)

    def abandon(self):
        """Let nobody have paid for a day, and the reconciliation have run."""
        Transaction.objects.update(created_at=timezone.now() - timedelta(hours=25))
        tasks.reconcile(hours=2)


class TroubleTests(KeyTestCase, ApiTestCase):
    def test_after_an_effect_then_an_error_the_same_key_gives_the_same_intent(self):
        for trouble in (500, "drop"):
            with self.subTest(trouble):
                self.stripe.reset()
                self.stripe.add_fault(
                    method="POST", path="/v1/payment_intents", effect_then_error=trouble, times=1
                )
                first = self.send(key=f"key {trouble}")
                if trouble == 500:  # which Stripe repeats, to the second try as well
                    self.assertProblem(first, 503, "payment_provider_unavailable")
                answer = self.send(key=f"key {trouble}")
                self.assertEqual(answer.status_code, 201, answer.content)
                transaction = Transaction.objects.latest("pk")
                intent_id = answer.json()["transaction"]["stripe_payment_intent_id"]
                self.assertEqual(intent_id, transaction.stripe_payment_intent_id)
                self.stripe.pay(intent_id)
                for _ in range(2):
                    self.api.post(CONFIRM, {"payment_intent_id": intent_id})
                self.assertEqual(transaction.vouchers.count(), 2)
        self.assertEqual(Transaction.objects.count(), 2)

    def test_clocks_may_differ_by_five_minutes(self):
        for seconds in (-299, 0, 299):
            with self.subTest(seconds):
                key = f"key {seconds}"
                self.stripe.reset()
                self.stripe.add_fault(method="POST", path="/v1/payment_intents", effect_then_error=500)
                self.assertProblem(self.send(key=key), 503, "payment_provider_unavailable")
                begun = Transaction.objects.latest("pk")
                [intent_id] = self.intents_of(begun)
                created = int(begun.created_at.timestamp()) + seconds
                self.stripe.override_payment_intent(intent_id, {"created": created})
                answer = self.send(key=key)
                self.assertEqual(answer.status_code, 201, answer.content)
                self.assertEqual(answer.json()["transaction"]["stripe_payment_intent_id"], intent_id)
                self.assertEqual(self.intents_of(begun), [intent_id])

    def intents_of(self, started):
        """The intents that Stripe made for a purchase."""
        intents = [event["data"]["object"] for event in self.stripe.events("payment_intent.created")]
        return [
            intent["id"] for intent in intents if intent["metadata"]["order_id"] == str(started.reference)
        ]

    def test_while_stripe_does_not_answer_the_same_key_may_come_again_at_once(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=2)
        self.assertProblem(self.send(), 503, "payment_provider_unavailable")
        answer = self.send()
        self.assertEqual(answer.status_code, 201, answer.content)
        self.assertEqual(Transaction.objects.count(), 1)

    def test_the_lease_outlasts_a_request_that_goes_on_and_finds_stripe_hanging_at_each_first_try(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=2)
        self.assertProblem(self.send(), 503, "payment_provider_unavailable")
        before = len(self.stripe.requests())
        for method in ("GET", "POST"):
            self.stripe.add_fault(method=method, path="/v1/payment_intents", drop=True, times=1)
        self.assertEqual(self.send().status_code, 201)
        tries = len(self.stripe.requests()) - before
        self.assertEqual(tries, 2 * (1 + stripe_http.RETRIES))
        pauses = 2 * (gateway.SLOT_WAIT + stripe.HTTPClient.INITIAL_DELAY)
        database = 5  # the default of DATABASE_STATEMENT_TIMEOUT_MS
        longest = tries * sum(stripe_http.TIMEOUTS) + pauses + database
        self.assertLess(longest, idempotency_keys.REQUEST_LEASE.total_seconds())

    def test_while_the_first_runs_the_second_is_told_to_wait_and_takes_over_when_that_died(self):
        self.send()
        # As a process leaves it that dies between its commit and Stripe's answer.
        IdempotencyKey.objects.update(answer=None, running_until=timezone.now() + timedelta(seconds=20))
        Transaction.objects.update(stripe_payment_intent_id=None)
        response = self.send()
        self.assertProblem(response, 409, "request_in_progress")
        self.assertEqual(response.headers["Retry-After"], "2")
        IdempotencyKey.objects.update(running_until=timezone.now() - timedelta(seconds=1))
        answer = self.send()
        self.assertEqual(answer.status_code, 201, answer.content)
        self.assertEqual(Transaction.objects.count(), 1)
        self.assertEqual(
            Transaction.objects.get().stripe_payment_intent_id,
            answer.json()["transaction"]["stripe_payment_intent_id"],
        )
        self.assertEqual(self.send().headers["Idempotent-Replayed"], "true")

    def test_a_replay_while_stripe_does_not_answer_is_503_and_not_another_answer(self):
        first = self.send()
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", status=500, times=2)
        self.assertProblem(self.send(), 503, "payment_provider_unavailable")
        self.assertEqual(self.send().json(), first.json())


@tag("pooled")
class KeyRaceTests(KeyTestCase, RaceTestCase):
    def race(self, key):
        """Twenty of one request at once: (transactions, intents at Stripe, distinct successes, statuses)."""
        self.stripe.reset()
        before = Transaction.objects.count()
        answers = self.together(*[lambda: self.send(key=key)] * 20)
        good = {json.dumps(answer.json(), sort_keys=True) for answer in answers if answer.status_code == 201}
        intents = {
            call["idempotency_key"]
            for call in self.stripe.requests()
            if (call["method"], call["path"]) == ("POST", "/v1/payment_intents")
        }
        return (
            Transaction.objects.count() - before,
            len(intents),
            len(good),
            {answer.status_code for answer in answers} - {201, 409, 503},
        )

    def test_one_key_twenty_times_is_one_purchase(self):
        for round_no in range(self.rounds):
            self.assertEqual(self.race(f"round {round_no}"), (1, 1, 1, set()))

    def test_the_same_race_without_a_key_is_caught(self):
        self.assertNotEqual(self.race(None)[:3], (1, 1, 1))
