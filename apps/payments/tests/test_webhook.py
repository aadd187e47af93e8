"""POST /api/payments/webhook/"""

import json
import time
from unittest.mock import patch

import stripe
from django.test import override_settings

from apps.payments import gateway, services, webhooks
from apps.payments.models import StripeEvent, Transaction
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase
from tests.support.stripe import SECRET, StripeTestCase

CONFIRM = "/api/payments/confirm-payment/"


class WebhookTestCase(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)
        self.type = make_type()

    def start(self, quantity=2):
        body = {"voucher_type_id": self.type.pk, "quantity": quantity}
        return self.api.post("/api/payments/create-payment-intent/", body).json()["payment_intent_id"]

    def paid(self, quantity=2):
        intent_id = self.start(quantity)
        self.stripe.pay(intent_id)
        return intent_id

    def signed(self, body, *, secret=SECRET, age=0):
        if isinstance(body, str):
            body = body.encode()
        timestamp = int(time.time()) - age
        text = body.decode("utf-8", "surrogateescape")
        header = stripe.WebhookSignature.generate_signature_header(text, secret, timestamp=timestamp)
        return self.post_event(body, header)


class ApplyTests(WebhookTestCase):
    def test_a_success_fulfils_without_the_buyer_coming_back(self):
        intent_id = self.paid()
        response = self.deliver(self.event_of(intent_id))
        self.assertEqual((response.status_code, response.json()), (200, {"received": True}))
        self.assertEqual(Transaction.objects.get().status, "completed")
        self.assertEqual(Voucher.objects.count(), 2)
        event = StripeEvent.objects.get()
        self.assertEqual(
            (event.type, event.object_id, event.attempts), ("payment_intent.succeeded", intent_id, 1)
        )
        self.assertIsNotNone(event.processed_at)

    def test_duplicates_and_a_confirm_change_nothing_more(self):
        intent_id = self.paid()
        event_id = self.event_of(intent_id)
        for _ in range(3):
            self.assertEqual(self.deliver(event_id).status_code, 200)
        codes = self.api.post(CONFIRM, {"payment_intent_id": intent_id}).json()["voucher_codes"]
        self.assertEqual(self.deliver(event_id).status_code, 200)
        self.assertEqual(sorted(codes), sorted(voucher.shown_code for voucher in Voucher.objects.all()))
        self.assertEqual((StripeEvent.objects.count(), StripeEvent.objects.get().attempts), (1, 1))

    def test_an_event_is_only_a_hint_the_intent_at_stripe_decides(self):
        intent_id = self.start()
        body = json.dumps(
            {
                "id": "evt_forged_by_mistake",
                "object": "event",
                "type": "payment_intent.succeeded",
                "data": {"object": {"id": intent_id, "status": "succeeded", "amount_received": 2000}},
            }
        )
        self.assertEqual(self.signed(body).status_code, 200)
        self.assertEqual((Voucher.objects.count(), Transaction.objects.get().status), (0, "pending"))

    def test_it_finds_the_purchase_when_our_note_of_the_intent_was_lost(self):
        intent_id = self.paid()
        Transaction.objects.update(stripe_payment_intent_id=None)
        self.deliver(self.event_of(intent_id))
        made = Transaction.objects.get()
        self.assertEqual((made.status, made.stripe_payment_intent_id), ("completed", intent_id))
        self.assertEqual(Voucher.objects.count(), 2)

    def test_a_cancellation_fails_the_purchase_and_events_out_of_order_do_not_undo_a_success(self):
        first, second = self.start(), self.paid()
        self.stripe.override_payment_intent(first, {"status": "canceled"})
        event = {"object": "event", "type": "payment_intent.canceled"}
        self.signed(json.dumps({**event, "id": "evt_1", "data": {"object": {"id": first}}}))
        self.deliver(self.event_of(second))
        self.signed(json.dumps({**event, "id": "evt_2", "data": {"object": {"id": second}}}))
        self.deliver(self.event_of(second, "payment_intent.created"))
        statuses = dict(Transaction.objects.values_list("stripe_payment_intent_id", "status"))
        self.assertEqual(statuses, {first: "failed", second: "completed"})
        self.assertEqual(Voucher.objects.count(), 2)

    def test_unknown_types_and_unknown_intents_are_taken_and_change_nothing(self):
        for number, (kind, object_id) in enumerate(
            (("customer.created", "cus_1"), ("payment_intent.succeeded", "pi_of_another_shop"))
        ):
            body = {
                "id": f"evt_{number}",
                "object": "event",
                "type": kind,
                "data": {"object": {"id": object_id}},
            }
            self.assertEqual(self.signed(json.dumps(body)).status_code, 200)
        self.assertEqual(StripeEvent.objects.exclude(processed_at=None).count(), 2)
        self.assertEqual(Voucher.objects.count(), 0)

    def test_an_event_about_no_object_is_taken(self):
        body = {
            "id": "evt_b",
            "object": "event",
            "type": "balance.available",
            "data": {"object": {"object": "balance"}},
        }
        self.assertEqual(self.signed(json.dumps(body)).status_code, 200)
        self.assertIsNotNone(StripeEvent.objects.get().processed_at)

    def test_a_mismatch_is_taken_reported_and_issues_nothing(self):
        intent_id = self.paid()
        self.stripe.override_payment_intent(intent_id, {"amount_received": 1})
        with self.assertLogs("apps.payments.services", "ERROR"):
            self.assertEqual(self.deliver(self.event_of(intent_id)).status_code, 200)
        self.assertIn("mismatch", StripeEvent.objects.get().outcome)
        self.assertEqual((Voucher.objects.count(), Transaction.objects.get().status), (0, "pending"))

    def test_while_stripe_does_not_answer_the_event_waits_and_is_applied_later(self):
        intent_id = self.paid()
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", status=500, times=2)
        response = self.deliver(self.event_of(intent_id))
        self.assertProblem(response, 503, "payment_provider_unavailable")
        waiting = StripeEvent.objects.get()
        self.assertEqual((waiting.processed_at, Voucher.objects.count()), (None, 0))
        self.assertEqual(webhooks.apply_waiting(), 1)
        self.assertEqual((webhooks.apply_waiting(), Voucher.objects.count()), (0, 2))

    def test_one_event_that_cannot_be_applied_does_not_keep_the_others_waiting(self):
        good = self.paid(quantity=1)
        bad = StripeEvent.objects.create(
            stripe_id="evt_bad", type="payment_intent.succeeded", object_id="pi_bad"
        )
        StripeEvent.objects.create(stripe_id="evt_good", type="payment_intent.succeeded", object_id=good)

        def explode(object_id):
            if object_id == "pi_bad":
                raise RuntimeError("odd")
            return services.settle_intent(object_id)

        handlers = {"payment_intent.succeeded": explode}
        with (
            patch.object(webhooks, "HANDLERS", handlers),
            self.assertLogs("apps.payments.webhooks", "ERROR"),
        ):
            self.assertEqual(webhooks.apply_waiting(), 1)
        self.assertEqual(list(StripeEvent.objects.waiting()), [bad])
        self.assertEqual(Voucher.objects.count(), 1)

    def test_an_intent_of_another_shop_in_a_currency_that_we_do_not_know_is_not_ours(self):
        foreign = self.paid()
        self.stripe.override_payment_intent(foreign, {"currency": "huf"})
        Transaction.objects.all().delete()
        self.assertEqual(self.deliver(self.event_of(foreign)).status_code, 200)
        self.assertIsNotNone(StripeEvent.objects.get().processed_at)
        self.assertEqual(Voucher.objects.count(), 0)

    def test_an_answer_noted_while_the_event_is_applied_does_not_hide_the_purchase(self):
        intent_id = self.paid(quantity=1)
        reference = Transaction.objects.get().reference
        intent = gateway.fetch_intent(intent_id)
        self.assertEqual(intent.order_id, str(reference))
        Transaction.objects.update(stripe_payment_intent_id=None)
        with self.assertQueries(8):  # one of them looks the row up, by either id
            settled = services.settle(intent)
        self.assertEqual(settled and settled.status, "completed")

    def test_after_a_mismatch_staff_see_which_intent_it_was(self):
        intent_id = self.paid()
        Transaction.objects.update(stripe_payment_intent_id=None)
        self.stripe.override_payment_intent(intent_id, {"amount_received": 1})
        with self.assertLogs("apps.payments.services", "ERROR"):
            self.deliver(self.event_of(intent_id))
        made = Transaction.objects.get()
        self.assertEqual((made.status, made.stripe_payment_intent_id), ("pending", intent_id))

    def test_client_secrets_are_not_kept(self):
        intent_id = self.paid()
        secret = self.stripe.payment_intent(intent_id)["client_secret"]
        self.deliver(self.event_of(intent_id))
        self.assertNotIn(secret, json.dumps(StripeEvent.objects.values().get(), default=str))


