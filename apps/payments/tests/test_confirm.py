"""POST /api/payments/confirm-payment/ and its older name."""

from itertools import cycle
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.test.utils import tag

from apps.payments import services
from apps.payments.models import Receipt, SoldVoucher, Transaction
from apps.payments.services import receipt_rows, sale_rows
from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from apps.vouchers.services import voucher_rows
from apps.vouchers.tests.factories import make_type, make_voucher
from local_stripe import StripeError
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

from .money import PaidTestCase

URL = "/api/payments/confirm-payment/"
OLDER = "/api/payments/confirm/"


@tag("pooled", "smoke")
class ConfirmTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)
        self.type = make_type(price="10.00")

    def start(self, quantity=2):
        body = {"voucher_type_id": self.type.pk, "quantity": quantity}
        return self.api.post("/api/payments/create-payment-intent/", body).json()["payment_intent_id"]

    def confirm(self, intent_id, api=None, url=URL, **fields):
        return (api or self.api).post(url, {"payment_intent_id": intent_id, **fields})

    def assertNothingIssued(self, status="pending"):
        self.assertEqual(Voucher.objects.count(), 0)
        self.assertEqual(SoldVoucher.objects.count(), 0)
        self.assertEqual(Transaction.objects.get().status, status)

    def test_a_paid_purchase_gives_exactly_its_vouchers(self):
        intent_id = self.start(quantity=3)
        self.stripe.pay(intent_id)
        response = self.confirm(intent_id)
        self.assertEqual(response.status_code, 200, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"message", "transaction", "vouchers", "voucher_codes"})
        self.assertEqual(answer["transaction"]["status"], "completed")
        self.assertIsNotNone(answer["transaction"]["completed_at"])
        self.assertEqual(answer["transaction"]["receipt_number"], Receipt.objects.get().number)
        self.assertEqual(answer["voucher_codes"], [voucher["code"] for voucher in answer["vouchers"]])
        self.assertEqual(len(set(answer["voucher_codes"])), 3)
        for voucher in Voucher.objects.all():
            self.assertEqual((voucher.user, str(voucher.face_value)), (self.customer, "10.00"))
        self.assertEqual(list(SoldVoucher.objects.values_list("line_no", flat=True)), [1, 2, 3])

    def test_repeating_it_gives_the_same_answer_without_asking_stripe(self):
        intent_id = self.start()
        self.stripe.pay(intent_id)
        first = self.confirm(intent_id).json()
        calls = len(self.stripe.requests())
        for url in (URL, OLDER):
            again = self.confirm(intent_id, url=url, voucher_type_id=999, quantity=7)
            self.assertEqual(again.json(), again.json() | first)
        self.assertEqual(len(self.stripe.requests()), calls)
        self.assertEqual(Voucher.objects.count(), 2)

    # Who asks, the transaction; lock of its owner and of itself; vouchers with their history, sale with transaction,
    # the mail, the receipt. Elsewhere the vouchers' history and the sale are each a query more, the receipt two.
    queries = 8 if connection.vendor == "postgresql" else 12

    def test_any_quantity_takes_as_many_queries_and_a_repetition_three(self):
        make_completed_transaction(user=self.customer)  # after the first receipt there is a counter
        for quantity in (1, 2, 10):
            intent_id = self.start(quantity)
            self.stripe.pay(intent_id)
            with self.assertQueries(self.queries):
                first = self.confirm(intent_id)
            with self.assertQueries(3):  # who asks, the transaction with its disputes, its vouchers
                again = self.confirm(intent_id)
            self.assertEqual((len(first.json()["vouchers"]), first.json()), (quantity, again.json()))

    def test_a_code_that_exists_already_loses_no_payment(self):
        intent_id = self.start(quantity=2)
        self.stripe.pay(intent_id)
        existing = make_voucher(owner=self.customer).code
        drawn = [existing, *(digit * 16 for digit in "2345")]
        with patch.object(codes, "make", side_effect=drawn):
            answer = self.confirm(intent_id).json()
        self.assertEqual((len(set(answer["voucher_codes"])), Voucher.objects.count()), (2, 3))
        self.assertEqual(SoldVoucher.objects.count(), 2)

    def test_when_no_code_is_new_nothing_is_issued_and_later_it_works(self):
        intent_id = self.start(quantity=2)
        self.stripe.pay(intent_id)
        existing = make_voucher(owner=make_user())
        draws = patch.object(codes, "make", side_effect=cycle(["2" * 16, existing.code]))
        with draws, self.assertLogs("django.request", "ERROR"):
            self.assertProblem(self.confirm(intent_id), 500, "server_error")
        self.assertEqual((list(Voucher.objects.all()), SoldVoucher.objects.count()), ([existing], 0))
        self.assertEqual(Transaction.objects.get().status, "pending")
        self.assertEqual(self.confirm(intent_id).status_code, 200)

    def test_before_the_payment_it_says_where_the_payment_stands(self):
        for method, status in (
            (None, "requires_payment_method"),
            ("pm_card_threeDSecure2Required", "requires_action"),
            ("pm_local_processing", "processing"),
        ):
            intent_id = self.start()
            if method:
                self.stripe.pay(intent_id, method)
            document = self.assertProblem(self.confirm(intent_id), 409, "payment_not_completed")
            self.assertEqual(document["stripe_status"], status)
            self.assertNothingIssued()
            Transaction.objects.all().delete()

    def test_after_a_decline_another_card_completes_the_same_purchase(self):
        intent_id = self.start(quantity=1)
        with self.assertRaises(StripeError):
            self.stripe.pay(intent_id, "pm_card_chargeDeclined")
        document = self.assertProblem(self.confirm(intent_id), 409, "payment_not_completed")
        self.assertEqual(document["stripe_status"], "requires_payment_method")
        self.assertNothingIssued()
        self.stripe.pay(intent_id)
        self.assertEqual(len(self.confirm(intent_id).json()["vouchers"]), 1)

    def test_after_three_d_secure_it_completes(self):
        intent_id = self.start(quantity=1)
        self.stripe.pay(intent_id, "pm_card_threeDSecure2Required")
        self.stripe.settle(intent_id, "succeeded")
        self.assertEqual(self.confirm(intent_id).status_code, 200)
        self.assertEqual(Voucher.objects.count(), 1)

    def test_someone_elses_payment_is_not_found_and_stays_theirs(self):
        intent_id = self.start()
        self.stripe.pay(intent_id)
        self.assertProblem(self.confirm(intent_id, self.signed_in(make_user())), 404, "transaction_not_found")
        self.assertNothingIssued()
        completed = make_completed_transaction(user=make_user())
        response = self.confirm(completed.stripe_payment_intent_id)
        self.assertProblem(response, 404, "transaction_not_found")

    def test_unknown_and_odd_intents_are_refused(self):
        for intent_id in ("pi_unknown", "../charges", "x" * 255, "🦄"):
            self.assertProblem(self.confirm(intent_id), 404, "transaction_not_found")
        odd: tuple[object, ...] = (None, "", 7.5, ["pi"], {"id": "pi"}, "x" * 256, "pi_\0")
        for thing in odd:
            self.assertEqual(self.confirm(thing).status_code, 400 if thing != 7.5 else 404)
        self.assertProblem(self.confirm("pi_unknown", amount="0"), 400, "validation_error")

    def test_an_intent_that_stripe_does_not_know_is_not_found(self):
        forged = make_transaction(user=self.customer)
        self.assertProblem(self.confirm(forged.stripe_payment_intent_id), 404, "transaction_not_found")
        self.assertNothingIssued()

    def test_another_amount_currency_or_order_issues_nothing_and_is_reported(self):
        mismatches: tuple[dict[str, object], ...] = (
            {"amount_received": 1999},
            {"amount_received": 2001},
            {"amount_received": 0},
            {"currency": "eur"},
            {"currency": "jpy", "amount_received": 20},
            {"metadata": {"order_id": "7d1e6c0a-0000-4000-8000-000000000000"}},
            {"metadata": {}},
        )
        for wrong in mismatches:
            intent_id = self.start()
            self.stripe.pay(intent_id)
            self.stripe.override_payment_intent(intent_id, wrong)
            with self.subTest(wrong), self.assertLogs("apps.payments.services", "ERROR"):
                self.assertProblem(self.confirm(intent_id), 409, "payment_mismatch")
            self.assertNothingIssued()
            Transaction.objects.all().delete()

    def test_a_canceled_intent_fails_the_purchase(self):
        intent_id = self.start()
        self.stripe.override_payment_intent(intent_id, {"status": "canceled"})
        document = self.assertProblem(self.confirm(intent_id), 409, "payment_not_completed")
        self.assertEqual(document["stripe_status"], "canceled")
        self.assertNothingIssued(status="failed")

    def test_a_late_success_of_a_purchase_that_was_given_up_is_still_money(self):
        intent_id = self.start(quantity=1)
        Transaction.objects.update(status="failed")
        self.stripe.pay(intent_id)
        self.assertEqual(self.confirm(intent_id).json()["transaction"]["status"], "completed")
        self.assertEqual(Voucher.objects.count(), 1)

    def test_when_stripe_does_not_answer_nothing_changes_and_later_it_works(self):
        intent_id = self.start(quantity=1)
        self.stripe.pay(intent_id)
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", status=500, times=2)
        self.assertProblem(self.confirm(intent_id), 503, "payment_provider_unavailable")
        self.assertNothingIssued()
        self.assertEqual(self.confirm(intent_id).status_code, 200)


