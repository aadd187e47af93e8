"""An account is closed while its payment arrives: vouchers from before the closing, or the money back."""

import time
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection

from apps.payments import gateway
from apps.payments.models import Transaction
from apps.payments.services import fulfilment
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers.models import VoucherEvent
from tests.support.books import broken_rules
from tests.support.cases import Client, RaceTestCase

from .money import PaidTestCase


class ClosedWhilePaidTests(PaidTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)  # each waits its turn, however slow the machine
        waiting.start()
        self.addCleanup(waiting.stop)

    def race(self):
        """One round: whether each voucher that can be redeemed was there when the account was closed."""
        self.api = self.signed_in(make_user())
        intent_id = self.start(2).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        succeeded = self.event_of(intent_id)
        closed, *deliveries = self.together(
            lambda: self.api.delete("/api/users/profile/", {"password": PASSWORD}),
            *[lambda: self.deliver(succeeded, Client())] * 2,
        )
        self.assertEqual([closed.status_code, *(each.status_code for each in deliveries)], [204, 200, 200])
        paid = Transaction.objects.get(stripe_payment_intent_id=intent_id)
        redeemable = [voucher.pk for voucher in paid.vouchers if voucher.is_active]
        before = VoucherEvent.objects.filter(voucher__in=redeemable, kind="closed").count()
        given_back = len(self.stripe.refunds(intent_id))
        return before == len(redeemable) and bool(redeemable) != bool(given_back) and paid.is_paid

    def test_it_is_fulfilled_before_or_given_back(self):
        for round_no in range(self.rounds):
            self.assertTrue(self.race(), f"round {round_no}")
        self.assertEqual(broken_rules(), {})

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_a_fulfilment_that_only_looks_whether_the_account_is_open(self):
        def looks(intent):
            is_open = Transaction.objects.filter(
                stripe_payment_intent_id=intent.id, user__is_active=True
            ).exists()
            time.sleep(1)
            return is_open

        with patch.object(fulfilment, "_owner_stays_open", looks):
            self.assertCaught(self.race, lambda is_right: not is_right)
