"""Books in which everything has happened that can happen to a purchase and to a voucher, by the services."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.db.models import Model
from django.utils import timezone

from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import state
from apps.payments import services
from apps.payments.models import Refund, Transaction
from apps.payments.services import withdrawal_refunds
from apps.payments.tests.money import PaidTestCase
from apps.users.tests.factories import make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.services import batches, withdrawal
from apps.vouchers.tests.factories import make_type
from tests.support.books import rebuild_figures


def count_until_now() -> None:
    """Count everything, also what happened within the margin that the job leaves."""
    rebuild_figures()
    later = timezone.now() + state.MARGIN
    with patch.object(state, "database_time", lambda: state.DatabaseTime(later, timedelta(0))):
        daily_figures.update(later)


class BooksTestCase(PaidTestCase):
    """A mix-in; see the module."""

    filled = False

    @classmethod
    def fill_once(cls) -> None:
        """Fill them before the first test of the class, in `setUpTestData`: for tests that want no more of Stripe,
        which then knows nothing of what was bought."""
        cls.filled = False
        first = cls()
        first.setUp()
        first.fill()
        first.doCleanups()
        for name, value in vars(first).items():
            if isinstance(value, Model):
                setattr(cls, name, value)
        cls.filled = True

    def setUp(self) -> None:
        if self.filled:
            super(PaidTestCase, self).setUp()  # the people are there
        else:
            super().setUp()

    def fill(self) -> None:
        """Each kind of purchase once; the transactions and vouchers that tests need get names."""
        self.whole = self.buy(3)
        self.start(1)  # stays pending
        self.refused = Transaction.objects.get(pk=self.start(1).json()["transaction_id"])
        services.sync_payment_intent(self.canceled(self.refused))
        self.give_back()
        self.dispute()
        self.use()
        self.keep()
        self.withdraw()

    def canceled(self, unpaid: Transaction) -> str:
        """The id of its intent, canceled at Stripe."""
        intent_id = unpaid.stripe_payment_intent_id
        assert intent_id
        self.stripe.override_payment_intent(intent_id, {"status": "canceled"})
        return intent_id

    def give_back(self) -> None:
        self.refunded, self.in_part, self.requested = self.buy(1), self.buy(2), self.buy(2)
        self.redeem(self.in_part.vouchers[0])
        for paid in (self.refunded, self.in_part):
            services.approve_refund(refund_id=self.ask(paid).json()["id"], actor=self.staff)
        self.ask(self.requested)
        rejected = self.ask(self.buy(1)).json()["id"]
        services.reject_refund(refund_id=rejected, actor=self.staff, note="No")
        self.goodwill = self.buy(3)
        assert self.goodwill.stripe_payment_intent_id
        refund = self.stripe.refund(self.goodwill.stripe_payment_intent_id, 1500)
        services.sync_refund(refund["id"])

    def dispute(self) -> None:
        self.disputed, self.won, self.lost = self.buy(2), self.buy(1), self.buy(2)
        self.lost_in_part = self.buy(3)
        self.redeem(self.lost.vouchers[0])
        for paid, amount, outcome in (
            (self.disputed, None, None),
            (self.won, None, "won"),
            (self.lost, None, "lost"),
            (self.lost_in_part, 1500, "lost"),
        ):
            assert paid.stripe_payment_intent_id
            dispute = self.stripe.dispute(paid.stripe_payment_intent_id, amount)["id"]
            services.sync_dispute(dispute)
            if outcome:
                self.stripe.close_dispute(dispute, outcome)
                services.sync_dispute(dispute)

    def use(self) -> None:
        """A voucher of three uses: two made, one of them given back, another made."""
        self.type = make_type(max_uses=3)
        self.multiple: Voucher = self.buy(1).vouchers[0]
        for _ in range(2):
            self.redeem(self.multiple)
        first = VoucherUsage.objects.get(voucher=self.multiple, use_no=1)
        voucher_services.reverse_usage(usage_id=first.pk, actor=self.staff, reason="A slip")
        self.redeem(self.multiple)

    def keep(self) -> None:
        """What staff do with vouchers; free ones, ones of another currency, and a batch."""
        self.type = make_type(price=0)
        self.start(2)
        self.type = make_type(currency="EUR")
        held, free, extended, reissued, void = self.buy(5).vouchers
        by: dict[str, Any] = {"actor": self.staff, "reason": "Because"}
        voucher_services.suspend_vouchers([held.pk, free.pk], **by)
        voucher_services.release_vouchers([free.pk], **by)
        self.redeem(free)
        voucher_services.void_vouchers([void.pk], **by)
        until = timezone.localdate() + timedelta(days=800)
        voucher_services.extend_voucher(voucher_id=extended.pk, until=until, **by)
        voucher_services.reissue_voucher(voucher_id=reissued.pk, **by)
        self.suspended = held
        self.batch: Any = batches.get_or_create_batch(
            voucher_type=self.type, owner=make_user(), quantity=3, label="A school"
        )
        batches.issue_remaining(batch=self.batch)
        self.free_voucher = Voucher.objects.filter(batch=self.batch).order_by("pk")[0]

    def withdraw(self) -> None:
        """A service ends: one use of three was made of one of its vouchers, the others go back."""
        self.type = make_type(max_uses=3)
        begun = self.buy(3).vouchers[0]
        self.redeem(begun)
        by: dict[str, Any] = {"voucher_type": self.type, "actor": self.staff, "reason": "It ends"}
        withdrawal.withdraw_type(**by)
        withdrawal_refunds.refund_unused(**by)

    def refund_of(self, paid: Transaction) -> Refund:
        return Refund.objects.get(transaction=paid)
