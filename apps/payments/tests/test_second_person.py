"""Refunds above the set amount: approved by somebody else than who asked for them."""

from decimal import Decimal
from functools import partial
from io import StringIO

from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import override_settings

from apps.core.second_person import SecondPersonNeeded, is_needed
from apps.payments import services
from apps.payments.errors import RefundDecided
from apps.payments.models import Refund, RefundStatus
from apps.users.tests.factories import make_user
from tests.support.cases import RaceTestCase

from .money import PaidTestCase
from .staff import REFUNDS, TRANSACTIONS, VIEWS, StaffTestCase

LIMIT = {"USD": Decimal("20.00")}


@override_settings(SECOND_PERSON_REFUNDS=LIMIT)
class SecondPersonRefunds(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.allow("make_refund", "decide_refund")
        self.colleague = make_user(is_staff=True)
        both = ("make_refund", "decide_refund", *VIEWS)
        self.colleague.user_permissions.set(Permission.objects.filter(codename__in=both))
        self.large, self.small = self.buy(3), self.buy(2)

    def refund_unused(self, paid):
        response = self.choose(TRANSACTIONS, "refund_unused", paid, confirmed="yes", reason="Sold by mistake")
        return self.messages_after(response), Refund.objects.filter(transaction=paid).latest("pk")

    def approve(self, refund):
        response = self.choose(REFUNDS, "approve", refund, confirmed="yes", reason="Seen")
        refund.refresh_from_db()
        return self.messages_after(response)

    def test_up_to_the_amount_one_person_refunds_in_one_step(self):
        messages, refund = self.refund_unused(self.small)
        self.assertEqual(messages, ["Refunded: 1."])
        self.assertEqual((refund.status, refund.decided_by), ("succeeded", self.desk))
        self.assertFalse(refund.needs_second_person)

    def test_above_it_who_asked_may_not_approve_on_any_way(self):
        messages, refund = self.refund_unused(self.large)
        self.assertEqual(len(messages), 1)
        self.assertIn("somebody else has to approve it", messages[0])
        self.assertEqual((refund.status, refund.requested_by, refund.amount), ("requested", self.desk, 30))
        self.assertTrue(refund.needs_second_person)
        before = self.state()
        for approve in (
            partial(self.choose, REFUNDS, "approve", refund, confirmed="yes", reason="Me"),
            partial(self.client.post, f"{REFUNDS}{refund.pk}/approve/", {"reason": "Me"}),
        ):
            [message] = self.messages_after(approve())
            self.assertIn("Somebody else has to approve it.", message)
        self.assertEqual(self.state(), before)

    def test_above_it_a_colleague_approves_and_both_are_on_record(self):
        _, refund = self.refund_unused(self.large)
        self.client.force_login(self.colleague)
        self.assertEqual(self.approve(refund), ["Refunded: 1."])
        self.assertEqual(
            (refund.status, refund.requested_by, refund.decided_by), ("succeeded", self.desk, self.colleague)
        )
        page = self.client.get(f"{REFUNDS}{refund.pk}/change/").content.decode()
        for name in (self.desk.email, self.colleague.email, "second person"):
            self.assertIn(name, page)

    def test_who_asked_may_take_it_back(self):
        _, refund = self.refund_unused(self.large)
        response = self.choose(REFUNDS, "reject", refund, confirmed="yes", reason="My mistake")
        self.assertEqual(self.messages_after(response), ["Rejected: 1."])
        refund.refresh_from_db()
        self.assertEqual((refund.status, refund.decided_by), ("rejected", self.desk))
        self.assertTrue(all(voucher.is_active for voucher in self.large.vouchers))

    def test_a_refund_cut_into_several_counts_as_one(self):
        first, second, third = self.large.vouchers
        page = "/admin/vouchers/voucher/"
        for voucher in (first, second):
            response = self.choose(page, "refund", voucher, confirmed="yes", reason="x")
            self.assertEqual(self.messages_after(response), ["Refunded: 1."])
        response = self.choose(page, "refund", third, confirmed="yes", reason="x")
        self.assertIn("somebody else has to approve it", self.messages_after(response)[0])
        self.assertEqual(Refund.objects.filter(transaction=self.large, status="succeeded").count(), 2)

    def test_a_buyers_request_is_approved_by_one_person_unless_it_is_their_own(self):
        request = Refund.objects.get(pk=self.ask(self.large).json()["id"])
        self.assertTrue(request.needs_second_person)
        with self.assertRaises(SecondPersonNeeded):
            services.approve_refund(refund_id=request.pk, actor=self.customer)
        self.assertEqual(self.approve(request), ["Refunded: 1."])

    def test_a_limit_that_was_set_or_lifted_since_holds_too(self):
        with override_settings(SECOND_PERSON_REFUNDS={}):
            request = services.request_refund_by_staff(
                transaction_id=self.large.pk, actor=self.desk, reason="x"
            )
            self.assertFalse(request.needs_second_person)
        with self.assertRaises(SecondPersonNeeded):
            services.approve_refund(refund_id=request.pk, actor=self.desk)
        Refund.objects.filter(pk=request.pk).update(needs_second_person=True)
        with override_settings(SECOND_PERSON_REFUNDS={}), self.assertRaises(SecondPersonNeeded):
            services.approve_refund(refund_id=request.pk, actor=self.desk)

    def test_without_the_setting_one_person_refunds_any_amount(self):
        with override_settings(SECOND_PERSON_REFUNDS={}):
            messages, refund = self.refund_unused(self.large)
        self.assertEqual(messages, ["Refunded: 1."])
        self.assertEqual((refund.status, refund.needs_second_person), ("succeeded", False))

    def test_the_schema_refuses_an_approval_by_who_asked(self):
        _, refund = self.refund_unused(self.large)
        row = Refund.objects.filter(pk=refund.pk)
        with self.assertRaises(IntegrityError), transaction.atomic():
            row.update(status=RefundStatus.APPROVED, decided_by=self.desk)
        row.update(status=RefundStatus.APPROVED, decided_by=self.colleague)

    def test_withdrawing_a_service_leaves_large_refunds_to_a_second_person(self):
        out = StringIO()
        call_command(
            "withdraw_service",
            type=str(self.type.pk),
            reason="Over",
            by=self.desk.email,
            refund=True,
            apply=True,
            stdout=out,
        )
        waiting = Refund.objects.get(transaction=self.large)
        self.assertEqual((waiting.status, waiting.requested_by), ("requested", self.desk))
        self.assertEqual(Refund.objects.get(transaction=self.small).status, "succeeded")
        self.assertIn("for somebody else to approve 3", out.getvalue())
        services.approve_refund(refund_id=waiting.pk, actor=self.colleague)
        waiting.refresh_from_db()
        self.assertEqual(waiting.status, "succeeded")


class LimitTests(StaffTestCase):
    def test_what_needs_a_second_person(self):
        for limits, amount, currency, expected in (
            ({}, "1000000.00", "USD", False),
            ({"USD": "10"}, "10.00", "USD", False),
            ({"USD": "10"}, "10.01", "USD", True),
            ({"USD": "10"}, "0.01", "EUR", True),
            ({"USD": "0"}, "0.01", "USD", True),
        ):
            with self.subTest(limits=limits, amount=amount, currency=currency):
                decimals = {name: Decimal(text) for name, text in limits.items()}
                self.assertEqual(is_needed(decimals, [(Decimal(amount), currency)]), expected)


@override_settings(SECOND_PERSON_REFUNDS=LIMIT)
class SecondPersonRaces(PaidTestCase, RaceTestCase):
    rounds = 3

    def test_of_who_asked_and_two_colleagues_at_once_one_colleague_approves(self):
        colleagues = [make_user(is_staff=True), make_user(is_staff=True)]
        for number in range(self.rounds):
            paid = self.buy(3)
            refund = services.request_refund_by_staff(transaction_id=paid.pk, actor=self.staff, reason="x")

            def approve(actor, refund=refund):
                try:
                    return services.approve_refund(refund_id=refund.pk, actor=actor).status
                except (RefundDecided, SecondPersonNeeded) as error:
                    return type(error).__name__

            people = (self.staff, *colleagues, self.staff)
            outcomes = self.together(*(partial(approve, person) for person in people))
            refund.refresh_from_db()
            self.assertEqual(outcomes.count("succeeded"), 1, f"round {number}")
            self.assertNotIn("succeeded", (outcomes[0], outcomes[3]))
            self.assertIn(refund.decided_by, colleagues)
            self.assertEqual(len(self.stripe.refunds()), number + 1)
