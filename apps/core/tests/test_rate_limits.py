"""The counters themselves, in both stores; and a Redis that is away."""

import contextlib
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from unittest import SkipTest
from unittest.mock import patch
from urllib.parse import urlsplit

import redis
import time_machine
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings, tag

from apps.authentication.models import Session
from apps.core import rate_limits
from apps.core.errors import TooManyAttempts
from apps.core.rate_limits import Counter, Refuses, counters, stores
from apps.users.tests.factories import PASSWORD, make_customer
from apps.vouchers.tests.factories import make_voucher
from tests.support.cases import ApiTestCase, RaceTestCase

LOGIN = "/api/auth/login/"
NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ONE, OTHER = Counter("LIMIT_REGISTER", "one"), Counter("LIMIT_REGISTER", "other")
WIDE = Counter("LIMIT_REFRESH", "all")


@override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REGISTER=(3, 600), LIMIT_REFRESH=(5, 60))
class _Counting(ApiTestCase):
    """What holds for counters wherever they are kept."""

    def count(self, *counters):
        """How many more attempts these counters allow, taking them all."""
        for number in range(100):
            try:
                rate_limits.hit(*counters)
            except TooManyAttempts:
                return number
        return self.fail("no limit")

    def wait(self, *counters):
        with self.assertRaises(TooManyAttempts) as caught:
            rate_limits.test(*counters)
        return caught.exception.retry_after

    def test_it_allows_as_many_as_the_limit_says_to_each(self):
        self.assertEqual(self.count(ONE), 3)
        self.assertEqual(self.count(ONE), 0)
        self.assertEqual(self.count(OTHER), 3)

    def test_checking_counts_nothing(self):
        for _ in range(10):
            rate_limits.test(ONE)
        self.assertEqual(self.count(ONE), 3)
        self.wait(ONE)

    def test_one_full_counter_refuses_all_and_counts_none(self):
        self.count(ONE)
        self.assertEqual(self.count(ONE, WIDE), 0)
        self.assertEqual(self.count(WIDE), 5)

    def test_the_window_starts_with_the_first_attempt_and_ends(self):
        with time_machine.travel(NOON, tick=False) as clock:
            rate_limits.hit(ONE)
            clock.shift(timedelta(minutes=4))
            self.assertEqual(self.count(ONE), 2)
            self.assertEqual(self.wait(ONE), 360)
            clock.shift(timedelta(seconds=359.5))
            self.assertEqual(self.wait(ONE), 1)
            clock.shift(timedelta(seconds=0.5))
            rate_limits.test(ONE)
            self.assertEqual(self.count(ONE), 3)
            self.assertEqual(self.wait(ONE), 600)

    def test_of_two_full_counters_the_later_end_counts(self):
        with time_machine.travel(NOON, tick=False):
            self.count(ONE)
            self.count(WIDE)
            self.assertEqual(self.wait(WIDE), 60)
            self.assertEqual(self.wait(ONE, WIDE), 600)
            self.assertEqual(self.wait(WIDE, ONE), 600)

    def test_what_is_given_back_may_be_taken_again(self):
        hits = rate_limits.hit(ONE, WIDE)
        self.assertEqual(self.count(ONE), 2)
        rate_limits.undo(hits)
        self.assertEqual(self.count(ONE), 1)

    def test_what_is_given_back_after_its_window_changes_nothing(self):
        with time_machine.travel(NOON, tick=False) as clock:
            hits = rate_limits.hit(ONE)
            rate_limits.undo(rate_limits.hit(OTHER))
            clock.shift(timedelta(hours=1))
            self.assertEqual(self.count(ONE), 3)
            rate_limits.undo(hits)
            self.assertEqual(self.count(ONE), 0)

    def test_giving_back_too_often_gives_nothing(self):
        hits = rate_limits.hit(ONE)
        for _ in range(5):
            rate_limits.undo(hits)
        self.assertEqual(self.count(ONE), 3)

    def test_a_lower_limit_or_a_shorter_window_holds_at_once(self):
        self.count(ONE)
        with override_settings(LIMIT_REGISTER=(2, 10)):
            self.assertLessEqual(self.wait(ONE), 10)
        with override_settings(LIMIT_REGISTER=(4, 600)):
            self.assertEqual(self.count(ONE), 1)

    def test_a_counter_of_many_may_refuse_only_whom_the_first_has_counted_before(self):
        many = Counter("LIMIT_REFRESH", "many", Refuses.REPEATERS)
        for number in range(5):
            rate_limits.hit(Counter("LIMIT_REGISTER", f"guesser {number}"), many)
        for _ in range(10):
            rate_limits.test(ONE, many)
        rate_limits.hit(ONE, many)  # a newcomer's first is counted on both, beyond the limit of the many
        self.wait(ONE, many)
        self.assertEqual(self.count(ONE, many), 0)
        self.assertEqual(self.count(ONE), 2)

    def test_a_counter_of_parties_counts_and_refuses_only_whom_the_first_has_not_counted(self):
        parties = Counter("LIMIT_REFRESH", "parties", Refuses.NEWCOMERS)
        known = [Counter("LIMIT_REGISTER", f"party {number}") for number in range(5)]
        for party in known:
            self.assertEqual(self.count(party, parties), 3)
        self.wait(ONE, parties)
        self.assertEqual(self.count(ONE, parties), 0)
        with override_settings(LIMIT_REGISTER=(4, 600)):
            self.assertEqual(self.count(known[0], parties), 1)

    def test_of_a_party_that_is_no_newcomer_nothing_is_given_back(self):
        parties = Counter("LIMIT_REFRESH", "parties", Refuses.NEWCOMERS)
        all_of_them = Counter("LIMIT_REFRESH", "parties")
        first, second = rate_limits.hit(ONE, parties), rate_limits.hit(ONE, parties)
        rate_limits.undo(second)
        self.assertEqual(self.count(all_of_them), 4)
        rate_limits.undo(first)
        self.assertEqual(self.count(all_of_them), 1)

    def test_a_counter_may_allow_several_times_its_limit(self):
        self.assertEqual(self.count(Counter("LIMIT_REGISTER", "wide", times=4)), 12)

    def test_successes_stay_counted_and_nothing_else_does(self):
        for error in (None, ValueError, KeyboardInterrupt, None):
            with contextlib.suppress(BaseException), rate_limits.successes(of=(ONE,)):
                if error:
                    raise error
        self.assertEqual(self.count(ONE), 1)
        with self.assertRaises(TooManyAttempts), rate_limits.successes(of=(ONE,)):
            self.fail("It ran.")

    def test_failures_stay_counted_and_nothing_else_does(self):
        for error in (None, ValueError, KeyError, ValueError, KeyboardInterrupt, None):
            with contextlib.suppress(BaseException), rate_limits.count_failures(ValueError, of=(ONE,)):
                if error:
                    raise error
        self.assertEqual(self.count(ONE), 1)

    def test_over_the_limit_the_block_does_not_run(self):
        self.count(ONE)
        with self.assertRaises(TooManyAttempts), rate_limits.count_failures(ValueError, of=(ONE,)):
            self.fail("It ran.")

    def test_switched_off_nothing_counts(self):
        with override_settings(RATE_LIMITS_ENABLED=False):
            for _ in range(10):
                rate_limits.undo(rate_limits.hit(ONE))
                rate_limits.hit(ONE)
                rate_limits.test(ONE)
        self.assertEqual(self.count(ONE), 3)

    def test_the_store_never_sees_who(self):
        for who in ("carla@example.com", "203.0.113.7"):
            self.assertNotIn(who, Counter("LIMIT_REGISTER", who).key)
        self.assertNotEqual(ONE.key, Counter("LIMIT_REFRESH", "one").key)

    def test_attempts_are_given_back_whatever_the_clocks_of_those_who_made_them(self):
        with time_machine.travel(1_800_000_000.005, tick=False):
            later = rate_limits.hit(ONE)
        with time_machine.travel(1_800_000_000.004, tick=False):
            earlier = rate_limits.hit(ONE)
            rate_limits.undo(later)
            rate_limits.undo(earlier)
            self.assertEqual(self.count(ONE), 3)


