"""Tokens that are not valid: those that somebody made up, and those that honest clients still have."""

from datetime import UTC, datetime, timedelta

import time_machine
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings

from apps.authentication import services
from apps.core import rate_limits
from apps.users.tests.factories import PASSWORD, make_customer
from tests.support.cases import ApiTestCase

LOGIN = "/api/auth/login/"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@override_settings(
    RATE_LIMITS_ENABLED=True,
    LIMIT_JUNK_TOKENS=(3, 60),
    LIMIT_REFRESH=(100, 60),
    LIMIT_REQUESTS_PER_NETWORK=(50, 60),
)
class JunkTokens(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)

    def assertLimited(self, response):
        self.assertProblem(response, 429, "rate_limited")
        self.assertTrue(1 <= int(response["Retry-After"]) <= 60)

    def access(self, token, address=HOME):
        headers = {"HTTP_AUTHORIZATION": f"Bearer {token}", "REMOTE_ADDR": address}
        return self.api.get("/api/users/profile/", **headers)

    def refresh(self, token, address=HOME):
        return self.api.post("/api/auth/token/refresh/", {"refresh": token}, REMOTE_ADDR=address)

    def verify(self, token, address=HOME):
        return self.api.post("/api/auth/token/verify/", {"token": token}, REMOTE_ADDR=address)

    def junk(self):
        head, body, signature = self.tokens.access.split(".")
        yield from ("x", f"{head}.{body}.{signature[::-1]}", f"{head}.{body}.", "eyJ" * 1000, "a.b.c", "ä")

    def test_they_count_together_wherever_they_are_sent(self):
        for ask in (self.access, self.refresh, self.verify):
            self.assertProblem(ask("junk"), 401, "token_invalid")
        for ask in (self.access, self.refresh, self.verify):
            with self.assertQueries(0):
                self.assertLimited(ask("more junk"))
        self.assertProblem(self.access("junk", ELSEWHERE), 401, "token_invalid")

    def test_whatever_we_did_not_sign_is_junk(self):
        for token in self.junk():
            rate_limits.reset()
            cache.clear()
            with override_settings(LIMIT_JUNK_TOKENS=(1, 60)):
                self.assertProblem(self.access(token), 401, "token_invalid")
                self.assertLimited(self.access(token))

    def test_valid_tokens_and_signing_in_are_not_refused_for_it(self):
        for _ in range(5):
            self.access("junk")
        self.assertEqual(self.access(self.tokens.access).status_code, 200)
        self.assertEqual(self.verify(self.tokens.access).status_code, 200)
        self.assertEqual(self.refresh(self.tokens.refresh).status_code, 200)
        body = {"email": "carla@example.com", "password": PASSWORD}
        self.assertEqual(
            self.api.post(LOGIN, body, REMOTE_ADDR=HOME, HTTP_AUTHORIZATION="Bearer junk").status_code, 200
        )

    def test_expired_tokens_and_those_of_an_ended_session_are_no_junk(self):
        services.revoke_all_sessions(user=self.customer)
        for at in (datetime.now(UTC), datetime.now(UTC) + timedelta(days=30)):
            with time_machine.travel(at):
                for _ in range(5):
                    self.assertProblem(self.access(self.tokens.access), 401, "token_invalid")
                    self.assertProblem(self.access(self.tokens.refresh), 401, "token_invalid")
                    self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_nor_those_of_the_key_before(self):
        before = settings.SIMPLE_JWT["SIGNING_KEY"]
        changed = {**settings.SIMPLE_JWT, "SIGNING_KEY": "another key " * 4}
        with override_settings(SIMPLE_JWT=changed, JWT_PREVIOUS_SIGNING_KEY=before):
            services.revoke_all_sessions(user=self.customer)
            for _ in range(5):
                self.assertProblem(self.access(self.tokens.access), 401, "token_invalid")

    def test_but_they_count_as_requests(self):
        services.revoke_all_sessions(user=self.customer)
        with override_settings(LIMIT_REQUESTS_PER_NETWORK=(3, 60)):
            for _ in range(3):
                self.assertProblem(self.access(self.tokens.access), 401, "token_invalid")
            self.assertLimited(self.access(self.tokens.access))
