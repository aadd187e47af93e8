"""POST /api/payments/refund/request/, what staff decide, and what Stripe does."""

from decimal import Decimal
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.test.utils import tag
from django.utils import timezone

from apps.payments import errors, gateway, services
from apps.payments.models import IdempotencyKey, Refund, RefundedVoucher, Transaction
from apps.payments.services import recalculation
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers import errors as voucher_errors
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import CONFIRM, REFUND, REFUNDS, PaidTestCase


class RequestTests(PaidTestCase, ApiTestCase):
    def test_the_unused_vouchers_are_held_at_once_and_cannot_be_redeemed(self):
        paid = self.buy(3)
        used = paid.vouchers[0]
        self.redeem(used)
        response = self.ask(paid)
        self.assertEqual(response.status_code, 201, response.content)
        answer = response.json()
        self.assertEqual(
            (answer["payment_id"], answer["status"], answer["amount"], answer["currency"], answer["reason"]),
            (paid.pk, "requested", "20.00", "USD", "Not needed"),
        )
        self.assertEqual(
            sorted(answer["voucher_codes"]), sorted(each.shown_code for each in paid.vouchers[1:])
        )
        self.assertEqual(
            self.books(paid),
            ("completed", Decimal(20), Decimal(0), ["", "refund_pending", "refund_pending"]),
        )
        refused = self.assertProblem(self.redeem(paid.vouchers[1]), 409, "voucher_inactive")
        self.assertEqual(refused["reason"], "refund_pending")
        self.assertEqual(self.stripe.refunds(), [])
        self.assertEqual(self.api.get(REFUNDS).json()["results"], [answer])

    def test_the_payment_is_named_by_its_number_as_text_or_by_its_intent(self):
        for name in (lambda paid: str(paid.pk), lambda paid: paid.stripe_payment_intent_id):
            paid = self.buy(1)
            response = self.api.post(REFUND, {"payment_id": name(paid), "reason": "Twice"})
            self.assertEqual(response.status_code, 201, response.content)
            self.assertEqual(response.json()["payment_id"], paid.pk)

    def test_nonsense_is_refused_and_changes_nothing(self):
        paid = self.buy(1)
        for body in (
            {},
            {"payment_id": paid.pk},
            {"payment_id": True, "reason": "x"},
            {"payment_id": 0, "reason": "x"},
            {"payment_id": "9" * 200, "reason": "x"},
            {"payment_id": "\u0663", "reason": "x"},
            {"payment_id": [paid.pk], "reason": "x"},
            {"payment_id": 1.5, "reason": "x"},
            {"payment_id": paid.pk, "reason": " "},
            {"payment_id": paid.pk, "reason": "x" * 201},
            {"payment_id": paid.pk, "reason": "x", "notes": "x" * 2001},
            {"payment_id": paid.pk, "reason": "x", "amounts": "5.00"},
        ):
            with self.subTest(body):
                self.assertProblem(self.api.post(REFUND, body), 400, "validation_error")
        self.assertEqual((Refund.objects.count(), self.books(paid)[3]), (0, [""]))

    def test_someone_elses_unknown_and_unpaid_payments_are_refused(self):
        paid = self.buy(1)
        pending = self.start(1).json()["transaction_id"]
        another = self.signed_in(make_user())
        self.assertProblem(
            another.post(REFUND, {"payment_id": paid.pk, "reason": "x"}), 404, "transaction_not_found"
        )
        for payment_id in (10**18, "pi_unknown"):
            self.assertProblem(
                self.api.post(REFUND, {"payment_id": payment_id, "reason": "x"}), 404, "transaction_not_found"
            )
        self.assertProblem(self.api.post(REFUND, {"payment_id": pending, "reason": "x"}), 409, "not_paid")
        self.assertEqual(Refund.objects.count(), 0)

    def test_used_expired_and_held_vouchers_and_free_ones_are_not_refunded(self):
        used, expired, suspended = self.buy(1), self.buy(1), self.buy(1)
        self.redeem(used.vouchers[0])
        Voucher.objects.filter(sale__transaction=expired).update(expiry_date=timezone.now())
        voucher_services.suspend_vouchers([suspended.vouchers[0].pk], actor=self.staff, reason="Odd")
        self.type = make_type(price=0)
        self.start(1)
        free = Transaction.objects.get(amount=0)
        for paid in (used, expired, suspended, free):
            self.assertProblem(self.ask(paid), 409, "nothing_to_refund")
        self.assertEqual(Refund.objects.count(), 0)

    def test_asking_again_finds_nothing_more_to_refund(self):
        paid = self.buy(2)
        self.ask(paid)
        self.assertProblem(self.ask(paid), 409, "nothing_to_refund")
        self.assertEqual(Refund.objects.count(), 1)

    def test_the_same_key_gives_the_first_answer_again(self):
        paid = self.buy(2)
        key = {"headers": {"Idempotency-Key": "a refund"}}
        first = self.ask(paid, **key)
        self.api = self.signed_in(self.customer)
        second = self.ask(paid, **key)
        self.assertEqual((second.status_code, second.json()), (201, first.json()))
        self.assertEqual(second.headers["Idempotent-Replayed"], "true")
        self.assertNotIn("Idempotent-Replayed", first.headers)
        other = self.api.post(REFUND, {"payment_id": paid.pk, "reason": "Other"}, **key)
        self.assertProblem(other, 422, "idempotency_key_reused")
        self.assertEqual(Refund.objects.count(), 1)

    def test_a_refused_request_is_not_kept_under_its_key(self):
        paid = self.buy(1)
        self.redeem(paid.vouchers[0])
        key = {"headers": {"Idempotency-Key": "a refund"}}
        for _ in range(2):
            self.assertProblem(self.ask(paid, **key), 409, "nothing_to_refund")
        self.assertEqual(IdempotencyKey.objects.count(), 0)

    def test_closing_the_account_empties_what_the_buyer_wrote_and_keeps_the_books(self):
        paid = self.buy(1)
        body = {"payment_id": paid.pk, "reason": "My daughter is ill", "notes": "Call me"}
        self.api.post(REFUND, body, headers={"Idempotency-Key": "a refund"})
        self.assertEqual(self.api.get("/api/users/export/").json()["refunds"][0]["notes"], "Call me")
        closed = self.api.delete("/api/users/profile/", {"password": PASSWORD})
        self.assertEqual(closed.status_code, 204, closed.content)
        refund = Refund.objects.get()
        self.assertEqual((refund.reason, refund.notes, refund.amount), ("", "", Decimal(10)))
        self.assertEqual(IdempotencyKey.objects.count(), 0)
        services.approve_refund(refund_id=refund.pk, actor=self.staff)
        self.assertEqual(self.books(paid)[0], "refunded")

    def test_a_buyer_sees_their_own_refunds_in_few_queries(self):
        for _ in range(3):
            self.ask(self.buy(2))
        self.assertEqual(self.signed_in(make_user()).get(REFUNDS).json()["count"], 0)
        with self.assertQueries(5):  # session, count, refunds, lines, vouchers
            self.assertEqual(self.api.get(REFUNDS).json()["count"], 3)