class SignatureTests(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.intent_id = self.paid()
        self.good = self.stripe.signed_event(self.event_of(self.intent_id))

    def assertRefused(self, response):
        self.assertProblem(response, 400, "signature_invalid")
        self.assertEqual((StripeEvent.objects.count(), Voucher.objects.count()), (0, 0))

    def test_forged_garbled_and_missing_signatures_are_refused(self):
        other = stripe.WebhookSignature.generate_signature_header(self.good.body.decode(), "whsec_other")
        for header in ("", "t=1", "garbage", "t=x,v1=y", f"t={int(time.time())},v1=00", other, "t=,v1="):
            with self.subTest(header[:20]):
                self.assertRefused(self.post_event(self.good.body, header))

    def test_a_changed_body_is_refused(self):
        self.assertRefused(self.post_event(self.good.body + b" ", self.good.signature))

    def test_old_and_future_signatures_are_refused(self):
        for age in (301, 3600, -310, -3600):
            with self.subTest(age):
                self.assertRefused(self.signed(self.good.body, age=age))
        self.assertEqual(self.signed(self.good.body, age=290).status_code, 200)

    def test_bodies_that_are_no_event_are_refused_even_when_signed(self):
        for body in (
            "[]",
            "{}",
            '{"object": "event"}',
            "null",
            "7",
            "not json",
            '{"object": "v2.core.event"}',
        ):
            with self.subTest(body):
                self.assertRefused(self.signed(body))
        self.assertRefused(self.signed('{"object": "event", "a":' + "[" * 100_000))
        odd = {"object": "event", "id": "evt_1", "type": "x", "data": {"object": {"id": "\0"}}}
        about = {"data": {"object": {"id": "pi_1"}}}
        for wrong in (
            odd,
            {**odd, "data": {"object": {"id": 7}}},
            {**odd, "data": {"object": {"id": "."}}},
            {**odd, "data": []},
            {**odd, **about, "id": "é"},
            {**odd, **about, "type": "x" * 200},
        ):
            with self.subTest(wrong):
                self.assertRefused(self.signed(json.dumps(wrong)))

    def test_a_body_that_is_not_utf_8_is_refused(self):
        self.assertRefused(self.post_event(b"\xff\xfe", self.good.signature))

    def test_an_empty_secret_accepts_no_forgery(self):
        forged = stripe.WebhookSignature.generate_signature_header(self.good.body.decode(), "x")
        for secrets in ([], [""], [" "]):
            with override_settings(STRIPE_WEBHOOK_SECRETS=secrets):
                self.assertRefused(self.post_event(self.good.body, forged))

    def test_during_a_rotation_both_secrets_are_accepted(self):
        with override_settings(STRIPE_WEBHOOK_SECRETS=["whsec_next", SECRET]):
            self.assertEqual(self.signed(self.good.body).status_code, 200)
            self.assertEqual(self.signed(self.good.body, secret="whsec_next").status_code, 200)

    def test_only_post_is_taken(self):
        self.assertProblem(self.client.get("/api/payments/webhook/"), 405, "method_not_allowed")