@override_settings(REDIS_URL="")
class CountingInTheProcess(_Counting):
    def test_it_keeps_a_bounded_number_of_counters_the_latest(self):
        store = stores.MemoryStore()
        now = int(time.time() * 1000)
        busy = stores.Rule("busy", 10**9, 600)
        store.hit([stores.Rule("busy", 3, 600)], now_ms=now, amount=1)
        for number in range(stores.LARGEST + 10):
            store.hit([stores.Rule(str(number), 3, 600), busy], now_ms=now, amount=1)
        self.assertLessEqual(len(store._counts), stores.LARGEST)
        self.assertIn("busy", store._counts)
        self.assertNotIn("0", store._counts)


@tag("server")
class CountingInRedis(_Counting):
    @classmethod
    def setUpClass(cls):
        if not settings.REDIS_URL:
            raise SkipTest("no Redis")
        super().setUpClass()

    def test_it_is_redis_that_counts(self):
        rate_limits.hit(ONE)
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            self.assertEqual(client.hget(ONE.key, "count"), b"1")
            self.assertTrue(590_000 < client.pttl(ONE.key) <= 600_000)
        rate_limits.reset()
        self.assertEqual(self.count(ONE), 2)

    def test_a_redis_that_forgets_its_scripts_is_told_them_again(self):
        rate_limits.hit(ONE)
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            client.script_flush()
        self.assertEqual(self.count(ONE), 2)
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            self.assertEqual(client.hget(ONE.key, "count"), b"3")

    def test_a_connection_that_was_closed_while_idle_is_no_failure(self):
        with Relay(settings.REDIS_URL) as relay, override_settings(REDIS_URL=relay.url):
            rate_limits.hit(ONE)
            relay.drop()
            rate_limits.hit(ONE)
        rate_limits.reset()
        self.assertEqual(self.count(ONE), 1)

    def test_a_redis_that_comes_back_is_used_again(self):
        with Relay(settings.REDIS_URL) as relay, override_settings(REDIS_URL=relay.url):
            rate_limits.hit(ONE)
            relay.answers = False
            relay.drop()
            with self.assertLogs("apps.core.rate_limits", "WARNING") as logged:
                self.assertEqual(self.count(ONE), 3, "the process counts, from zero")
            self.assertEqual(len([line for line in logged.output if "Redis failed" in line]), 1)
            relay.answers = True
            self.assertEqual(self.count(ONE), 0, "Redis is left alone for a while")
            counters._redis_store(relay.url)._retry_at -= stores.REDIS_PAUSE
            self.assertEqual(self.count(ONE), 2, "Redis counts on, from where it was")


