"""POST /api/vouchers/purchase/, /api/payments/create-payment-intent/ and the older client's create-intent/."""

import json
import time
from unittest import skipUnless
from unittest.mock import patch

from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import tag

from apps.payments import gateway, stripe_http
from apps.payments.models import SoldVoucher, Transaction
from apps.payments.services import purchase_rows
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

PURCHASE = "/api/vouchers/purchase/"
CREATE = "/api/payments/create-payment-intent/"
OLDER = "/api/payments/create-intent/"


class PurchaseTestCase(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)
        self.type = make_type(price="25.50", max_uses=3, validity_days=30)

    def assertNothingStarted(self):
        self.assertEqual(Transaction.objects.count(), 0)
        self.assertEqual(Voucher.objects.count(), 0)
        self.assertEqual(self.stripe.requests(), [])


@tag("smoke")
class StartTests(PurchaseTestCase):
    # Who asks; the lock of their row, the type, the new row; Stripe's answer noted, with a look at the account, which
    # elsewhere is a query of its own.
    queries = 5 if connection.vendor == "postgresql" else 6
    # The key is looked up, and the answer kept with it; elsewhere it has an INSERT of its own.
    queries_with_key = 7 if connection.vendor == "postgresql" else 9

    def test_a_purchase_is_recorded_and_can_be_paid_but_issues_nothing(self):
        response = self.api.post(PURCHASE, {"voucher_type_id": self.type.pk, "quantity": 2})
        self.assertEqual(response.status_code, 201, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"transaction", "vouchers", "client_secret", "publishable_key"})
        self.assertEqual((answer["vouchers"], answer["publishable_key"]), ([], "pk_test_local"))
        purchase = Transaction.objects.get()
        self.assertEqual(
            answer["transaction"].keys(),
            {
                "id",
                "status",
                "voucher_type",
                "quantity",
                "unit_price",
                "amount",
                "currency",
                "amount_refunded",
                "stripe_payment_intent_id",
                "created_at",
                "updated_at",
                "completed_at",
                "receipt_number",
            },
        )
        shown = answer["transaction"]
        self.assertEqual(
            (shown["id"], shown["status"], shown["quantity"], shown["completed_at"]),
            (purchase.pk, "pending", 2, None),
        )
        self.assertEqual((shown["unit_price"], shown["amount"], shown["currency"]), ("25.50", "51.00", "USD"))
        intent = self.stripe.payment_intent(str(purchase.stripe_payment_intent_id))
        self.assertEqual((intent["amount"], intent["currency"]), (5100, "usd"))
        labels = {"order_id": str(purchase.reference), "installation": settings.INSTALLATION}
        self.assertEqual(intent["metadata"], labels)
        self.assertEqual(intent["client_secret"], answer["client_secret"])
        self.assertEqual(Voucher.objects.count(), 0)

    def test_the_answer_is_what_is_read_later(self):
        answer = self.api.post(PURCHASE, {"voucher_type_id": self.type.pk}).json()["transaction"]
        later = self.api.get(f"/api/payments/transaction/{answer['id']}/").json()
        self.assertEqual(later, {**answer, "vouchers": []})

    def test_the_call_to_stripe_carries_the_stored_reference_as_idempotency_key(self):
        self.api.post(CREATE, {"voucher_type_id": self.type.pk})
        (call,) = self.stripe.requests()
        self.assertEqual(call["idempotency_key"], f"order-{Transaction.objects.get().reference}-create")

    def test_create_payment_intent_is_the_same_with_another_answer(self):
        with self.assertQueries(self.queries):
            response = self.api.post(CREATE, {"voucher_type_id": self.type.pk, "quantity": 1})
        self.assertEqual(response.status_code, 201, response.content)
        purchase = Transaction.objects.get()
        secret = self.stripe.payment_intent(str(purchase.stripe_payment_intent_id))["client_secret"]
        self.assertEqual(
            response.json(),
            {
                "transaction_id": purchase.pk,
                "payment_intent_id": purchase.stripe_payment_intent_id,
                "client_secret": secret,
                "publishable_key": "pk_test_local",
                "amount": "25.50",
                "currency": "USD",
            },
        )

    def test_a_purchase_of_any_quantity_takes_five_queries_and_two_more_with_a_key(self):
        for url in (PURCHASE, CREATE, OLDER):
            for quantity in (1, 10):
                for limited in (False, True):
                    body = {"voucher_type_id": self.type.pk, "quantity": quantity}
                    with override_settings(RATE_LIMITS_ENABLED=limited):
                        with self.assertQueries(self.queries):
                            self.api.post(url, body)
                        with self.assertQueries(self.queries_with_key):
                            self.api.post(url, body, headers={"Idempotency-Key": f"{url}{quantity}{limited}"})
        self.assertEqual(Transaction.objects.count(), 24)

    def test_the_older_clients_address_ignores_card_currency_and_an_empty_discount(self):
        body = {
            "voucher_type_id": str(self.type.pk),
            "payment_method": "card",
            "currency": "eur",
            "discount_code": "",
        }
        response = self.api.post(OLDER, body)
        self.assertEqual(response.status_code, 201, response.content)
        self.assertEqual((response.json()["amount"], response.json()["currency"]), ("25.50", "USD"))
        document = self.assertProblem(self.api.post(CREATE, body), 400, "validation_error")
        self.assertEqual(document["errors"].keys(), {"payment_method", "currency"})

    def test_a_free_type_is_issued_at_once_without_stripe(self):
        free = make_type(price=0)
        answer = self.api.post(PURCHASE, {"voucher_type_id": free.pk, "quantity": 3}).json()
        self.assertIsNone(answer["client_secret"])
        self.assertEqual(answer["transaction"]["status"], "completed")
        self.assertEqual(len({voucher["code"] for voucher in answer["vouchers"]}), 3)
        self.assertEqual(list(SoldVoucher.objects.values_list("line_no", flat=True)), [1, 2, 3])
        self.assertEqual(self.stripe.requests(), [])
        answer = self.api.post(CREATE, {"voucher_type_id": free.pk}).json()
        self.assertEqual(
            (answer["client_secret"], answer["payment_intent_id"], answer["amount"]), (None, None, "0.00")
        )

    def test_price_and_currency_come_from_the_type_never_from_the_client(self):
        for extra in ({"price": "0.01"}, {"amount": 1}, {"currency": "JPY"}, {"unit_price": "1.00"}):
            response = self.api.post(PURCHASE, {"voucher_type_id": self.type.pk, **extra})
            document = self.assertProblem(response, 400, "validation_error")
            self.assertEqual(document["errors"][next(iter(extra))][0]["code"], "unknown_field")
        self.assertNothingStarted()

    def test_bad_input_is_refused_and_starts_nothing(self):
        good = {"voucher_type_id": self.type.pk, "quantity": 1}
        for wrong in (
            {"quantity": 0},
            {"quantity": 11},
            {"quantity": -1},
            {"quantity": 1.5},
            {"quantity": 1.0},
            {"quantity": True},
            {"quantity": "٣"},
            {"quantity": "1e1"},
            {"quantity": None},
            {"quantity": 10**31},
            {"quantity": [1]},
            {"quantity": "1" * 5000},
            {"voucher_type_id": None},
            {"voucher_type_id": "x"},
            {"voucher_type_id": 0},
            {"voucher_type_id": 2**63},
            {"voucher_type_id": {"id": self.type.pk}},
            {"discount_code": "HALF"},
        ):
            for url in (PURCHASE, CREATE, OLDER):
                if url == OLDER and wrong == {"quantity": None}:
                    continue  # that client sends null for what it leaves out
                with self.subTest(url=url, wrong=str(wrong)[:60]):
                    document = self.assertProblem(
                        self.api.post(url, {**good, **wrong}), 400, "validation_error"
                    )
                    self.assertEqual(document["errors"].keys(), wrong.keys())
        self.assertProblem(self.api.post(PURCHASE, {}), 400, "validation_error")
        self.assertProblem(self.api.post(PURCHASE, [good]), 400, "validation_error")
        self.assertNothingStarted()

    def test_unknown_and_retired_types_are_not_found(self):
        retired = make_type(is_active=False)
        for type_id in (retired.pk, 999_999, 2**63 - 1):
            response = self.api.post(PURCHASE, {"voucher_type_id": type_id})
            self.assertProblem(response, 404, "voucher_type_not_found")
        self.assertNothingStarted()

    def test_it_needs_a_signed_in_user(self):
        self.api.credentials()
        for url in (PURCHASE, CREATE, OLDER):
            self.assertProblem(
                self.api.post(url, {"voucher_type_id": self.type.pk}), 401, "not_authenticated"
            )
        self.assertNothingStarted()

    def test_amounts_that_stripe_would_refuse_are_refused_first(self):
        for fields, code in (
            ({"price": "0.49"}, "amount_too_small"),
            ({"price": "49", "currency": "JPY"}, "amount_too_small"),
            ({"price": "1000000.00"}, "amount_too_large"),
            ({"price": "100.50", "currency": "JPY"}, "currency_not_supported"),
            ({"price": "10.00", "currency": "XXX"}, "currency_not_supported"),
        ):
            quantity = 10 if fields.get("currency") == "JPY" and fields["price"] != "49" else 1
            body = {"voucher_type_id": make_type(**fields).pk, "quantity": quantity}
            self.assertProblem(self.api.post(PURCHASE, body), 400, code)
        self.assertNothingStarted()

    def test_minor_units_are_those_of_the_currency(self):
        for price, currency, minor in (("500", "JPY", 500), ("10.25", "EUR", 1025), ("1.50", "KWD", 1500)):
            voucher_type = make_type(price=price, currency=currency)
            answer = self.api.post(CREATE, {"voucher_type_id": voucher_type.pk, "quantity": 2}).json()
            intent = self.stripe.payment_intent(answer["payment_intent_id"])
            self.assertEqual((intent["amount"], intent["currency"]), (2 * minor, currency.lower()))

    def test_nobody_elses_purchase_is_shown(self):
        self.api.post(PURCHASE, {"voucher_type_id": self.type.pk})
        other = self.signed_in(make_user())
        self.assertEqual(other.get("/api/payments/history/").json()["count"], 0)
        response = other.get(f"/api/payments/transaction/{Transaction.objects.get().pk}/")
        self.assertProblem(response, 404, "transaction_not_found")

    def test_the_client_secret_is_told_only_in_the_answer_to_the_start(self):
        secret = self.api.post(PURCHASE, {"voucher_type_id": self.type.pk}).json()["client_secret"]
        purchase = Transaction.objects.get()
        for url in ("/api/payments/history/", f"/api/payments/transaction/{purchase.pk}/"):
            self.assertNotIn(secret, self.api.get(url).content.decode())
        self.assertNotIn(secret, json.dumps(Transaction.objects.values().get(), default=str))


