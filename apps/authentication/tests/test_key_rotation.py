import base64
import json

import jwt
from django.conf import settings
from django.test import override_settings

from apps.authentication import services
from apps.authentication.models import Session
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase

OLD = settings.JWT_SIGNING_KEY
NEW = "the-signing-key-of-today-0123456789-0123456789-0123456789-0123456789"
THIRD = "a-key-that-was-never-ours-0123456789"


def rotated(signing_key=NEW, previous_key=OLD):
    """The settings after a rotation."""
    return override_settings(
        SIMPLE_JWT={**settings.SIMPLE_JWT, "SIGNING_KEY": signing_key}, JWT_PREVIOUS_SIGNING_KEY=previous_key
    )


class ChangingTheSigningKey(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.before = services.open_session(user=self.customer)
        self.claims = jwt.decode(self.before.access, options={"verify_signature": False})

    def profile(self, access):
        return self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {access}")

    def refresh(self, token):
        return self.api.post("/api/auth/token/refresh/", {"refresh": token})

    def test_tokens_of_the_previous_key_go_on_working(self):
        with rotated():
            self.assertEqual(self.profile(self.before.access).status_code, 200)
            verified = self.api.post("/api/auth/token/verify/", {"token": self.before.refresh})
            self.assertEqual(verified.status_code, 200)
            self.assertEqual(self.refresh(self.before.refresh).status_code, 200)

    def test_new_tokens_are_signed_by_the_new_key_alone(self):
        with rotated():
            answer = self.refresh(self.before.refresh).json()
            fresh = services.open_session(user=self.customer)
            for token in (answer["access"], answer["refresh"], fresh.access, fresh.refresh):
                jwt.decode(token, NEW, algorithms=["HS256"], issuer="voucher-app")
                with self.assertRaises(jwt.InvalidSignatureError):
                    jwt.decode(token, OLD, algorithms=["HS256"], issuer="voucher-app")
            self.assertEqual(self.profile(answer["access"]).status_code, 200)

    def test_without_it_the_older_tokens_are_dead(self):
        with rotated(previous_key=""):
            self.assertProblem(self.profile(self.before.access), 401, "token_invalid")
            self.assertProblem(self.refresh(self.before.refresh), 401, "token_invalid")
        self.assertIsNone(Session.objects.get().ended_at)

    def test_a_token_that_was_believed_a_moment_ago_dies_with_its_key(self):
        self.assertEqual(self.profile(self.before.access).status_code, 200)
        with rotated(previous_key=""):
            self.assertProblem(self.profile(self.before.access), 401, "token_invalid")
        self.assertEqual(self.profile(self.before.access).status_code, 200)

    def test_no_third_key_no_empty_key_and_no_other_algorithm_is_believed(self):
        header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode()
        payload = self.before.access.split(".")[1]
        unsigned = f"{header.rstrip('=')}.{payload}."
        forged = [
            unsigned,
            unsigned + self.before.access.split(".")[2],
            jwt.encode(self.claims, THIRD, algorithm="HS256"),
            jwt.encode(self.claims, OLD, algorithm="HS512"),
            jwt.encode(self.claims, NEW, algorithm="HS384"),
        ]
        for previous_key in (OLD, ""):
            with rotated(previous_key=previous_key):
                for token in forged:
                    self.assertProblem(self.profile(token), 401, "token_invalid")
                    self.assertProblem(self.refresh(token), 401, "token_invalid")
        self.assertIsNone(Session.objects.get().ended_at)

    def test_an_expired_token_of_the_previous_key_is_expired(self):
        expired = jwt.encode({**self.claims, "exp": self.claims["iat"] - 60}, OLD, algorithm="HS256")
        with rotated():
            self.assertProblem(self.profile(expired), 401, "token_invalid")