@tag("smoke")
class DecisionTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.paid = self.buy(2)

    def requested(self):
        return Refund.objects.get(pk=self.ask(self.paid).json()["id"])

    def approve(self, refund):
        return services.approve_refund(refund_id=refund.pk, actor=self.staff, note="Fine")

    def test_an_approved_refund_gives_the_money_back_and_voids_the_vouchers(self):
        refund = self.approve(self.requested())
        (at_stripe,) = self.stripe.refunds(self.paid.stripe_payment_intent_id)
        self.assertEqual(
            (at_stripe["amount"], at_stripe["metadata"]), (2000, {"refund_id": str(refund.reference)})
        )
        (request,) = [call for call in self.stripe.requests() if call["path"] == "/v1/refunds"]
        self.assertEqual(request["idempotency_key"], f"refund-{refund.reference}")
        self.assertEqual((refund.status, refund.stripe_refund_id), ("succeeded", at_stripe["id"]))
        self.assertEqual((refund.decided_by, refund.decision_note), (self.staff, "Fine"))
        self.assertEqual(
            self.books(self.paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"])
        )
        self.assertEqual(
            self.api.get(f"/api/payments/transaction/{self.paid.pk}/").json()["amount_refunded"], "20.00"
        )
        history = VoucherEvent.objects.filter(voucher=self.paid.vouchers[0]).values_list("kind", "hold")
        self.assertEqual(list(history), [("issued", ""), ("held", "refund_pending"), ("voided", "refunded")])

    def test_a_partial_refund_leaves_the_purchase_completed(self):
        self.redeem(self.paid.vouchers[0])
        self.approve(self.requested())
        self.assertEqual(self.books(self.paid), ("completed", Decimal(0), Decimal(10), ["", "refunded"]))

    def test_staff_refund_single_vouchers_but_no_used_ones(self):
        first, second = self.paid.vouchers
        refund = services.request_refund_by_staff(
            transaction_id=self.paid.pk, actor=self.staff, reason="Goodwill", voucher_ids=[second.pk]
        )
        self.approve(refund)
        self.assertEqual(self.books(self.paid), ("completed", Decimal(0), Decimal(10), ["", "refunded"]))
        self.redeem(first)
        with self.assertRaises(errors.NothingToRefund):
            services.request_refund_by_staff(
                transaction_id=self.paid.pk, actor=self.staff, reason="More", voucher_ids=[first.pk]
            )
        self.assertEqual(Refund.objects.count(), 1)

    def test_a_rejected_refund_lets_the_vouchers_go(self):
        refund = self.requested()
        services.reject_refund(refund_id=refund.pk, actor=self.staff, note="Too late")
        self.assertEqual(self.books(self.paid), ("completed", Decimal(0), Decimal(0), ["", ""]))
        self.assertEqual(self.redeem(self.paid.vouchers[0]).status_code, 200)
        self.assertEqual(self.stripe.refunds(), [])
        self.assertEqual(self.api.get(REFUNDS).json()["results"][0]["decision_note"], "Too late")

    def test_a_decision_is_made_once(self):
        refund = self.requested()
        services.reject_refund(refund_id=refund.pk, actor=self.staff, note="No")
        for decide in (services.approve_refund, services.reject_refund):
            with self.assertRaises(errors.RefundDecided):
                decide(refund_id=refund.pk, actor=self.staff, note="Yes")
        with self.assertRaises(errors.RefundNotFound):
            services.approve_refund(refund_id=10**12, actor=self.staff)
        self.assertEqual(self.stripe.refunds(), [])

    def test_an_effect_then_an_error_is_one_refund_when_it_is_driven_again(self):
        refund = self.requested()
        self.stripe.add_fault(method="POST", path="/v1/refunds", effect_then_error=500)
        with self.assertRaises(errors.PaymentProviderUnavailable):
            self.approve(refund)
        self.assertEqual(self.books(self.paid)[3], ["refund_pending"] * 2)
        self.assertEqual(Refund.objects.get().status, "approved")
        before = len(self.stripe.requests())
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        self.assertNotIn("POST", [call["method"] for call in self.stripe.requests()[before:]])
        self.assertEqual(len(self.stripe.refunds()), 1)
        self.assertEqual(services.execute_refund(refund.pk).status, "succeeded")
        self.assertEqual(self.books(self.paid)[:3], ("refunded", Decimal(0), Decimal(20)))

    def test_a_refund_that_stripe_refuses_fails_and_lets_the_vouchers_go(self):
        refund = self.requested()
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=400)
        with self.assertLogs("apps.payments", "ERROR"):
            refund = self.approve(refund)
        self.assertEqual(refund.status, "failed")
        self.assertEqual(self.books(self.paid), ("completed", Decimal(0), Decimal(0), ["", ""]))
        self.assertEqual(self.ask(self.paid).status_code, 201)


