"""A history at random, for tests of figures: whatever may happen to vouchers and payments."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.payments.models import (
    Dispute,
    DisputeOutcome,
    Refund,
    RefundOrigin,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.users.models import User
from apps.users.services import close_account
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherType, VoucherUsage
from apps.vouchers.tests.factories import make_type

from .factories import give_back, make_batch, make_purchase, use


class History:
    """Whatever may happen to vouchers and payments, each at the time that it is by the clock."""

    def __init__(self, chance: random.Random, users: list[User], staff: User) -> None:
        self.chance, self.users, self.staff = chance, users, staff
        self.people = [*(make_user() for _ in range(4))]
        self.types = [
            make_type(
                name=f"{name} {chance.random()}", price=Decimal(price), currency=currency, max_uses=uses
            )
            for name, price, currency, uses in (
                ("Exam", "9.99", "USD", 1),
                ("School", "33.33", "USD", 7),
                ("Free", "0.00", "USD", 2),
                ("Abroad", "12.50", "EUR", 3),
            )
        ]

    def step(self) -> str:
        """One thing that happens; its name."""
        name = self.chance.choice(
            (
                "buy",
                "batch",
                "redeem",
                "redeem",
                "redeem",
                "reverse",
                "refund",
                "dispute",
                "hold",
                "extend",
                "age",
                "sign_in",
                "sign_in",
                "leave",
            )
        )
        getattr(self, name)()
        return name

    def kind(self) -> VoucherType:
        return self.chance.choice(self.types)

    def voucher(self) -> Voucher | None:
        return Voucher.objects.order_by("?").first()

    def buy(self) -> None:
        quantity = self.chance.randint(1, 3)
        paid = make_purchase(
            user=self.chance.choice(self.users),
            voucher_type=self.kind(),
            at=timezone.now(),
            quantity=quantity,
        )
        days = self.chance.choice((1, 3, 40))
        Voucher.objects.filter(sale__transaction=paid).update(
            expiry_date=timezone.now() + timedelta(days=days)
        )

    def batch(self) -> None:
        make_batch(owner=self.chance.choice(self.users), voucher_type=self.kind(), quantity=2)

    def redeem(self) -> None:
        voucher = Voucher.objects.redeemable(timezone.now()).order_by("?").first()
        if voucher:
            use(voucher, by=self.chance.choice(self.users), at=timezone.now())

    def reverse(self) -> None:
        usage = VoucherUsage.objects.filter(reversal=None, voucher__is_active=True).order_by("?").first()
        if usage:
            give_back(usage, by=self.staff, at=timezone.now())
            # As the service does.
            usage.voucher.events.create(kind="reversed", at=timezone.now(), actor=self.staff)

    def refund(self) -> None:
        """One succeeds, or one that had succeeded fails after all."""
        now = timezone.now()
        ended = Refund.objects.filter(status=RefundStatus.SUCCEEDED).order_by("?").first()
        if ended and self.chance.random() < 0.3:
            ended.status, ended.finished_at = RefundStatus.FAILED, now
            ended.save()
            self.derive(ended.transaction)
            return
        paid = (
            Transaction.objects.filter(status=TransactionStatus.COMPLETED, amount__gt=0).order_by("?").first()
        )
        if paid and paid.amount_left:
            amount = min(paid.amount_left, Decimal(self.chance.choice(("1.00", "9.99", "50.00"))))
            Refund.objects.create(
                transaction=paid,
                amount=amount,
                status=RefundStatus.SUCCEEDED,
                origin=RefundOrigin.STAFF,
                finished_at=now,
            )
            self.derive(paid)

    def dispute(self) -> None:
        paid = (
            Transaction.objects.filter(status=TransactionStatus.COMPLETED, amount__gt=0).order_by("?").first()
        )
        if paid:
            Dispute.objects.create(
                stripe_dispute_id=f"dp_{self.chance.random()}",
                transaction=paid,
                amount=paid.amount,
                stripe_status="lost",
                outcome=self.chance.choice((DisputeOutcome.LOST, DisputeOutcome.WON)),
                opened_at=timezone.now(),
                closed_at=timezone.now(),
            )
            self.derive(paid)

    def derive(self, paid: Transaction) -> None:
        refunded = sum((each.amount for each in paid.refunds.filter(status="succeeded")), Decimal(0))
        lost = sum((each.amount for each in paid.disputes.filter(outcome="lost")), Decimal(0))
        paid.amount_refunded = min(paid.amount, refunded + lost)
        paid.amount_goodwill = min(paid.amount_refunded, Decimal("0.50"))
        all_back = paid.amount_refunded == paid.amount
        paid.status = TransactionStatus.REFUNDED if all_back else TransactionStatus.COMPLETED
        paid.save()

    def hold(self) -> None:
        voucher = self.voucher()
        if voucher:
            by: dict[str, Any] = {"actor": self.staff, "reason": "Because"}
            what = self.chance.choice(("suspend_vouchers", "release_vouchers", "void_vouchers"))
            getattr(voucher_services, what)([voucher.pk], **by)

    def extend(self) -> None:
        voucher = Voucher.objects.filter(is_active=True).order_by("?").first()
        if voucher:
            until = timezone.localdate(max(voucher.expiry_date, timezone.now())) + timedelta(days=2)
            voucher_services.extend_voucher(
                voucher_id=voucher.pk, until=until, actor=self.staff, reason="Because"
            )

    def sign_in(self) -> None:
        User.objects.filter(pk=self.chance.choice(self.people).pk).update(last_login=timezone.now())

    def leave(self) -> None:
        """Somebody closes their account, who may have bought something; others join."""
        person = self.people.pop(self.chance.randrange(len(self.people)))
        close_account(user=User.objects.get(pk=person.pk), password=PASSWORD)
        self.people.append(make_user())
        if self.chance.random() < 0.5:
            make_purchase(user=self.people[-1], voucher_type=self.kind(), at=timezone.now())

    def age(self) -> None:
        pass