del _Counting


class CountingTogether(RaceTestCase):
    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REGISTER=(10, 600))
    def test_of_forty_takers_exactly_the_limit_get_one_in_either_store(self):
        def take():
            with contextlib.suppress(TooManyAttempts):
                rate_limits.hit(ONE, WIDE)
                return True
            return False

        for url in {settings.REDIS_URL, ""}:
            with self.subTest(url), override_settings(REDIS_URL=url):
                for _ in range(self.rounds):
                    cache.clear()
                    rate_limits.reset()
                    self.assertEqual(sum(self.together(*[take] * 40)), 10)


@override_settings(RATE_LIMITS_ENABLED=True, LIMIT_LOGIN_PER_ACCOUNT=(3, 900))
class WithoutRedisTests(ApiTestCase):
    """Redis refuses, or accepts and never answers: requests go on, and this process counts."""

    requests = 12

    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def journey(self):
        """Sign in rightly and wrongly, read, and redeem; the statuses of wrong sign-ins."""
        carla = self.signed_in(self.customer)
        wrong = []
        for _ in range(self.requests):
            self.assertEqual(carla.get("/api/users/profile/").status_code, 200)
            body = {"email": "otto@example.com", "password": "wrong"}
            wrong.append(self.api.post(LOGIN, body).status_code)
        right = self.api.post(LOGIN, {"email": self.customer.email, "password": PASSWORD})
        self.assertEqual(right.status_code, 200, right.content)
        self.assertEqual(Session.objects.filter(ended_at=None).count(), 2)
        code = make_voucher(owner=self.customer).code
        self.assertEqual(carla.post("/api/vouchers/redeem/", {"code": code}).status_code, 200)
        return wrong

    def test_a_redis_that_refuses_is_asked_once(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
        paused = patch.object(stores, "REDIS_PAUSE", 3600)
        with (
            paused,
            override_settings(REDIS_URL=url),
            self.assertLogs("apps.core.rate_limits", "WARNING") as logged,
        ):
            wrong = self.journey()
        self.assertEqual(wrong, [401] * 3 + [429] * (self.requests - 3))
        self.assertEqual(len([line for line in logged.output if "Redis failed" in line]), 1)

    def test_a_redis_that_hangs_is_waited_for_once(self):
        paused = patch.object(stores, "REDIS_PAUSE", 3600)
        with paused, Hung() as hung, override_settings(REDIS_URL=hung.url):
            started = time.monotonic()
            self.assertEqual(self.api.get("/api/test/").status_code, 200)
            first = time.monotonic() - started
            with self.assertNoLogs("apps.core.rate_limits", "ERROR"):
                wrong = self.journey()
            self.assertEqual(wrong, [401] * 3 + [429] * (self.requests - 3))
            self.assertEqual(len(hung.connections), 1)
        self.assertLess(first, 5)


class HungTogetherTests(RaceTestCase):
    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_LOGIN_PER_ACCOUNT=(5, 900))
    def test_requests_at_the_same_instant_wait_once_each_and_the_process_counts_them_exactly(self):
        def attempt():
            started = time.monotonic()
            body = {"email": "otto@example.com", "password": "wrong"}
            status = self.client_class().post(LOGIN, body).status_code
            return status, time.monotonic() - started

        # A long pause: on a slow machine the usual one ends meanwhile, and Redis is asked once more.
        paused = patch.object(stores, "REDIS_PAUSE", 3600)
        with paused, Hung() as hung, override_settings(REDIS_URL=hung.url):
            answers = self.together(*[attempt] * 16)
            statuses = [status for status, _ in answers]
            self.assertEqual((statuses.count(401), statuses.count(429)), (5, 11))
            self.assertLessEqual(len(hung.connections), 16)


class Hung:
    """A server that accepts connections and never answers."""

    def __enter__(self):
        self.connections = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"redis://127.0.0.1:{self.socket.getsockname()[1]}/0"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.connections:
            connection.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self.socket.accept()[0])


class Relay(Hung):
    """A server that hands everything on to a Redis, until it is told otherwise."""

    def __init__(self, url):
        self.to = urlsplit(url)
        self.answers = True

    def __enter__(self):
        super().__enter__()
        self.url = self.url.removesuffix("/0") + self.to.path  # the same database behind it
        return self

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.socket.accept()[0]
                if not self.answers:
                    client.close()
                    continue
                server = socket.create_connection((self.to.hostname, self.to.port))
                self.connections += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def drop(self):
        """Close every connection."""
        while self.connections:
            connection = self.connections.pop()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
