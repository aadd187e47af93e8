"""An error 500 that Stripe keeps under our idempotency key, and repeats for a day."""

from apps.payments import services
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Refund, Transaction
from apps.payments.services.refunds import decisions
from tests.support.cases import ApiTestCase

from .money import PURCHASE
from .test_reconcile import ReconcileTestCase


class KeptErrorTests(ReconcileTestCase, ApiTestCase):
    def keys(self, path):
        """The idempotency keys under which this was asked for, in order, each once."""
        calls = [call for call in self.stripe.requests() if (call["method"], call["path"]) == ("POST", path)]
        return list(dict.fromkeys(call["idempotency_key"] for call in calls))

    def approve(self, **fault):
        """A refund that was approved, and met this fault."""
        self.paid = self.buy(2)
        refund_id = self.ask(self.paid).json()["id"]
        self.stripe.add_fault(method="POST", path="/v1/refunds", **fault)
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertEqual(self.books(self.paid)[3], ["refund_pending"] * 2)
        return Refund.objects.get(pk=refund_id)

    def test_an_approved_refund_is_made_under_the_next_key(self):
        refund = self.approve(status=500, stored=True)
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        key = f"refund-{refund.reference}"
        self.assertEqual(self.keys("/v1/refunds"), [key, f"{key}-2"])
        self.assertEqual(len(self.stripe.refunds()), 1)
        self.assertEqual(self.books(self.paid)[0], "refunded")

    def test_it_goes_on_from_key_to_key(self):
        refund = self.approve(status=500, stored=True)
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=500, stored=True)
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            services.execute_refund(refund.pk)
        self.assertEqual(Refund.objects.get().stripe_attempt, 3)
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        self.assertEqual(len(self.keys("/v1/refunds")), 3)

    def test_reconciliation_drives_it_on(self):
        self.approve(status=500, stored=True)
        self.age()
        self.assertIn(("refund_not_sent", True), self.run_it("--apply"))
        self.assertEqual(len(self.stripe.refunds()), 1)

    def test_what_stripe_did_all_the_same_is_seen_first(self):
        refund = self.approve(effect_then_error=500)
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        self.assertEqual(len(self.keys("/v1/refunds")), 1)
        self.assertEqual(len(self.stripe.refunds()), 1)

    def test_where_it_is_not_known_whether_the_request_has_ended_the_key_stays(self):
        for fault in ({"drop": True, "times": 2}, {"status": 503, "times": 2}):
            refund = self.approve(**fault)
            self.assertEqual(refund.stripe_attempt, 1)
            self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
            self.assertEqual(self.keys("/v1/refunds"), [f"refund-{refund.reference}"])
            self.stripe.reset()

    def test_of_two_that_send_again_neither_makes_a_second_refund(self):
        refund = self.approve(status=500, stored=True)
        behind = Refund.objects.get(pk=refund.pk)
        behind.stripe_attempt = 1  # as read by one who was held up before Stripe's answer to the first
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            decisions._send(behind)
        self.assertEqual(Refund.objects.get().stripe_attempt, 2)
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        self.assertEqual(len(self.stripe.refunds()), 1)

    def test_a_purchase_is_started_under_the_next_key(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=500, stored=True)
        body = {"voucher_type_id": self.type.pk, "quantity": 2}
        key = {"Idempotency-Key": "mine"}
        with self.assertLogs("apps.payments", "ERROR"):
            refused = self.api.post(PURCHASE, body, headers=key)
        self.assertProblem(refused, 503, "payment_provider_unavailable")
        answer = self.api.post(PURCHASE, body, headers=key)
        self.assertEqual(answer.status_code, 201, answer.content)
        started = Transaction.objects.get()
        name = f"order-{started.reference}-create"
        self.assertEqual(self.keys("/v1/payment_intents"), [name, f"{name}-2"])
        self.assertEqual(len(self.stripe.events("payment_intent.created")), 1)
