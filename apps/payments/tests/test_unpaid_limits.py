"""How many purchases may be started and left unpaid."""

import time
from datetime import timedelta
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.db.models import F
from django.test import override_settings, tag

from apps.payments import gateway
from apps.payments.models import IdempotencyKey, Transaction
from apps.payments.services import unpaid_purchases
from apps.users import services as users
from apps.users.tests.factories import make_user
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase, RaceTestCase

from .money import CONFIRM, INTENT, PURCHASE, PaidTestCase

OLDER_INTENT = "/api/payments/create-intent/"
SCHOOL, ELSEWHERE = "203.0.113.7", "198.51.100.1"


class LimitTestCase(PaidTestCase):
    assertProblem: Any
    captureOnCommitCallbacks: Any  # noqa: N815 - Django's name
    signed_in: Any

    def begin(self, api=None, *, url=INTENT, address=SCHOOL, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        body = {"voucher_type_id": self.type.pk}
        return (api or self.api).post(url, body, headers=headers, REMOTE_ADDR=address)

    def assertBegun(self, response):
        self.assertEqual(response.status_code, 201, response.content)
        return response.json()

    def assertLimited(self, response, longest=3600):
        self.assertProblem(response, 429, "rate_limited")
        self.assertIn(int(response.headers["Retry-After"]), range(1, longest + 1))

    def begin_unpaid(self, number, api=None):
        for _ in range(number):
            self.assertBegun(self.begin(api))

    def buyers(self, number):
        return [self.signed_in(make_user()) for _ in range(number)]

    def pay(self, response, api=None):
        """Pay what was begun, and confirm it."""
        intent_id = self.assertBegun(response)["payment_intent_id"]
        self.stripe.pay(intent_id)
        with self.captureOnCommitCallbacks(execute=True):
            confirmed = (api or self.api).post(CONFIRM, {"payment_intent_id": intent_id})
        self.assertEqual(confirmed.status_code, 200, confirmed.content)

    def age(self, **time_ago):
        Transaction.objects.update(created_at=F("created_at") - timedelta(**time_ago))


@override_settings(RATE_LIMITS_ENABLED=True, LIMIT_UNPAID_PURCHASES_PER_ACCOUNT=(3, 3600))
class AccountTests(LimitTestCase, ApiTestCase):
    def test_an_account_at_its_limit_starts_no_more(self):
        self.begin_unpaid(3)
        rows, requests = Transaction.objects.count(), len(self.stripe.requests())
        for url in (PURCHASE, INTENT, OLDER_INTENT):
            self.assertLimited(self.begin(url=url))
            self.assertLimited(self.begin(url=url, address=ELSEWHERE))
        self.assertEqual((Transaction.objects.count(), len(self.stripe.requests())), (rows, requests))
        self.assertBegun(self.begin(self.signed_in(make_user())))

    def test_what_is_paid_counts_no_more(self):
        for _ in range(5):
            self.pay(self.begin())
        self.begin_unpaid(2)
        self.pay(self.begin())
        self.assertBegun(self.begin())
        self.assertLimited(self.begin())

    def test_what_was_canceled_counts_on(self):
        self.begin_unpaid(3)
        Transaction.objects.update(status="failed")
        self.assertLimited(self.begin())

    def test_it_says_when_the_oldest_counts_no_more(self):
        self.begin_unpaid(1)
        self.age(minutes=50)
        self.begin_unpaid(2)
        self.assertLimited(self.begin(), longest=600)
        self.age(minutes=10)
        self.assertBegun(self.begin())
        self.assertLimited(self.begin())

    def test_the_same_request_under_its_key_is_not_another_start(self):
        first = self.assertBegun(self.begin(key="one"))
        self.begin_unpaid(2)
        self.assertEqual(self.assertBegun(self.begin(key="one")), first)
        self.assertLimited(self.begin(key="two"))
        self.assertEqual(IdempotencyKey.objects.count(), 1)
        self.age(hours=1)
        self.assertBegun(self.begin(key="two"))

    def test_what_is_free_is_not_limited(self):
        self.begin_unpaid(3)
        self.type = make_type(price=0)
        self.begin_unpaid(4)

    def test_while_stripe_is_away_trying_again_soon_counts_no_more(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=6)
        for _ in range(3):
            self.assertProblem(self.begin(), 503, "payment_provider_unavailable")
        self.assertLimited(self.begin())
        self.age(seconds=31)
        self.begin_unpaid(3)
        self.assertLimited(self.begin())

    @override_settings(RATE_LIMITS_ENABLED=False)
    def test_without_limits_there_is_none(self):
        self.begin_unpaid(5)


@override_settings(
    RATE_LIMITS_ENABLED=True,
    LIMIT_UNPAID_PURCHASES_PER_ACCOUNT=(20, 3600),
    LIMIT_UNPAID_PURCHASES_PER_NETWORK=(4, 3600),
)
class NetworkTests(LimitTestCase, ApiTestCase):
    def test_a_network_at_its_limit_stops_those_who_left_something_unpaid(self):
        one, other, newcomer = self.buyers(3)
        self.begin_unpaid(3, one)
        self.begin_unpaid(1, other)
        rows = Transaction.objects.count()
        for api in (one, other):
            self.assertLimited(self.begin(api))
        self.assertEqual(Transaction.objects.count(), rows)
        self.assertBegun(self.begin(one, address=ELSEWHERE))
        self.pay(self.begin(newcomer), newcomer)
        self.assertBegun(self.begin(newcomer))
        self.assertLimited(self.begin(newcomer))

    def test_what_is_paid_is_given_back(self):
        for api in self.buyers(6):
            self.pay(self.begin(api), api)
        self.assertEqual(set(Transaction.objects.values_list("start_counted", flat=True)), {None})
        self.begin_unpaid(4)
        self.assertLimited(self.begin())

    def test_a_webhook_gives_it_back_too(self):
        self.begin_unpaid(3)
        intent_id = self.assertBegun(self.begin())["payment_intent_id"]
        self.assertLimited(self.begin())
        self.stripe.pay(intent_id)
        with self.captureOnCommitCallbacks(execute=True):
            self.deliver_all("payment_intent.succeeded")
        self.assertBegun(self.begin())
        self.assertLimited(self.begin())

    def test_what_stripe_did_not_answer_is_given_back(self):
        for api in self.buyers(4):
            self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=2)
            with self.captureOnCommitCallbacks(execute=True):
                self.assertProblem(self.begin(api), 503, "payment_provider_unavailable")
        self.begin_unpaid(4)
        self.assertLimited(self.begin())

    def test_a_network_of_ipv6_has_a_wider_one_around_it(self):
        [api] = self.buyers(1)
        with override_settings(LIMIT_WIDE_NETWORK_TIMES=2):
            for number in range(8):
                self.assertBegun(self.begin(api, address=f"2001:db8:0:{number}::1"))
            self.assertLimited(self.begin(api, address="2001:db8:0:9::1"))
        self.assertBegun(self.begin(api, address="2001:db8:1::1"))

    def test_no_address_is_kept(self):
        self.begin_unpaid(1)
        self.assertNotIn(SCHOOL, str(Transaction.objects.values().get()))


@override_settings(RATE_LIMITS_ENABLED=True, LIMIT_UNPAID_PURCHASES_PER_ACCOUNT=(3, 3600))
@tag("pooled")
class UnpaidRaceTests(LimitTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)
        waiting.start()
        self.addCleanup(waiting.stop)

    def race(self):
        """Eight starts of one account at once: how many were let through."""
        api = self.signed_in(make_user())
        answers = self.together(*[lambda: self.begin(api).status_code] * 8)
        self.assertLessEqual(set(answers), {201, 429})
        return answers.count(201)

    def test_of_many_at_once_no_more_than_the_limit_get_past(self):
        for round_no in range(self.rounds):
            self.assertEqual(self.race(), 3, f"round {round_no}")

    @skipUnless(connection.vendor == "postgresql", "SQLite has one writer at a time anyway")
    def test_the_same_race_catches_a_count_without_the_lock(self):
        count = unpaid_purchases.count_start

        def count_slowly(**arguments):
            counted = count(**arguments)
            time.sleep(0.1)
            return counted

        with (
            patch.object(users, "lock_open_account"),
            patch.object(unpaid_purchases, "count_start", count_slowly),
        ):
            self.assertGreater(self.race(), 3)