@skipUnless(connection.vendor == "postgresql", "the other form is the only one there")
class StartByOrmTests(StartTests):
    """The form for other databases does the same on this one."""

    queries_with_key = 8

    def setUp(self):
        super().setUp()
        by_orm = patch.object(purchase_rows, "insert_in_one_statement", purchase_rows.insert_by_orm)
        by_orm.start()
        self.addCleanup(by_orm.stop)


FreshClient = gateway._client_for.__wrapped__


class StripeTroubleTests(PurchaseTestCase):
    def start(self):
        return self.api.post(PURCHASE, {"voucher_type_id": self.type.pk})

    def test_when_stripe_fails_the_buyer_is_told_to_try_again_and_nothing_is_issued(self):
        for fault in ({"status": 500}, {"status": 429}, {"drop": True}):
            with self.subTest(fault):
                self.stripe.add_fault(method="POST", path="/v1/payment_intents", times=5, **fault)
                response = self.start()
                self.stripe.reset()
                self.assertProblem(response, 503, "payment_provider_unavailable")
                self.assertGreater(int(response.headers["Retry-After"]), 0)
        self.assertEqual(set(Transaction.objects.values_list("status", flat=True)), {"pending"})
        self.assertEqual(Voucher.objects.count(), 0)

    def test_a_stripe_that_hangs_is_waited_for_only_so_long(self):
        # An error in the end: whatever is made that late would be in the way of the tests that come after.
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", delay=20, status=500, times=5)
        started = time.monotonic()
        with patch.object(gateway, "TIMEOUTS", (0.2, 0.2)), patch.object(gateway, "_client_for", FreshClient):
            self.assertProblem(self.start(), 503, "payment_provider_unavailable")
        self.assertLess(time.monotonic() - started, 15)
        self.assertEqual(stripe_http.TIMEOUTS, (2, 6))

    def test_a_first_failure_is_tried_again_with_the_same_key_and_makes_one_intent(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", drop=True, times=1)
        self.assertEqual(self.start().status_code, 201)
        calls = self.stripe.requests()
        self.assertEqual(len(calls), 2)
        self.assertEqual(len({call["idempotency_key"] for call in calls}), 1)
        self.assertEqual(len(self.stripe.events("payment_intent.created")), 1)

    def test_a_purchase_overtaken_by_its_payment_is_shown_as_it_is(self):
        create = gateway.create_intent

        def create_and_pay(**arguments):
            intent = create(**arguments)
            self.stripe.pay(intent.id)
            self.deliver(self.event_of(intent.id))
            return intent

        with patch.object(gateway, "create_intent", create_and_pay):
            answer = self.start().json()
        self.assertEqual((answer["transaction"]["status"], len(answer["vouchers"])), ("completed", 1))

    def test_an_answer_about_something_else_than_was_asked_for_is_no_accident_of_ours(self):
        with patch.object(gateway, "to_intent", side_effect=gateway.NotAtStripe):
            self.assertProblem(self.start(), 503, "payment_provider_unavailable")
        self.assertEqual(Transaction.objects.get().status, "pending")

    def test_an_effect_whose_answer_was_lost_makes_one_intent_and_one_transaction(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", effect_then_error="drop", times=1)
        self.assertEqual(self.start().status_code, 201)
        self.assertEqual(len(self.stripe.events("payment_intent.created")), 1)
        purchase = Transaction.objects.get()
        created = self.stripe.events("payment_intent.created")[0]["data"]["object"]["id"]
        self.assertEqual(purchase.stripe_payment_intent_id, created)


class TermsTests(PurchaseTestCase):
    def test_the_terms_are_those_of_the_sale_whatever_staff_change_before_the_money_comes(self):
        answer = self.api.post(CREATE, {"voucher_type_id": self.type.pk, "quantity": 1}).json()
        VoucherType.objects.update(
            price=1, currency="EUR", max_uses=9, validity_days=1, service_type="other", is_active=False
        )
        self.stripe.pay(answer["payment_intent_id"])
        body = {"payment_intent_id": answer["payment_intent_id"]}
        response = self.api.post("/api/payments/confirm-payment/", body)
        self.assertEqual(response.status_code, 200, response.content)
        voucher = Voucher.objects.get()
        self.assertEqual(
            (str(voucher.face_value), voucher.currency, voucher.total_uses, voucher.service_type),
            ("25.50", "USD", 3, "exam_results"),
        )
        self.assertEqual((voucher.expiry_date.date() - voucher.purchase_date.date()).days, 30)
