"""Refunds and redemptions at the same instant: never both, and never more than was paid."""

import time
from contextlib import suppress
from decimal import Decimal
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.test import tag

from apps.payments import gateway, services
from apps.payments.errors import NothingToRefund, PaymentProviderUnavailable, RefundDecided
from apps.payments.models import Refund, Transaction
from apps.payments.services.refunds import requests
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold
from tests.support.cases import Client, RaceTestCase

from .money import PaidTestCase


class RefundRaceTestCase(PaidTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)
        waiting.start()
        self.addCleanup(waiting.stop)


@tag("pooled")
class RefundOrRedeemTests(RefundRaceTestCase):
    def race(self, delay=0.0):
        """One round: a voucher of the payment is redeemed while its refund is asked for. Whether both happened."""
        paid = self.buy(1)
        (voucher,) = paid.vouchers
        api = self.signed_in(self.customer)

        def redeem():
            time.sleep(delay)
            return api.post("/api/vouchers/redeem/", {"code": voucher.code})

        request, *redeemed = self.together(lambda: self.ask(paid), *[redeem] * 3)
        voucher.refresh_from_db()
        used = [answer.status_code for answer in redeemed].count(200)
        refunded = request.status_code == 201
        statuses = {request.status_code, *(answer.status_code for answer in redeemed)}
        self.assertLessEqual(statuses, {200, 201, 409})
        return refunded + used, voucher.usages.count() + paid.refunds.count(), voucher.is_active or refunded

    def right(self, outcome):
        return outcome[:2] == (1, 1)

    def test_a_voucher_is_refunded_or_redeemed_and_never_both(self):
        for round_no in range(self.rounds):
            outcome = self.race()
            self.assertTrue(self.right(outcome), f"round {round_no}: {outcome}")

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_a_refund_that_does_not_lock_the_vouchers(self):
        def unlocked(paid):
            vouchers = list(paid.vouchers)
            time.sleep(0.5)
            return vouchers

        def hold_afterwards(paid, **options):
            Voucher.objects.filter(sale__transaction=paid).update(
                holds=Hold.REFUND_PENDING, is_active=False, inactive_reason="refund_pending"
            )

        with (
            patch.object(requests, "lock_vouchers", unlocked),
            patch.object(requests, "recalculate", hold_afterwards),
        ):
            self.assertCaught(lambda: self.race(delay=0.2), lambda outcome: not self.right(outcome))


class ParallelRefundTests(RefundRaceTestCase):
    def request(self, paid):
        """One of five: a refund by staff that is approved at once."""

        def run():
            try:
                refund = services.request_refund_by_staff(
                    transaction_id=paid.pk, actor=self.staff, reason="At once"
                )
                return services.approve_refund(refund_id=refund.pk, actor=self.staff).status
            except (NothingToRefund, RefundDecided, PaymentProviderUnavailable) as error:
                return error.code

        return run

    def test_five_refunds_at_once_never_exceed_the_amount(self):
        for round_no in range(self.rounds):
            paid = self.buy(3)
            outcomes = self.together(*[self.request(paid)] * 5)
            refunds = self.stripe.refunds(paid.stripe_payment_intent_id)
            with self.subTest(round=round_no, outcomes=outcomes):
                self.assertEqual(outcomes.count("succeeded"), 1)
                self.assertEqual(outcomes.count("nothing_to_refund"), 4)
                self.assertEqual([refund["amount"] for refund in refunds], [3000])
                self.assertEqual(self.books(paid)[:3], ("refunded", Decimal(0), Decimal(30)))

    def test_one_refund_approved_five_times_at_once_is_made_once(self):
        def approve():
            try:
                return services.approve_refund(refund_id=refund_id, actor=self.staff).status
            except RefundDecided as error:
                return error.code

        for _ in range(self.rounds):
            paid = self.buy(2)
            refund_id = self.ask(paid).json()["id"]
            outcomes = self.together(*[approve] * 5)
            self.assertEqual(outcomes.count("refund_decided"), 4, outcomes)
            self.assertEqual(len(self.stripe.refunds(paid.stripe_payment_intent_id)), 1)

    def test_the_dashboard_and_ours_and_their_events_at_once_end_the_same(self):
        for _ in range(self.rounds):
            paid = self.buy(2)
            intent_id = paid.stripe_payment_intent_id
            refund_id = self.ask(paid).json()["id"]
            self.stripe.refund(intent_id, 1000)
            created = [event["id"] for event in self.stripe.events("refund.created")][-1]
            charge = [event["id"] for event in self.stripe.events("charge.refunded")][-1]

            def approve(refund_id=refund_id):
                with suppress(RefundDecided):  # the one in the dashboard came first
                    services.approve_refund(refund_id=refund_id, actor=self.staff)

            self.together(
                approve,
                *[lambda event=created: self.deliver(event, Client())] * 3,
                *[lambda event=charge: self.deliver(event, Client())] * 3,
            )
            services.sync_refunds_of_charge(self.stripe.events("charge.refunded")[-1]["data"]["object"]["id"])
            at_stripe = sum(
                refund["amount"]
                for refund in self.stripe.refunds(intent_id)
                if refund["status"] == "succeeded"
            )
            books = Transaction.objects.get(pk=paid.pk)
            self.assertEqual(books.amount_refunded * 100, at_stripe)
            going = Refund.objects.filter(transaction=paid, status__in=("succeeded", "pending", "approved"))
            self.assertLessEqual(sum(refund.amount for refund in going), paid.amount)
            left = sum(voucher.is_active for voucher in paid.vouchers)
            self.assertLessEqual(left * 10, paid.amount - books.amount_refunded)
