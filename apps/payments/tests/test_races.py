"""Confirms and webhooks for one payment, all at the same instant."""

import json
import time
from contextlib import contextmanager
from unittest.mock import patch

import stripe
from django.test import tag

from apps.payments import gateway
from apps.payments.models import SoldVoucher, Transaction
from apps.payments.services import fulfilment, purchases
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.cases import Client, RaceTestCase
from tests.support.stripe import SECRET, StripeTestCase

PURCHASE = "/api/vouchers/purchase/"
CONFIRM = "/api/payments/confirm-payment/"
QUANTITY = 3


def settle_without_the_lock(intent, read_at):
    """The broken twin: reads the row without locking it, as if nobody else could be here."""
    row = fulfilment._locked_transaction_of(intent)
    if row is None or row.is_paid:
        return row
    time.sleep(0.02)
    return fulfilment.fulfil(row)


class CallsAtOnceTests(StripeTestCase, RaceTestCase):
    def buying(self):
        """A purchase by a new user, to be made as often as one likes, its status."""
        api, body = self.signed_in(make_user()), {"voucher_type_id": make_type().pk}
        return lambda: api.post(PURCHASE, body).status_code

    def slow(self, seconds):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", delay=seconds, times=50)

    def test_only_so_many_calls_wait_for_a_slow_stripe_and_the_rest_are_told_to_come_back(self):
        self.slow(4)
        statuses = self.together(*[self.buying() for _ in range(gateway.CALLS_AT_ONCE + 3)])
        self.assertEqual(sorted(statuses), [201] * gateway.CALLS_AT_ONCE + [503] * 3)
        self.assertLess(gateway.CALLS_AT_ONCE, 8)  # the threads of gunicorn.conf.py

    def race_for_slots(self):
        """One user's six calls and one of another user's: how many of the six went through, and what the other got."""
        self.stripe.reset()
        self.slow(2)
        *greedy, other = self.together(*[self.buying()] * 6, self.buying())
        self.assertLessEqual(set(greedy), {201, 503})
        # What never reached Stripe left nothing behind.
        self.assertEqual(Transaction.objects.count(), [*greedy, other].count(201))
        Transaction.objects.all().delete()
        return greedy.count(201), other

    def test_one_user_takes_one_slot_and_leaves_the_others_to_others(self):
        for _ in range(2):
            self.assertEqual(self.race_for_slots(), (1, 201))

    def test_confirming_takes_one_slot_too(self):
        api, body = self.signed_in(make_user()), {"voucher_type_id": make_type().pk}
        intent_id = api.post("/api/payments/create-payment-intent/", body).json()["payment_intent_id"]
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", delay=2, times=50)
        confirm = lambda: api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code  # noqa: E731
        self.assertEqual(sorted(self.together(*[confirm] * 4)), [409, 503, 503, 503])

    def test_the_same_race_catches_slots_that_know_no_users(self):
        @contextmanager
        def of_nobody(user_id):
            yield

        with patch.object(purchases, "on_behalf_of", of_nobody):
            self.assertGreater(self.race_for_slots()[0], 1)

    def test_a_key_whose_request_got_no_slot_may_come_again_at_once(self):
        api, body = self.signed_in(make_user()), {"voucher_type_id": make_type().pk}
        self.slow(2)
        buy = lambda key: api.post(PURCHASE, body, headers={"Idempotency-Key": key}).status_code  # noqa: E731
        statuses = self.together(lambda: buy("one"), lambda: buy("two"))
        self.assertEqual(sorted(statuses), [201, 503])
        self.stripe.reset()
        refused = ("one", "two")[statuses.index(503)]
        self.assertEqual((buy(refused), Transaction.objects.count()), (201, 2))

    def test_a_users_calls_wait_for_each_other(self):
        self.assertEqual(set(self.together(*[self.buying()] * 3)), {201})


@tag("pooled")
class FulfilmentRaceTests(StripeTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        # Eleven at once want four slots: here each waits its turn, however slow the machine.
        waiting = patch.object(gateway, "SLOT_WAIT", 30)
        waiting.start()
        self.addCleanup(waiting.stop)

    def race(self):
        """One round: five confirms, five copies of an event, and another event for the same intent."""
        customer = make_user()
        api = self.signed_in(customer)
        body = {"voucher_type_id": make_type().pk, "quantity": QUANTITY}
        intent_id = api.post("/api/payments/create-payment-intent/", body).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        event_id = self.event_of(intent_id)
        other = json.dumps(
            {
                "id": f"evt_other_{intent_id}",
                "object": "event",
                "type": "payment_intent.succeeded",
                "data": {"object": {"id": intent_id}},
            }
        )
        header = stripe.WebhookSignature.generate_signature_header(other, SECRET)
        answers = self.together(
            *[lambda: api.post(CONFIRM, {"payment_intent_id": intent_id})] * 5,
            *[lambda: self.deliver(event_id, Client())] * 5,
            lambda: self.post_event(other.encode(), header, Client()),
        )
        transaction = Transaction.objects.get(user=customer)
        issued = {voucher.shown_code for voucher in Voucher.objects.filter(user=customer)}
        return {
            "statuses": {answer.status_code for answer in answers},
            "codes shown": {
                frozenset(answer.json()["voucher_codes"])
                for answer in answers[:5]
                if answer.status_code == 200
            },
            "issued": issued,
            "sold": SoldVoucher.objects.filter(transaction=transaction).count(),
            "status": transaction.status,
        }

    def is_right(self, outcome):
        return (
            outcome["statuses"] == {200}
            and outcome["codes shown"] == {frozenset(outcome["issued"])}
            and len(outcome["issued"]) == outcome["sold"] == QUANTITY
            and outcome["status"] == "completed"
        )

    def test_exactly_the_vouchers_bought_are_issued_and_every_answer_shows_the_same(self):
        for round_no in range(self.rounds):
            outcome = self.race()
            self.assertTrue(self.is_right(outcome), f"round {round_no}: {outcome}")

    def test_the_same_race_catches_a_fulfilment_without_the_lock(self):
        def unlocked(intent):
            rows = Transaction.objects.select_related("voucher_type")
            return rows.filter(stripe_payment_intent_id=intent.id).first()

        with (
            patch.object(fulfilment, "apply_intent", settle_without_the_lock),
            patch.object(fulfilment, "_locked_transaction_of", unlocked),
            self.assertLogs("django.request", "ERROR"),  # the schema's guard stops what the twin lets through
        ):
            self.assertCaught(self.race, lambda outcome: not self.is_right(outcome))
