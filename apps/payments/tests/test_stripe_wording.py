"""What Stripe shows of a payment: what it is for, in its dashboard and on the card's statement."""

from unittest.mock import patch

from django.test import SimpleTestCase, override_settings

from apps.payments import gateway, stripe_wording
from apps.payments.models import Transaction
from apps.users.tests.factories import make_user
from apps.vouchers.models import VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

CREATE = "/api/payments/create-payment-intent/"


class WordingTests(SimpleTestCase):
    def test_the_suffix_is_what_stripe_takes_of_the_name(self):
        for name, suffix in (
            ("Exam Results Checking", "EXAM RESUL"),
            ("WASSCE 2026", "WASSCE 202"),
            ("Relevé d'études", "RELEVE D E"),
            ("<b>*Ex\"am\\'s*</b>", "B EX AM S"),
            ("École, 2e année", "ECOLE 2E A"),
            ("考试 A-Level", "A-LEVEL"),
            ("成绩查询", ""),
            ("2026", ""),
            ("Results for all", "RESULTS FO"),
            ("Document & more", "DOCUMENT"),
            ("", ""),
        ):
            with self.subTest(name):
                self.assertEqual(stripe_wording.statement_suffix(name), suffix)

    def test_a_long_name_fits(self):
        self.assertEqual(len(stripe_wording.description(quantity=100, item="W" * 5000)), 1000)


class PaymentsAtStripeTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.api = self.signed_in(make_user())
        self.type = make_type(name="Exam Results Checking")

    def start(self, key="k"):
        body = {"voucher_type_id": self.type.pk, "quantity": 3}
        return self.api.post(CREATE, body, headers={"Idempotency-Key": key})

    def test_a_payment_says_what_it_is_for(self):
        intent = self.stripe.payment_intent(self.start().json()["payment_intent_id"])
        self.assertEqual(intent["description"], "3 × Exam Results Checking")
        self.assertEqual(intent["statement_descriptor_suffix"], "EXAM RESUL")
        self.stripe.pay(intent["id"])
        charge = self.stripe.payment_intent(intent["id"])["latest_charge"]
        self.assertTrue(charge)

    def test_one_without_a_latin_name_has_no_words_on_the_statement(self):
        VoucherType.objects.update(name="成绩查询")
        intent = self.stripe.payment_intent(self.start().json()["payment_intent_id"])
        self.assertEqual(intent["description"], "3 × 成绩查询")
        self.assertIsNone(intent["statement_descriptor_suffix"])

    def test_a_retry_says_the_same_although_type_and_shop_were_renamed(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=500, times=2)
        with patch.object(gateway, "_call", wraps=gateway._call) as calls:
            with self.assertLogs("apps.payments", "ERROR"):
                self.assertProblem(self.start(), 503, "payment_provider_unavailable")
            VoucherType.objects.update(name="Certificates")
            with override_settings(SHOP_NAME="Certificates Online"):
                self.assertEqual(self.start().status_code, 201)
        first, last = (call for call in calls.call_args_list if call.args[0] == "post")
        self.assertEqual(first, last)
        self.assertEqual(last.args[2]["description"], "3 × Exam Results Checking")

    def test_after_a_request_in_other_words_under_its_key_a_purchase_goes_on_with_the_next(self):
        """As where the version before, or after this one, began it."""
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=500, times=2)
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertProblem(self.start(), 503, "payment_provider_unavailable")
        key = f"order-{Transaction.objects.get().reference}-create"
        gateway._client().v1.payment_intents.create(
            {"amount": 3000, "currency": "usd"}, {"idempotency_key": key}
        )
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertProblem(self.start(), 503, "payment_provider_unavailable")
        self.assertEqual(self.start().status_code, 201)
        self.assertEqual(self.stripe.requests()[-1]["idempotency_key"], f"{key}-2")
