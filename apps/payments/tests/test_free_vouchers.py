"""How many free vouchers one person gets."""

import time
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.test import override_settings

from apps.payments.models import Transaction
from apps.payments.services import free_vouchers
from apps.users import services as users
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase, RaceTestCase

from .money import PURCHASE, PaidTestCase


@override_settings(FREE_VOUCHERS_PER_PERSON=3)
class FreeVoucherTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.free = make_type(name="Free", price=0)

    def get(self, quantity=1, api=None, voucher_type=None, key=None):
        body = {"voucher_type_id": (voucher_type or self.free).pk, "quantity": quantity}
        headers = {"Idempotency-Key": key} if key else {}
        return (api or self.api).post(PURCHASE, body, headers=headers)

    def assertGot(self, response):
        self.assertEqual(response.status_code, 201, response.content)

    def assertRefused(self, response):
        before = Voucher.objects.count(), Transaction.objects.count()
        self.assertProblem(response, 409, "free_limit_reached")
        self.assertEqual((Voucher.objects.count(), Transaction.objects.count()), before)

    def test_no_more_than_the_limit_of_one_type_and_others_have_their_own(self):
        self.assertRefused(self.get(4))
        self.assertEqual(Voucher.objects.count(), 0)
        self.assertGot(self.get(2))
        self.assertRefused(self.get(2))
        self.assertGot(self.get(1))
        self.assertRefused(self.get(1))
        self.assertGot(self.get(3, voucher_type=make_type(name="Free too", price=0)))
        self.assertGot(self.get(3, api=self.signed_in(make_user())))

    def test_used_ones_count_and_those_that_staff_issued_do_not(self):
        make_voucher(owner=self.customer, voucher_type=self.free)
        self.assertGot(self.get(3))
        for voucher in Voucher.objects.filter(sale__transaction__user=self.customer):
            self.redeem(voucher)
        self.assertRefused(self.get(1))

    def test_the_same_request_under_its_key_is_no_second_one(self):
        self.assertGot(self.get(3, key="one"))
        self.assertGot(self.get(3, key="one"))
        self.assertEqual(Voucher.objects.count(), 3)
        self.assertRefused(self.get(1, key="two"))

    def test_what_costs_something_has_no_such_limit(self):
        self.assertGot(self.get(4, voucher_type=self.type))


@override_settings(FREE_VOUCHERS_PER_PERSON=2)
class FreeVoucherRaces(RaceTestCase):
    def race(self):
        """How many of six requests of one person at once got a voucher."""
        api, body = self.signed_in(make_user()), {"voucher_type_id": make_type(price=0).pk}
        answers = self.together(*[lambda: api.post(PURCHASE, body).status_code] * 6)
        self.assertLessEqual(set(answers), {201, 409})
        return answers.count(201)

    def test_of_many_at_once_no_more_than_the_limit_get_past(self):
        for round_no in range(self.rounds):
            self.assertEqual(self.race(), 2, f"round {round_no}")

    @skipUnless(connection.vendor == "postgresql", "SQLite has one writer at a time anyway")
    def test_the_same_race_catches_a_count_without_the_lock(self):
        check = free_vouchers.check_limit

        def check_slowly(**arguments):
            check(**arguments)
            time.sleep(0.1)

        with (
            patch.object(users, "lock_open_account"),
            patch.object(free_vouchers, "check_limit", check_slowly),
        ):
            self.assertGreater(self.race(), 2)
