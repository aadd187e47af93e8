"""What the tests of refunds and disputes share: a payment made over HTTP, and the books read back."""

from decimal import Decimal
from typing import Any

from apps.payments import services
from apps.payments.models import Transaction
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.stripe import StripeTestCase

PURCHASE = "/api/vouchers/purchase/"
INTENT = "/api/payments/create-payment-intent/"
CONFIRM = "/api/payments/confirm-payment/"
REDEEM = "/api/vouchers/redeem/"
REFUND = "/api/payments/refund/request/"
REFUNDS = "/api/payments/refunds/"


class PaidTestCase(StripeTestCase):
    """A mix-in: a customer who buys vouchers of 10.00 USD, and staff who decide."""

    api: Any

    def setUp(self) -> None:
        super().setUp()
        self.customer, self.staff = make_user(), make_staff()
        self.api = self.signed_in(self.customer)  # type: ignore[attr-defined]
        self.type = make_type()

    def start(self, quantity: int = 2, **options: Any) -> Any:
        body = {"voucher_type_id": self.type.pk, "quantity": quantity}
        return self.api.post(INTENT, body, **options)

    def buy(self, quantity: int = 2, method: str = "pm_card_visa") -> Any:
        """A paid transaction, whose events were not delivered."""
        intent_id = self.start(quantity).json()["payment_intent_id"]
        self.stripe.pay(intent_id, method)
        self.api.post(CONFIRM, {"payment_intent_id": intent_id})
        return Transaction.objects.get(stripe_payment_intent_id=intent_id)

    def ask(self, paid: Transaction, **options: Any) -> Any:
        return self.api.post(REFUND, {"payment_id": paid.pk, "reason": "Not needed"}, **options)

    def refund(self, paid: Any) -> Any:
        """A refund that the buyer asked for and staff approved."""
        response = self.ask(paid)
        return services.approve_refund(refund_id=response.json()["id"], actor=self.staff)

    def redeem(self, voucher: Voucher) -> Any:
        return self.api.post(REDEEM, {"code": voucher.code})

    def deliver_all(self, kind: str) -> None:
        """Post every event of this kind that there is to our webhook, and see it taken."""
        for event in self.stripe.events(kind):
            response = self.deliver(event["id"])
            assert response.status_code == 200, response.content

    def books(self, paid: Transaction) -> tuple[str, Decimal, Decimal, list[str]]:
        """Status, amounts on their way back and back, and what holds each voucher."""
        paid.refresh_from_db()
        holds = [voucher.holds for voucher in paid.vouchers]
        return paid.status, paid.amount_refunding, paid.amount_refunded, holds
