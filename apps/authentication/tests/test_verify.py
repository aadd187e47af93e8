import datetime

import time_machine
from django.utils import timezone

from apps.authentication import services, tokens
from apps.authentication.models import Session
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase

URL = "/api/auth/token/verify/"


class Verifying(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)

    def verify(self, token):
        return self.api.post(URL, {"token": token})

    def test_it_knows_both_kinds_of_token(self):
        self.assertEqual(self.verify(self.tokens.access).status_code, 200)
        self.assertEqual(self.verify(self.tokens.refresh).status_code, 200)

    def test_looking_uses_nothing_up(self):
        self.verify(self.tokens.refresh)
        self.assertEqual(
            self.api.post("/api/auth/token/refresh/", {"refresh": self.tokens.refresh}).status_code, 200
        )

    def test_a_used_refresh_token_is_not_valid_but_looking_at_it_ends_nothing(self):
        services.refresh_session(tokens.read_refresh(self.tokens.refresh))
        self.assertProblem(self.verify(self.tokens.refresh), 401, "token_invalid")
        self.assertIsNone(Session.objects.get().ended_at)

    def test_tokens_of_an_ended_session_are_not_valid(self):
        services.revoke_all_sessions(user=self.customer)
        for token in (self.tokens.access, self.tokens.refresh):
            self.assertProblem(self.verify(token), 401, "token_invalid")

    def test_an_expired_token_is_not_valid(self):
        with time_machine.travel(timezone.now() + datetime.timedelta(minutes=61), tick=False):
            self.assertProblem(self.verify(self.tokens.access), 401, "token_invalid")

    def test_garbage_is_not_valid(self):
        self.assertProblem(self.verify("garbage"), 401, "token_invalid")

    def test_it_needs_a_token(self):
        self.assertProblem(self.api.post(URL, {}), 400, "validation_error")
