"""What Stripe's own limits do to purchases and events: nobody hurries it, and nothing is lost."""

from unittest.mock import patch

import stripe
from django.utils import timezone

from apps.core import leases
from apps.payments import gateway, stripe_http, webhooks
from apps.payments.call_slots import Pause
from apps.payments.errors import RateLimited
from apps.payments.models import StripeEvent, Transaction
from apps.payments.services.reconciliation import paging
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase

from .money import PURCHASE, PaidTestCase

INTENTS = "/v1/payment_intents"


class TooManyCallsTests(PaidTestCase, ApiTestCase):
    def buy_one(self, api=None):
        return (api or self.api).post(PURCHASE, {"voucher_type_id": self.type.pk})

    def calls(self):
        return len(self.stripe.requests())

    def test_the_buyer_is_told_when_stripe_wants_us_back_and_nothing_is_sent_until_then(self):
        self.stripe.add_fault(method="POST", path=INTENTS, status=429, retry_after=30)
        with self.assertLogs("apps.payments.gateway", "WARNING") as logged:
            refused = self.buy_one()
        self.assertProblem(refused, 503, "payment_provider_unavailable")
        self.assertIn(int(refused.headers["Retry-After"]), (29, 30))
        self.assertIn("come back after 30 s", logged.output[0])
        calls = self.calls()
        second = self.buy_one(self.signed_in(make_user()))
        self.assertProblem(second, 503, "payment_provider_unavailable")
        self.assertIn(int(second.headers["Retry-After"]), (29, 30))
        self.assertEqual(self.calls(), calls)
        self.assertEqual(Transaction.objects.count(), 1)  # what was never sent has left nothing behind
        gateway.pause.end()
        self.assertEqual(self.buy_one().status_code, 201)

    def test_the_same_key_goes_on_with_the_same_purchase_afterwards(self):
        self.stripe.add_fault(method="POST", path=INTENTS, status=429, retry_after=30)
        send = lambda: self.api.post(  # noqa: E731
            PURCHASE, {"voucher_type_id": self.type.pk}, headers={"Idempotency-Key": "one"}
        )
        self.assertEqual([send().status_code, send().status_code], [503, 503])
        gateway.pause.end()
        self.assertEqual(send().status_code, 201)
        self.assertEqual(Transaction.objects.count(), 1)
        self.assertEqual(len(self.stripe.events("payment_intent.created")), 1)

    def test_without_a_time_others_go_on(self):
        self.stripe.add_fault(method="POST", path=INTENTS, status=429)
        refused = self.buy_one()
        self.assertEqual(int(refused.headers["Retry-After"]), RateLimited.retry_after)
        self.assertEqual(self.buy_one().status_code, 201)

    def test_a_time_that_makes_no_sense_stops_nobody_for_long(self):
        pause = Pause()
        pause.begin(86_400)
        self.assertEqual(pause.left(), Pause.LONGEST)
        pause.begin(1)
        self.assertEqual(pause.left(), Pause.LONGEST)
        pause.end()
        self.assertEqual(pause.left(), 0)

    def test_any_words_in_the_place_of_a_time_are_a_time_that_makes_sense(self):
        date = "Wed, 21 Oct 2026 07:28:00 GMT"
        for words, paused in ((date, 0), ("soon", 0), ("-5", 0), ("1.5", 0), ("0", 0), ("9" * 5000, 60)):
            with self.subTest(words=words[:30]), self.assertLogs("apps.payments.gateway", "WARNING"):
                error = gateway._rate_limited(stripe.RateLimitError(headers={"retry-after": words}))
                self.assertIn(error.retry_after, range(1, Pause.LONGEST + 1))
                self.assertEqual(gateway.pause.left(), paused)
                gateway.pause.end()

    def test_reconciliation_waits_as_long_as_stripe_says(self):
        answers = iter([RateLimited(retry_after=7)])

        def call():
            if error := next(answers, None):
                raise error
            return "the list"

        with patch("apps.payments.services.reconciliation.paging.time.sleep") as slept:
            self.assertEqual(paging.patiently(call), "the list")
        slept.assert_called_once_with(7)


class WaitingEventTests(PaidTestCase, ApiTestCase):
    def receive(self, number, kind="payment_intent.succeeded", object_id="pi_of_nobody"):
        """So many events that were received and not applied."""
        StripeEvent.objects.bulk_create(
            StripeEvent(
                stripe_id=f"evt_{kind}_{n}", type=kind, object_id=object_id, received_at=timezone.now()
            )
            for n in range(number)
        )

    def waiting(self):
        return StripeEvent.objects.waiting().count()

    def test_all_are_applied_in_one_run_however_many(self):
        self.receive(23)
        with patch.object(webhooks, "BATCH", 5):
            self.assertEqual(webhooks.apply_waiting(), 23)
        self.assertEqual(self.waiting(), 0)

    def test_a_run_ends_when_its_time_is_over_and_the_next_goes_on(self):
        self.receive(3)
        with self.assertLogs("apps.payments.webhooks", "WARNING") as logged:
            self.assertEqual(webhooks.apply_waiting(budget=-1), 0)
        self.assertIn("more are waiting", logged.output[0])
        self.assertEqual(webhooks.apply_waiting(), 3)

    def test_a_stripe_that_is_away_is_asked_a_few_times_only(self):
        self.receive(8)
        self.stripe.add_fault(method="GET", path=INTENTS, status=500, times=50)
        self.assertEqual(webhooks.apply_waiting(), 0)
        self.assertEqual(len(self.stripe.requests()), webhooks.SILENCES * (1 + stripe_http.RETRIES))
        self.stripe.reset()
        self.assertEqual(webhooks.apply_waiting(), 8)

    def test_one_that_fails_is_tried_once_in_a_run(self):
        self.receive(1)

        def fail(object_id):
            raise RuntimeError("odd")

        with (
            patch.object(webhooks, "HANDLERS", {"payment_intent.succeeded": fail}),
            self.assertLogs("apps.payments.webhooks", "ERROR"),
        ):
            self.assertEqual(webhooks.apply_waiting(), 0)
        self.assertEqual(StripeEvent.objects.get().attempts, 1)

    def test_too_many_calls_are_waited_for_within_the_time(self):
        paid = self.start(2).json()["payment_intent_id"]
        self.stripe.pay(paid)
        self.receive(1, object_id=paid)
        for budget, applied in ((3, 0), (50, 1)):
            gateway.pause.end()
            self.stripe.add_fault(method="GET", path=INTENTS, status=429, retry_after=5)
            slept = patch(
                "apps.payments.webhooks.time.sleep", side_effect=lambda seconds: gateway.pause.end()
            )
            with slept as waits:
                self.assertEqual(webhooks.apply_waiting(budget=budget), applied)
            self.assertEqual(waits.call_count, applied)
        self.assertEqual(Voucher.objects.count(), 2)

    def test_two_processes_do_not_do_the_same_work(self):
        self.receive(1)
        with leases.try_acquire("waiting Stripe events"):
            self.assertEqual(webhooks.apply_waiting(), 0)
        self.assertEqual(webhooks.apply_waiting(), 1)