@skipUnless(connection.vendor == "postgresql", "the other forms are the only ones there")
class ConfirmByOrmTests(ConfirmTests):
    """The forms for other databases do the same on this one."""

    queries = 12

    def setUp(self):
        super().setUp()
        for module, one_statement, by_orm in (
            (voucher_rows, "insert_by_one_statement", voucher_rows.insert_by_orm),
            (sale_rows, "write_in_one_statement", sale_rows.write_by_orm),
            (receipt_rows, "insert_in_one_statement", receipt_rows.insert_by_orm),
        ):
            other_form = patch.object(module, one_statement, by_orm)
            other_form.start()
            self.addCleanup(other_form.stop)


class MessageTests(PaidTestCase, ApiTestCase):
    """What a buyer is told who confirms a payment again after something happened to it."""

    def message(self, paid):
        response = self.api.post(URL, {"payment_intent_id": paid.stripe_payment_intent_id})
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()["message"]

    def test_a_completed_payment(self):
        self.assertEqual(self.message(self.buy(1)), "Payment completed.")

    def test_a_refund_under_way_and_one_that_was_made(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        refund_id = self.ask(paid).json()["id"]
        self.assertEqual(self.message(paid), "Payment completed. A refund of 10.00\xa0USD is under way.")
        services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertEqual(
            self.message(paid), "Payment completed. Of 20.00\xa0USD, 10.00\xa0USD went back to you."
        )

    def test_a_payment_that_was_refunded_in_full(self):
        paid = self.buy(2)
        self.refund(paid)
        self.assertEqual(
            self.message(paid), "This payment was refunded in full. Its vouchers can't be used any more."
        )

    def test_a_dispute_while_it_is_open_and_when_it_was_won(self):
        paid = self.buy(1)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        self.assertIn("Your bank is looking into it", self.message(paid))
        self.stripe.close_dispute(dispute["id"], "won")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.message(paid), "Payment completed.")

    def test_a_dispute_that_was_lost(self):
        paid = self.buy(1)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
        self.stripe.close_dispute(dispute["id"], "lost")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(
            self.message(paid),
            "This payment was taken back by your bank. Its vouchers can't be used any more.",
        )


class HistoryTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()
        self.api = self.signed_in(self.customer)

    def ids(self, **query):
        response = self.api.get("/api/payments/history/", query)
        self.assertEqual(response.status_code, 200, response.content)
        return [row["id"] for row in response.json()["results"]]

    def test_it_shows_own_transactions_newest_first_and_filters(self):
        pending = make_transaction(user=self.customer, created_at="2026-01-05T10:00:00Z")
        failed = make_transaction(user=self.customer, status="failed", created_at="2026-01-06T10:00:00Z")
        completed = make_completed_transaction(user=self.customer)
        make_transaction(user=make_user())
        self.assertEqual(self.ids(), [completed.pk, failed.pk, pending.pk])
        self.assertEqual(self.ids(status="failed"), [failed.pk])
        self.assertEqual(self.ids(**{"from": "2026-01-06", "to": "2026-01-06"}), [failed.pk])
        self.assertEqual(self.ids(to="2026-01-05T10:00:00Z"), [pending.pk])
        for name, wrong in (("status", "paid"), ("from", "soon"), ("to", "\0")):
            response = self.api.get("/api/payments/history/", {name: wrong})
            self.assertProblem(response, 400, "validation_error")

    def test_it_takes_two_queries_whatever_the_page_holds_and_three_with_a_filter(self):
        for number in (0, 6):
            for _ in range(number):
                make_transaction(user=self.customer)
            with self.assertQueries(2):  # who asks; the page with the number of all
                self.assertEqual(len(self.ids()), number)
        for query in ({"status": "pending"}, {"from": "2020-01-01"}):
            with self.assertQueries(3):  # who asks, the number, the page
                self.assertEqual(len(self.ids(**query)), 6)

    def test_pages_hold_what_the_whole_list_holds(self):
        transactions = [make_transaction(user=self.customer).pk for _ in range(5)][::-1]
        pages = [self.ids(page=page, page_size=2) for page in (1, 2, 3)]
        self.assertEqual(pages, [transactions[:2], transactions[2:4], transactions[4:]])
        response = self.api.get("/api/payments/history/", {"page": 2, "page_size": 2}).json()
        self.assertEqual(response["count"], 5)
        self.assertIn("page=3", response["next"])
        for page in ("4", "0", "x"):
            self.assertProblem(self.api.get("/api/payments/history/", {"page": page}), 404, "not_found")

    def test_a_transaction_is_shown_with_its_vouchers(self):
        completed = make_completed_transaction(user=self.customer, quantity=2)
        with self.assertQueries(3):  # who asks, the transaction, its vouchers
            answer = self.api.get(f"/api/payments/transaction/{completed.pk}/").json()
        self.assertEqual(
            (answer["id"], answer["status"], len(answer["vouchers"])), (completed.pk, "completed", 2)
        )

    def test_unknown_ids_are_not_found(self):
        for wrong in ("0", "999999", "9" * 30, "9" * 5000):
            response = self.api.get(f"/api/payments/transaction/{wrong}/")
            self.assertEqual(response.status_code, 404)
            self.assertEqual(response.headers["Content-Type"], "application/problem+json")

    def test_it_needs_a_signed_in_user(self):
        self.api.credentials()
        for url in ("/api/payments/history/", "/api/payments/transaction/1/"):
            self.assertProblem(self.api.get(url), 401, "not_authenticated")
        response = self.api.post(URL, {"payment_intent_id": "pi_1"})
        self.assertProblem(response, 401, "not_authenticated")
