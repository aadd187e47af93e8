"""How many wrong codes may be tried."""

from datetime import UTC, datetime, timedelta

import time_machine
from django.db import connection
from django.test import override_settings

from apps.authentication import services as authentication
from apps.users.tests.factories import make_customer, make_other_customer, make_user
from apps.vouchers.models import VoucherUsage
from apps.vouchers.tests.factories import make_expired_voucher, make_type, make_voucher, unknown_code
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/vouchers/redeem/"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
PER_ACCOUNT = "LIMIT_REDEEM_FAILURES_PER_ACCOUNT"
PER_NETWORK = "LIMIT_REDEEM_FAILURES_PER_NETWORK"
LIMITED = override_settings(RATE_LIMITS_ENABLED=True, **{PER_ACCOUNT: (3, 900), PER_NETWORK: (5, 900)})


@LIMITED
class WrongCodes(ApiTestCase):
    queries = 2 if connection.vendor == "postgresql" else 4

    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.other = make_other_customer()
        self.carla, self.otto = self.signed_in(self.customer), self.signed_in(self.other)
        self.voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=50))

    def redeem(self, code, client=None, address=HOME):
        return (client or self.carla).post(URL, {"code": code}, REMOTE_ADDR=address)

    def assertLimited(self, response):
        """The refusal, and that it changed nothing."""
        self.assertProblem(response, 429, "rate_limited")
        self.assertTrue(1 <= int(response["Retry-After"]) <= 900)
        uses = self.voucher.uses_remaining
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.uses_remaining, VoucherUsage.objects.count()), (uses, 50 - uses))

    def test_after_so_many_unknown_codes_even_a_valid_one_waits(self):
        for _ in range(3):
            self.assertProblem(self.redeem(unknown_code()), 404, "voucher_not_found")
        for code in (self.voucher.code, unknown_code(), "no code"):
            self.assertLimited(self.redeem(code))
            self.assertLimited(self.redeem(code, address=ELSEWHERE))
        self.assertEqual(self.redeem(self.voucher.code, self.otto).status_code, 200)

    def test_a_mistyped_code_is_no_guess(self):
        for _ in range(10):
            self.assertProblem(self.redeem("no code"), 400, "code_malformed")
            self.assertProblem(self.redeem(self.voucher.code[:-1]), 400, "code_malformed")
        self.assertEqual(self.redeem(self.voucher.code).status_code, 200)

    def test_a_network_with_many_failures_refuses_whoever_has_some_and_nobody_else(self):
        nora = self.signed_in(make_user())
        for client in (self.carla, self.carla, self.otto, self.otto, self.carla):
            self.assertEqual(self.redeem(unknown_code(), client).status_code, 404)
        for client in (self.carla, self.otto):
            self.assertLimited(self.redeem(self.voucher.code, client))
        self.assertEqual(self.redeem(self.voucher.code, self.otto, ELSEWHERE).status_code, 200)
        for _ in range(5):
            self.assertEqual(self.redeem(self.voucher.code, nora).status_code, 200)
        self.voucher.refresh_from_db()
        self.assertProblem(self.redeem(unknown_code(), nora), 404, "voucher_not_found")
        self.assertLimited(self.redeem(self.voucher.code, nora))

    def test_many_networks_of_one_48_are_one_to_whoever_has_failures(self):
        with override_settings(LIMIT_WIDE_NETWORK_TIMES=1, **{PER_ACCOUNT: (100, 900)}):
            for number in range(5):
                self.assertEqual(
                    self.redeem(unknown_code(), address=f"2001:db8:1:{number}::1").status_code, 404
                )
            self.assertLimited(self.redeem(self.voucher.code, address="2001:db8:1:77::1"))
            self.assertEqual(self.redeem(self.voucher.code, self.otto, "2001:db8:1:77::1").status_code, 200)
            self.voucher.refresh_from_db()
            self.assertEqual(self.redeem(self.voucher.code, address="2001:db8:2:77::1").status_code, 200)

    def test_the_window_ends(self):
        with time_machine.travel(datetime.now(UTC), tick=False) as clock:
            for _ in range(3):
                self.redeem(unknown_code())
            self.assertEqual(self.redeem(self.voucher.code)["Retry-After"], "900")
            clock.shift(timedelta(seconds=900))
            self.assertEqual(self.redeem(self.voucher.code).status_code, 200)

    def test_codes_that_exist_use_up_nothing(self):
        expired = make_expired_voucher(owner=self.customer)
        for _ in range(6):
            self.assertEqual(self.redeem(self.voucher.code).status_code, 200)
            self.assertProblem(self.redeem(expired.code), 409, "voucher_expired")
            mismatch = self.carla.post(URL, {"code": self.voucher.code, "service_type": "other"})
            self.assertProblem(mismatch, 409, "service_mismatch")
            self.assertProblem(self.carla.post(URL, {}), 400, "validation_error")
        self.assertProblem(self.redeem(unknown_code()), 404, "voucher_not_found")

    def test_it_costs_no_query(self):
        with self.assertQueries(self.queries):
            self.assertEqual(self.redeem(self.voucher.code).status_code, 200)
        for _ in range(3):
            self.redeem(unknown_code())
        with self.assertQueries(1):
            self.assertProblem(self.redeem(self.voucher.code), 429, "rate_limited")


@LIMITED
class CodesTogether(RaceTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.token = f"Bearer {authentication.open_session(user=self.customer).access}"

    def redeem_together(self, codes):
        def redeem(code):
            client = self.client_class()
            client.credentials(HTTP_AUTHORIZATION=self.token)
            return client.post(URL, {"code": code}).status_code

        statuses = self.together(*[lambda code=code: redeem(code) for code in codes])
        return {status: statuses.count(status) for status in set(statuses)}

    def test_of_many_wrong_codes_no_more_than_the_limit_learn_that_they_are_wrong(self):
        self.assertEqual(self.redeem_together([unknown_code() for _ in range(30)]), {404: 3, 429: 27})

    def test_no_valid_code_is_refused_for_the_others_beside_it(self):
        vouchers = [make_voucher(owner=self.customer) for _ in range(20)]
        self.assertEqual(self.redeem_together([voucher.code for voucher in vouchers]), {200: 20})
