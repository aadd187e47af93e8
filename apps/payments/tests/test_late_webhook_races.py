"""A purchase is confirmed while refunds and disputes of it become known: its vouchers are never redeemable."""

import time
from unittest.mock import patch

from apps.payments import gateway
from apps.payments.models import Transaction
from apps.payments.services import fulfilment
from apps.payments.services.disputes import last_changes
from apps.vouchers.models import Voucher
from tests.support.books import broken_rules
from tests.support.cases import Client, RaceTestCase

from .money import CONFIRM, PaidTestCase


class KnownWhileConfirmingTests(PaidTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)  # each waits its turn, however slow the machine
        waiting.start()
        self.addCleanup(waiting.stop)

    def race(self, event):
        """One round: confirms and events of all kinds at once, and somebody who redeems whatever there is."""
        intent_id = self.start(1).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        if event == "refund":
            kind, about = "refund.created", self.stripe.refund(intent_id)["id"]
        else:
            kind, about = "charge.dispute.created", self.stripe.dispute(intent_id)["id"]
        event_id = self.event_of(about, kind)
        succeeded = self.event_of(intent_id)
        paid = Transaction.objects.get(stripe_payment_intent_id=intent_id)
        confirming = [True]

        def redeem():
            """The statuses of trying the voucher, again and again, from the moment that it can be seen."""
            statuses: list[int] = []
            while confirming or not statuses:
                for voucher in Voucher.objects.filter(sale__transaction=paid):
                    statuses.append(self.redeem(voucher).status_code)
                time.sleep(0.005)
            return statuses

        def confirm():
            response = self.api.post(CONFIRM, {"payment_intent_id": intent_id})
            confirming.clear()
            return [response.status_code]

        _, *redeemed = self.together(
            confirm,
            redeem,
            lambda: self.deliver(event_id, Client()) and [],
            lambda: self.deliver(succeeded, Client()) and [],
        )
        paid.refresh_from_db()
        return 200 in redeemed[0], [voucher.holds for voucher in paid.vouchers]

    def test_nobody_redeems_what_was_refunded_or_disputed_before(self):
        for round_no in range(self.rounds):
            for event, holds in (("refund", ["refunded"]), ("dispute", ["disputed"])):
                self.assertEqual(self.race(event), (False, holds), f"round {round_no}")
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_vouchers_that_are_committed_before_the_rest_is_applied(self):
        take_over = fulfilment._take_over

        def applied_later(paid, intent, read_at):
            """The broken twin: nothing in the transaction of the fulfilment."""

        def in_two_transactions(intent, read_at):
            settled = settle(intent, read_at)
            time.sleep(0.1)
            assert settled
            take_over(settled, intent, last_changes(intent.id))
            return settled

        settle = fulfilment.apply_intent
        with (
            patch.object(fulfilment, "_take_over", applied_later),
            patch.object(fulfilment, "apply_intent", in_two_transactions),
        ):
            events = iter(("refund", "dispute") * 2)
            self.assertCaught(lambda: self.race(next(events)), lambda outcome: outcome[0], rounds=4)
