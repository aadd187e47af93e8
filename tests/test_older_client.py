"""What the web client in the field sends and reads, beside what the API calls by other names today."""

from typing import Any

from apps.payments.models import Transaction
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_inactive_voucher, make_type, make_voucher
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase


class OlderClientTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)
        self.type = make_type(price="10.00", max_uses=2)

    def sent(self, url: str, body: dict[str, Any], status: int = 200, **headers: str) -> dict[str, Any]:
        response = self.api.post(url, body, headers=headers)
        self.assertEqual(response.status_code, status, response.content)
        return response.json()

    def test_it_shows_people_the_message_of_an_error(self):
        response = self.api.post("/api/vouchers/redeem/", {"code": "nothing"})
        self.assertTrue(self.assertProblem(response, 400, "code_malformed")["message"])
        body = {"email": "no address", "password": "short", "password_confirm": "short", "first_name": ""}
        document = self.assertProblem(self.api.post("/api/auth/register/", body), 400, "validation_error")
        self.assertEqual(document["message"], document["errors"]["email"][0]["detail"])
        weak = body | {"email": "ama@example.com", "first_name": "Ama", "last_name": "Mensah"}
        document = self.assertProblem(self.api.post("/api/auth/register/", weak), 400, "validation_error")
        self.assertEqual(document["message"], document["errors"]["password"][0]["detail"])

    def test_errors_that_no_view_makes_have_a_message_too(self):
        for response, status, code in (
            (self.api.get("/api/nothing/"), 404, "not_found"),
            (self.api.post("/api/vouchers/redeem", {}), 404, "not_found"),
            (self.api.post("/api/payments/webhook/", {}), 400, "signature_invalid"),
            (self.api.get("/api/payments/webhook/"), 405, "method_not_allowed"),
            (self.api.post("/api/auth/login/", {"email": "x" * 300_000}), 413, "body_too_large"),
        ):
            with self.subTest(code):
                self.assertTrue(self.assertProblem(response, status, code)["message"])

    def test_null_counts_as_left_out(self):
        body = {
            "voucher_type_id": self.type.pk,
            "quantity": None,
            "payment_method": None,
            "currency": None,
            "discount_code": None,
        }
        self.sent("/api/payments/create-intent/", body, 201)
        self.assertEqual(Transaction.objects.get().quantity, 1)
        voucher = make_voucher(owner=self.customer, voucher_type=self.type)
        nothing = {"service_data": None, "service_type": None}
        self.sent("/api/vouchers/redeem/", {"code": voucher.code, **nothing})
        self.assertEqual(VoucherUsage.objects.get().details, {})
        person = {"first_name": "Ama", "last_name": "Mensah", "phone_number": None, "username": None}
        account = {"email": "ama@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        self.assertEqual(self.sent("/api/auth/register/", person | account, 201)["user"]["phone_number"], "")
        response = self.api.patch("/api/users/profile/update/", {"phone_number": None, "address": None})
        self.assertEqual((response.status_code, response.json()["phone_number"]), (200, ""))

    def test_null_is_refused_where_a_value_is_needed(self):
        for url, name in (
            ("/api/payments/create-intent/", "voucher_type_id"),
            ("/api/payments/confirm/", "payment_intent_id"),
            ("/api/payments/refund/request/", "payment_id"),
            ("/api/vouchers/redeem/", "code"),
        ):
            with self.subTest(name):
                document = self.assertProblem(self.api.post(url, {name: None}), 400, "validation_error")
                self.assertEqual(document["errors"][name][0]["code"], "null")
        self.assertEqual(Transaction.objects.count(), 0)

    def test_it_reads_the_purchase_under_its_own_names(self):
        body = {"voucher_type_id": self.type.pk, "quantity": 2, "payment_method": "card"}
        started = self.sent("/api/payments/create-intent/", body, 201, **{"Idempotency-Key": "a"})
        transaction = Transaction.objects.get()
        self.assertEqual(started["payment_id"], transaction.pk)
        self.assertEqual(
            (started["payment"]["id"], started["payment"]["status"]), (transaction.pk, "pending")
        )
        again = self.sent("/api/payments/create-intent/", body, 201, **{"Idempotency-Key": "a"})
        self.assertEqual(again, started)
        self.stripe.pay(started["payment_intent_id"])
        body = {"payment_intent_id": started["payment_intent_id"], "voucher_type_id": None, "quantity": None}
        confirmed = self.sent("/api/payments/confirm/", body)
        self.assertEqual(confirmed["payment_id"], transaction.pk)
        self.assertEqual(confirmed["payment"], confirmed["transaction"])
        self.assertEqual(confirmed["payment"]["status"], "completed")

    def test_the_addresses_of_today_do_not_repeat_themselves(self):
        body = {"voucher_type_id": self.type.pk}
        key = {"Idempotency-Key": "a"}
        older = self.sent("/api/payments/create-intent/", body, 201, **key)
        today = self.sent("/api/payments/create-payment-intent/", body, 201, **key)
        self.assertEqual(
            today, {name: value for name, value in older.items() if name not in ("payment_id", "payment")}
        )
        self.stripe.pay(today["payment_intent_id"])
        confirmed = self.sent(
            "/api/payments/confirm-payment/", {"payment_intent_id": today["payment_intent_id"]}
        )
        self.assertLessEqual({"payment_id", "payment"} & confirmed.keys(), set())

    def test_the_amount_of_a_refund_is_never_taken_from_it(self):
        started = self.sent("/api/payments/create-intent/", {"voucher_type_id": self.type.pk}, 201)
        self.stripe.pay(started["payment_intent_id"])
        self.sent("/api/payments/confirm/", {"payment_intent_id": started["payment_intent_id"]})
        body = {"payment_id": started["payment_id"], "reason": "Not needed", "amount": "0.01"}
        refund = self.sent("/api/payments/refund/request/", body, 201)
        self.assertEqual(refund["amount"], "10.00")

    def test_cancelled_vouchers_are_the_inactive_ones(self):
        make_voucher(owner=self.customer, voucher_type=self.type)
        inactive = make_inactive_voucher(owner=self.customer)
        address = "/api/vouchers/my-vouchers/?status="
        answers = [self.api.get(address + status).json() for status in ("cancelled", "inactive")]
        self.assertEqual([row["code"] for row in answers[0]["results"]], [inactive.shown_code])
        self.assertEqual(answers[0], answers[1])
        self.assertProblem(self.api.get(f"{address}canceled"), 400, "validation_error")

    def test_a_usage_has_its_details_as_service_data_too(self):
        voucher = make_voucher(owner=self.customer, voucher_type=self.type)
        data = {"candidate": "Ama"}
        redeemed = self.sent("/api/vouchers/redeem/", {"code": voucher.code, "service_data": data})
        listed = self.api.get("/api/vouchers/usage-history/").json()["results"]
        detail = self.api.get(f"/api/vouchers/detail/{voucher.code}/").json()["usages"]
        for usage in (redeemed["usage"], *listed, *detail):
            self.assertEqual((usage["details"], usage["service_data"]), (data, data))
        self.assertEqual(len(listed + detail), 2)
        self.assertEqual(Voucher.objects.get().uses_remaining, 1)
