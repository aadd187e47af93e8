"""Every two events about the money of one payment, in both orders: sums, state and audit are right afterwards."""

from decimal import ROUND_CEILING, Decimal

from django.test import tag

from apps.core.errors import ConflictError
from apps.payments import services
from apps.payments.models import Refund, Transaction
from apps.vouchers import services as voucher_services
from local_stripe.protocol.errors import StripeError
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import PaidTestCase

PRICE, QUANTITY = Decimal(10), 3
WHOLE = 3000  # in minor units, as Stripe counts
EVENT_KINDS = ("refund.created", "charge.dispute.created", "charge.dispute.closed")


@tag("slow")
class MoneyEventTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.events = {
            "request": self.request,
            "buyer refund": lambda paid: self.approve(self.request(paid)),
            "staff refund": lambda paid: self.approve(self.request_one(paid)),
            **{
                f"dashboard {name}": self.at_stripe("refund", amount)
                for name, amount in (("voucher", 1000), ("rest", None), ("goodwill", 400))
            },
            "dispute open": self.at_stripe("dispute", WHOLE),
            "dispute won": self.at_stripe("dispute", WHOLE, "won"),
            "dispute lost": self.at_stripe("dispute", WHOLE, "lost"),
            "dispute part lost": self.at_stripe("dispute", 1500, "lost"),
            "inquiry open": self.at_stripe("dispute", WHOLE, inquiry=True),
            "inquiry closed": self.at_stripe("dispute", WHOLE, "warning_closed", inquiry=True),
        }
        self.delivered = 0

    # --- What may happen ---------------------------------------------------------------------------------------

    def request(self, paid):
        return services.request_refund(user=self.customer, payment_id=paid.pk, reason="Not needed").refund

    def request_one(self, paid):
        free = [voucher.pk for voucher in paid.vouchers if services.refundable_by_staff(voucher)]
        return services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="One of them", voucher_ids=free[:1]
        )

    def approve(self, refund):
        return services.approve_refund(refund_id=refund.pk, actor=self.staff)

    def at_stripe(self, what, amount, outcome=None, **options):
        def event(paid):
            refund_or_dispute = getattr(self.stripe, what)(paid.stripe_payment_intent_id, amount, **options)
            if outcome:
                self.stripe.close_dispute(refund_or_dispute["id"], outcome)

        return event

    # --- How a test goes ---------------------------------------------------------------------------------------

    def start_anew(self):
        """A payment of three vouchers, the first of them used, at a Stripe that knows nothing else."""
        self.stripe.reset()
        started = services.start_purchase(
            user=self.customer, voucher_type_id=self.type.pk, quantity=QUANTITY
        ).transaction
        intent_id = started.stripe_payment_intent_id
        assert intent_id
        self.stripe.pay(intent_id)
        services.sync_payment_intent(intent_id)
        paid = Transaction.objects.get(pk=started.pk)
        voucher_services.redeem_voucher(code=paid.vouchers[0].code, user=self.customer)
        self.delivered = len(self.stripe.events())
        return paid

    def happens(self, name, paid):
        """Let it happen, unless our rules or Stripe's refuse it."""
        try:
            self.events[name](paid)
        except (ConflictError, StripeError):
            return False
        return True

    def tell(self, *, latest_first=False):
        """Deliver what Stripe tells of since the last time, and see it taken."""
        events = [event for event in self.stripe.events()[self.delivered :] if event["type"] in EVENT_KINDS]
        self.delivered = len(self.stripe.events())
        for event in reversed(events) if latest_first else events:
            response = self.deliver(event["id"])
            self.assertEqual(response.status_code, 200, response.content)

    def assertRight(self, paid):
        """The books say what follows from what Stripe says."""
        intent_id = paid.stripe_payment_intent_id
        refunds, disputes = self.stripe.refunds(intent_id), self.stripe.disputes(intent_id)
        status, refunding, refunded, holds = self.books(paid)
        returned = Decimal(sum(each["amount"] for each in refunds if each["status"] == "succeeded")) / 100
        lost = Decimal(sum(each["amount"] for each in disputes if each["status"] == "lost")) / 100
        self.assertEqual(refunded, min(paid.amount, returned + lost))
        self.assertLessEqual(refunded + refunding, paid.amount)
        self.assertEqual(status, "refunded" if refunded == paid.amount else "completed")

        ours = {str(refund.reference): refund for refund in Refund.objects.filter(transaction=paid)}
        own = [Decimal(each["amount"]) / 100 for each in refunds if each["metadata"].get("refund_id") in ours]
        dashboard = returned - sum(own)
        void = sum(int((amount / PRICE).to_integral_value(ROUND_CEILING)) for amount in own)
        void += int(dashboard // PRICE)
        void += int(((refunded - returned) / PRICE).to_integral_value(ROUND_CEILING))
        waiting = Refund.objects.filter(transaction=paid, status="requested")
        self.assertEqual(refunding, sum(refund.amount for refund in waiting))
        held = sum(refund.lines.count() for refund in waiting)
        self.assertEqual(sum("refunded" in each for each in holds), min(void, QUANTITY - held))
        self.assertEqual(sum("refund_pending" in each for each in holds), held)
        self.assertEqual("disputed" in "".join(holds), any("needs" in each["status"] for each in disputes))
        self.assertLess(refunded + refunding + PRICE * holds.count(""), paid.amount + PRICE)
        self.assertLess(paid.amount_goodwill, PRICE)

    def assertBooksInOrder(self, names):
        self.assertEqual(
            {rule: [names.get(each, each) for each in ids] for rule, ids in broken_rules().items()}, {}
        )

    # --- Tests -------------------------------------------------------------------------------------------------

    def test_every_two_events_in_both_orders_leave_the_books_right(self):
        names, refused = {}, set()
        for first in self.events:
            for second in self.events:
                with self.subTest(first=first, second=second):
                    paid = self.start_anew()
                    names[paid.pk] = (first, second)
                    self.assertTrue(self.happens(first, paid))
                    self.tell()
                    self.assertRight(paid)
                    if not self.happens(second, paid):
                        refused.add((first, second))
                    self.tell()
                    self.assertRight(paid)
        self.assertBooksInOrder(names)
        self.assertRefused(refused)

    def assertRefused(self, refused):
        """Refused is what asks for money that a bank has its hands on, or of which nothing is left; not more."""
        money = {name for name in self.events if "refund" in name or "request" in name or "dashboard" in name}
        anything, ours = set(self.events), {"request", "buyer refund", "staff refund"}
        disputes = anything - money
        expected = {
            "dispute open": anything,
            "dashboard rest": anything,  # a charge that went back whole is not disputed any more
            "dispute lost": money,
            "inquiry open": disputes,  # one at a time
            # The voucher that was used is refunded by nobody but in the dashboard.
            "request": ours,
            "buyer refund": ours,
            "dispute part lost": ours,
        }
        self.assertEqual(
            refused, {(first, second) for first, seconds in expected.items() for second in seconds}
        )

    def test_events_at_stripe_that_are_told_late_and_in_the_wrong_order_end_the_same(self):
        names = {}
        at_stripe = (
            "dashboard voucher",
            "dashboard goodwill",
            "dispute won",
            "dispute lost",
            "dispute part lost",
        )
        for first in at_stripe:
            for second in (*at_stripe, "dashboard rest", "inquiry open"):
                with self.subTest(first=first, second=second):
                    paid = self.start_anew()
                    names[paid.pk] = (first, second)
                    services.request_refund(user=self.customer, payment_id=paid.pk, reason="Not needed")
                    for name in (first, second):
                        self.happens(name, paid)
                    self.tell(latest_first=True)
                    self.assertRight(paid)
        self.assertBooksInOrder(names)

    def test_a_dispute_that_is_lost_over_the_whole_after_one_of_two_was_refunded(self):
        paid = self.buy(2)
        self.approve(self.request_one(paid))
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id, 2000)["id"]
        self.deliver_all("charge.dispute.created")
        self.stripe.close_dispute(dispute, "lost")
        for _ in range(2):
            self.deliver_all("charge.dispute.closed")
            self.assertEqual(
                self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"])
            )
        answer = self.api.get(f"/api/payments/transaction/{paid.pk}/").json()
        self.assertEqual((answer["status"], answer["amount_refunded"]), ("refunded", "20.00"))
        totals = self.api.get("/api/analytics/user/").json()["totals"]
        self.assertEqual((totals["revenue"], totals["refunded"]), ("20.00", "20.00"))
        self.assertEqual(broken_rules(), {})