class AtStripeTests(PaidTestCase, ApiTestCase):
    """What Stripe says by webhook."""

    def test_a_pending_refund_holds_until_it_succeeds(self):
        paid = self.buy(1, "pm_card_pendingRefund")
        refund = self.refund(paid)
        self.assertEqual(refund.status, "pending")
        self.assertEqual(self.books(paid), ("completed", Decimal(10), Decimal(0), ["refund_pending"]))
        self.stripe.settle_refund(refund.stripe_refund_id, "succeeded")
        self.deliver_all("refund.updated")
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(10), ["refunded"]))

    def test_a_refund_that_fails_after_it_succeeded_gives_the_vouchers_back(self):
        paid = self.buy(1, "pm_card_refundFail")
        refund = self.refund(paid)
        self.assertEqual(self.books(paid)[0], "refunded")
        self.stripe.settle_refund(refund.stripe_refund_id, "failed")
        with self.assertLogs("apps.payments", "ERROR"):
            self.deliver_all("refund.failed")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(0), [""]))
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)

    def test_an_older_answer_does_not_undo_a_newer_one(self):
        paid = self.buy(1, "pm_card_pendingRefund")
        refund = self.refund(paid)
        older = gateway.fetch_refund(refund.stripe_refund_id)
        self.stripe.settle_refund(refund.stripe_refund_id, "succeeded")
        services.sync_refund(refund.stripe_refund_id)
        services.apply_refund(older)
        self.assertEqual(self.books(paid)[0], "refunded")

    def test_a_full_refund_in_the_dashboard_voids_everything(self):
        for kind in ("refund.created", "charge.refunded"):
            paid = self.buy(2)
            self.stripe.refund(paid.stripe_payment_intent_id)
            self.deliver_all(kind)
            self.deliver_all(kind)
            self.assertEqual(
                self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"])
            )
            self.assertEqual(paid.refunds.get().origin, "stripe")

    def test_a_partial_refund_in_the_dashboard_voids_the_unused_vouchers_that_it_pays_for_in_full(self):
        paid = self.buy(3)
        self.redeem(paid.vouchers[0])
        self.stripe.refund(paid.stripe_payment_intent_id, 1500)
        self.deliver_all("refund.created")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(15), ["", "refunded", ""]))

    def test_what_was_used_and_then_refunded_in_the_dashboard_gets_no_use_back(self):
        paid = self.buy(2)
        for voucher in paid.vouchers:
            self.redeem(voucher)
        self.stripe.refund(paid.stripe_payment_intent_id, 1000)
        self.deliver_all("refund.created")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))
        refunded, unrefunded = (voucher.usages.get().pk for voucher in paid.vouchers)
        with self.assertRaises(voucher_errors.VoucherInactive):
            voucher_services.reverse_usage(usage_id=refunded, actor=self.staff, reason="Not shown")
        voucher_services.reverse_usage(usage_id=unrefunded, actor=self.staff, reason="Not shown")
        self.assertEqual([self.redeem(voucher).status_code for voucher in paid.vouchers], [409, 200])
        self.stripe.refund(paid.stripe_payment_intent_id)
        self.deliver_all("refund.created")
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))
        self.assertEqual(broken_rules(), {})

    def test_two_halves_in_the_dashboard_void_one_voucher(self):
        paid = self.buy(2)
        for _ in range(2):
            self.stripe.refund(paid.stripe_payment_intent_id, 500)
        self.deliver_all("refund.created")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))

    def test_a_refund_that_was_given_up_here_and_made_at_stripe_voids_its_vouchers_after_all(self):
        paid = self.buy(1)
        refund = self.refund(paid)
        refund.lines.update(live=False)
        Refund.objects.update(status="failed", stripe_refund_id=None)
        recalculation.recalculate(paid, reason="as if Stripe had refused")
        self.assertEqual(self.books(paid)[3], [""])
        services.sync_refund(refund.stripe_refund_id)
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(10), ["refunded"]))

    def test_a_refund_in_the_dashboard_takes_the_place_of_a_request(self):
        paid = self.buy(2)
        self.ask(paid)
        self.stripe.refund(paid.stripe_payment_intent_id)
        self.deliver_all("refund.created")
        statuses = sorted(paid.refunds.values_list("origin", "status"))
        self.assertEqual(statuses, [("buyer", "canceled"), ("stripe", "succeeded")])
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))

    def test_refunded_in_the_dashboard_while_ours_is_sent_never_frees_a_voucher(self):
        paid = self.buy(2)
        refund_id = self.ask(paid).json()["id"]
        self.stripe.refund(paid.stripe_payment_intent_id)
        with self.assertLogs("apps.payments", "WARNING"):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))
        self.assertNotIn("released", VoucherEvent.objects.values_list("kind", flat=True))
        self.assertEqual(RefundedVoucher.objects.filter(live=True).count(), 2)

    def test_refund_events_before_the_success_event_fulfil_first(self):
        intent_id = self.start(2).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        self.stripe.refund(intent_id, 1000)
        self.deliver_all("refund.created")
        paid = Transaction.objects.get()
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))
        self.deliver_all("payment_intent.succeeded")
        self.api.post(CONFIRM, {"payment_intent_id": intent_id})
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))

    def test_a_refund_of_another_shops_payment_is_taken_and_changes_nothing(self):
        intent = gateway.create_intent(
            amount=Decimal(5), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.pay(intent.id)
        self.stripe.refund(intent.id)
        self.deliver_all("refund.created")
        self.deliver_all("charge.refunded")
        self.assertEqual(Refund.objects.count(), 0)

    def test_an_event_while_stripe_is_down_waits(self):
        paid = self.buy(1)
        self.stripe.refund(paid.stripe_payment_intent_id)
        self.stripe.add_fault(method="GET", path="/v1/refunds", status=500, times=2)
        (event,) = self.stripe.events("refund.created")
        self.assertProblem(self.deliver(event["id"]), 503, "payment_provider_unavailable")
        self.assertEqual(self.books(paid)[0], "completed")
        self.deliver(event["id"])
        self.assertEqual(self.books(paid)[0], "refunded")


class SchemaTests(PaidTestCase, ApiTestCase):
    def test_the_schema_refuses_refunds_of_more_than_was_paid(self):
        paid = self.buy(1)
        self.ask(paid)
        Refund.objects.update(amount=11)
        with self.assertRaises(IntegrityError), transaction.atomic():
            recalculation.recalculate(Transaction.objects.get(), reason="wrong")

    def test_a_voucher_is_in_one_live_refund_at_most(self):
        paid = self.buy(1)
        self.ask(paid)
        other = Refund.objects.create(transaction=paid, amount=1, origin="staff")
        with self.assertRaises(IntegrityError), transaction.atomic():
            RefundedVoucher.objects.create(refund=other, voucher=paid.vouchers[0])

    def test_money_without_minor_units_goes_back_whole(self):
        self.type = make_type(price=1000, currency="JPY")
        paid = self.buy(2)
        self.refund(paid)
        self.assertEqual([refund["amount"] for refund in self.stripe.refunds()], [2000])
        self.assertEqual(self.books(paid)[:3], ("refunded", Decimal(0), Decimal(2000)))
