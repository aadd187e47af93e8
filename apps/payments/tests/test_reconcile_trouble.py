"""manage.py reconcile_payments when something is in its way: one bad row, a busy Stripe, a long time to compare."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import uuid4

from django.core.management import CommandError
from django.test import tag
from django.utils import timezone

from apps.payments import gateway, services
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Refund, Transaction
from apps.payments.services import fulfilment, reconciliation
from apps.payments.services.reconciliation import paging
from apps.vouchers.models import Voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase, Client, RaceTestCase

from .money import CONFIRM
from .test_races import settle_without_the_lock
from .test_reconcile import ReconcileTestCase

INTENTS = "^/v1/payment_intents$"


class TroubleTests(ReconcileTestCase, ApiTestCase):
    def test_a_dry_run_changes_nothing_here_or_at_stripe(self):
        self.paid_unnoticed()
        self.start()  # abandoned
        refunded = self.buy(1)
        self.stripe.refund(refunded.stripe_payment_intent_id)
        self.stripe.dispute(self.buy(1).stripe_payment_intent_id)
        self.age(hours=25)
        rows, before = self.rows(), len(self.stripe.requests())
        self.assertEqual(len(self.run_it(expect=1)), 4)
        methods = {call["method"] for call in self.stripe.requests()[before:]}
        self.assertEqual((self.rows(), methods), (rows, {"GET"}))
        self.run_it("--apply")
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def rows(self):
        kinds = (Transaction, Refund, Voucher)
        return [list(kind.objects.order_by("pk").values()) for kind in kinds]

    def test_one_row_that_cannot_be_repaired_does_not_keep_the_others_from_it(self):
        bad, good = self.paid_unnoticed(), self.paid_unnoticed()
        self.age()
        settle = services.fulfilment.apply_intent

        def fails_for_the_bad_one(intent, read_at):
            if intent.id == bad.stripe_payment_intent_id:
                raise RuntimeError("a bug of ours")
            return settle(intent, read_at)

        with (
            patch.object(services.fulfilment, "apply_intent", fails_for_the_bad_one),
            self.assertLogs("apps.payments", "ERROR"),
        ):
            differences = self.run_it("--apply", expect=1)
        self.assertEqual(differences, [("paid_not_fulfilled", False), ("paid_not_fulfilled", True)])
        self.assertEqual((self.books(bad)[0], self.books(good)[0]), ("pending", "completed"))
        self.run_it("--apply")
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_one_intent_that_stripe_cannot_tell_of_does_not_hide_the_others(self):
        bad, good = self.paid_unnoticed(), self.paid_unnoticed()
        self.age()
        path = f"/v1/payment_intents/{bad.stripe_payment_intent_id}"
        # It is asked for when it is looked up, and when it is found in Stripe's list; each as patience has it, twice by
        # the library.
        tries = 2 * (len(paging.BACK_OFF) + 1) * 2
        self.stripe.add_fault(method="GET", path=path, status=500, times=tries)
        with self.assertLogs("apps.payments", "ERROR"):
            self.run_it("--apply", expect=2)
        self.assertEqual((self.books(good)[0], self.books(bad)[0]), ("completed", "pending"))
        self.run_it("--apply")
        self.assertEqual(self.books(bad)[0], "completed")
        self.assertEqual(broken_rules(), {})

    def test_a_stripe_that_is_away_is_not_asked_for_every_row(self):
        for _ in range(8):
            self.start()
        self.age()
        self.stripe.add_fault(path="/v1/", status=503, times=500)
        before = len(self.stripe.requests())
        with self.assertLogs("apps.payments", "ERROR"):
            self.run_it("--apply", expect=2)
        # Three rows, each asked for as patience has it, twice by the library.
        tries = 3 * (len(paging.BACK_OFF) + 1) * 2
        self.assertEqual(len(self.stripe.requests()) - before, tries)

    def test_an_approved_refund_of_a_payment_that_stripe_does_not_have_ends(self):
        paid, other = self.buy(1), self.paid_unnoticed()
        refund_id = self.ask(paid).json()["id"]
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=503, times=2)
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        Transaction.objects.filter(pk=paid.pk).update(stripe_payment_intent_id="pi_of_another_account")
        self.age()
        with self.assertLogs("apps.payments", "ERROR"):
            differences = self.run_it("--apply", expect=1)
        self.assertIn(("refund_not_sent", True), differences)
        self.assertIn(("fulfilled_not_paid", False), differences)
        self.assertEqual(Refund.objects.get().status, "failed")
        self.assertEqual((self.books(other)[0], broken_rules()), ("completed", {}))

    def test_too_many_requests_are_answered_with_patience(self):
        paid = self.paid_unnoticed()
        self.stripe.refund(self.buy(1).stripe_payment_intent_id)
        self.stripe.dispute(self.buy(1).stripe_payment_intent_id)
        self.age()
        for path in (INTENTS, "^/v1/payment_intents/", "^/v1/refunds$", "^/v1/disputes$"):
            self.stripe.add_fault(method="GET", path=path, status=429, retry_after=1)
        with self.assertLogs("apps.payments", "WARNING"):
            self.run_it("--apply")
        self.assertEqual(self.books(paid)[0], "completed")
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_a_refund_of_another_amount_than_at_stripe_stays_open(self):
        refund = self.refund(self.buy(2))
        Refund.objects.filter(pk=refund.pk).update(amount=19)
        self.assertEqual(self.run_it("--apply", expect=1), [("refund_mismatch", False)])
        self.assertIn("refunds_done", broken_rules())

    def test_a_refund_in_the_books_that_stripe_does_not_have_is_told(self):
        refund = self.refund(self.buy(1))
        Refund.objects.filter(pk=refund.pk).update(stripe_refund_id="re_of_nobody")
        with self.assertLogs("apps.payments", "ERROR"):  # the constraint refuses to count the same twice
            differences = self.run_it("--apply", expect=1)
        self.assertEqual(sorted(differences), [("refund_not_at_stripe", False), ("refund_unknown", False)])

    def test_an_error_after_the_effect_leaves_one_intent_and_one_fulfilment(self):
        for call in (
            {"method": "POST", "path": INTENTS},
            {"method": "GET", "path": "^/v1/payment_intents/"},
        ):
            self.stripe.add_fault(**call, effect_then_error=500, times=1)
            key = {"headers": {"Idempotency-Key": str(uuid4())}}
            answers = [self.start(1, **key) for _ in range(3)]
            intents = {answer.json()["payment_intent_id"] for answer in answers if answer.status_code == 201}
            self.assertEqual(len(intents), 1)
            self.stripe.pay(intents.pop())
        self.assertEqual(len(self.stripe.events("payment_intent.created")), 2)
        Transaction.objects.update(created_at=timezone.now() - timedelta(minutes=10))
        self.run_it("--apply")
        self.assertEqual(Voucher.objects.count(), 2)
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_another_shops_payments_are_counted_apart(self):
        self.buy(1)
        intent = gateway.create_intent(
            amount=Decimal(5), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.override_payment_intent(intent.id, {"metadata": {}})
        self.assertEqual(self.run_it(), [])
        checked = self.report["checked"]
        self.assertEqual((checked["intents at Stripe"], checked["intents of others"]), (2, 1))


class SpanTests(ReconcileTestCase, ApiTestCase):
    def days_ago(self, days):
        """A payment of some days ago that is not known to us."""
        intent = gateway.create_intent(
            amount=Decimal(5), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.pay(intent.id)
        created = timezone.now() - timedelta(days=days, minutes=1)
        self.stripe.override_payment_intent(intent.id, {"created": int(created.timestamp())})
        return intent.id

    def difference_ids(self):
        return [each["about"].partition(",")[0] for each in self.report["differences"]]

    def test_it_compares_as_many_hours_as_it_is_told_to(self):
        ids = [self.days_ago(days) for days in (0, 2, 5)]
        for hours, number in ((1, 1), (72, 2), (24 * 6, 3)):
            self.run_it("--since", str(hours), expect=1)
            self.assertEqual(sorted(self.difference_ids()), sorted(ids[:number]))

    def test_it_compares_from_one_day_to_another_both_included(self):
        ids = {days: self.days_ago(days) for days in (2, 4, 6, 8)}
        first, last = (timezone.localdate(timezone.now() - timedelta(days=days)) for days in (6, 4))
        self.run_it("--from", str(first), "--to", str(last), expect=1)
        self.assertLessEqual({ids[4], ids[6]} - set(self.difference_ids()), set())
        self.assertFalse({ids[2], ids[8]} & set(self.difference_ids()))

    def test_times_that_make_no_sense_are_refused(self):
        for options in (
            ["--from", "2026-02-30"],
            ["--from", "2026-02-02", "--to", "2026-02-01"],
            ["--to", "2026-02-01"],
            ["--since", "0"],
            ["--since", "5", "--from", "2026-02-01"],
        ):
            with self.subTest(options), self.assertRaises(CommandError):
                self.run_it(*options)

    def test_long_times_are_compared_a_day_at_a_time_in_both_directions(self):
        ids = [self.days_ago(days) for days in (0, 1, 2)]
        for days in (1, 2):
            paid = self.buy(1)
            moment = timezone.now() - timedelta(days=days)
            Transaction.objects.filter(pk=paid.pk).update(created_at=moment)
            self.stripe.override_payment_intent(
                paid.stripe_payment_intent_id, {"created": int(moment.timestamp())}
            )
        self.run_it("--since", "100", expect=1)
        self.assertEqual(sorted(self.difference_ids()), sorted(ids))
        self.assertEqual(self.report["checked"]["intents at Stripe"], 5)
        self.assertEqual(self.report["checked"]["paid transactions"], 2)


@tag("pooled")
class ReconcileRaceTests(ReconcileTestCase, RaceTestCase):
    """Confirms, webhooks and reconciliations of one payment at the same instant."""

    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)  # each waits its turn, however slow the machine
        waiting.start()
        self.addCleanup(waiting.stop)

    def reconcile(self):
        now = timezone.now()
        try:
            return reconciliation.reconcile(since=now - timedelta(hours=2), until=now, apply=True).complete
        except reconciliation.AlreadyRunning:
            return True

    def race(self):
        """How many vouchers one payment for two gave, and whether every caller was served."""
        paid = self.paid_unnoticed()
        self.age()
        event_id = self.event_of(paid.stripe_payment_intent_id)
        body = {"payment_intent_id": paid.stripe_payment_intent_id}
        answers = self.together(
            *[lambda: self.api.post(CONFIRM, body).status_code == 200] * 3,
            *[lambda: self.deliver(event_id, Client()).status_code == 200] * 3,
            *[self.reconcile] * 2,
        )
        return Voucher.objects.filter(sale__transaction=paid).count(), all(answers)

    def test_one_of_them_fulfils_and_the_others_find_it_done(self):
        for round_no in range(self.rounds):
            self.assertEqual(self.race(), (2, True), f"round {round_no}")
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_the_same_race_catches_a_fulfilment_without_the_lock(self):
        def unlocked(intent):
            return Transaction.objects.filter(stripe_payment_intent_id=intent.id).first()

        with (
            patch.object(fulfilment, "apply_intent", settle_without_the_lock),
            patch.object(fulfilment, "_locked_transaction_of", unlocked),
            self.assertLogs(level="ERROR"),  # the schema's guard stops what the twin lets through
        ):
            outcomes = [self.race() for _ in range(3)]
        self.assertNotEqual(outcomes, [(2, True)] * 3)
