import base64
import datetime
import json
import uuid
from unittest.mock import patch

import jwt
import time_machine
from django.conf import settings
from django.utils import timezone

from apps.authentication import services, tokens
from apps.authentication.models import Session
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer
from tests.support.cases import ApiTestCase

URL = "/api/users/profile/"


def signed(payload, key=settings.JWT_SIGNING_KEY, algorithm="HS256"):
    return jwt.encode(payload, key, algorithm=algorithm)


def unsigned(header, payload):
    parts = (json.dumps(header), json.dumps(payload))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "."


class SignedInByToken(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)
        self.payload = jwt.decode(self.tokens.access, options={"verify_signature": False})

    def ask(self, token):
        return self.api.get(URL, HTTP_AUTHORIZATION=f"Bearer {token}")

    def test_it_is_the_session_s_user(self):
        self.assertEqual(self.ask(self.tokens.access).json()["email"], "carla@example.com")

    def test_it_costs_one_query(self):
        claims = tokens.read_access(self.tokens.access)
        with self.assertQueries(2):  # the session with its user; the profile
            self.ask(self.tokens.access)
        self.assertEqual(claims.user_id, str(self.customer.pk))

    def test_a_token_says_whose_and_which_session_s_it_is_and_nothing_else(self):
        self.assertEqual(self.payload.keys(), {"token_type", "exp", "iat", "jti", "iss", "sid", "user_id"})
        self.assertEqual(self.payload["exp"] - self.payload["iat"], 60 * 60)
        refresh = jwt.decode(self.tokens.refresh, options={"verify_signature": False})
        self.assertEqual(refresh["exp"] - refresh["iat"], 7 * 24 * 60 * 60)

    def test_the_scheme_is_read_in_any_case(self):
        for header in (f"bearer {self.tokens.access}", f"BEARER  {self.tokens.access} "):
            self.assertEqual(self.api.get(URL, HTTP_AUTHORIZATION=header).status_code, 200)

    def test_without_a_token_one_is_asked_to_sign_in(self):
        response = self.api.get(URL)
        self.assertProblem(response, 401, "not_authenticated")
        self.assertEqual(response["WWW-Authenticate"], 'Bearer realm="api"')
        self.assertProblem(
            self.api.get(URL, HTTP_AUTHORIZATION="Basic Y2FybGE6eA=="), 401, "not_authenticated"
        )

    def test_a_refused_header_says_so_on_public_pages_too(self):
        for header in ("Bearer", "Bearer ", "Bearer a b", f"Bearer {self.tokens.access} x", "Bearer \xe9"):
            with self.subTest(header):
                response = self.api.get(URL, HTTP_AUTHORIZATION=header)
                self.assertProblem(response, 401, "token_invalid")
                self.assertEqual(response["WWW-Authenticate"], 'Bearer realm="api"')

    def test_it_refuses_forged_and_foreign_tokens(self):
        good = self.payload
        other = make_other_customer()
        now = int(timezone.now().timestamp())
        ended = services.open_session(user=self.customer)
        services.revoke_own_session_by_token(user=self.customer, refresh=ended.refresh)
        forged = {
            "alg none": unsigned({"alg": "none", "typ": "JWT"}, good),
            "alg none, with our signature": unsigned({"alg": "none"}, good)
            + self.tokens.access.rpartition(".")[2],
            "no signature": self.tokens.access.rpartition(".")[0] + ".",
            "another key": signed(good, key="another-key-of-some-length-0123456789"),
            "the secret key of the site": signed(good, key=settings.SECRET_KEY),
            "an empty key": signed(good, key="x" * 32),
            "another algorithm": signed(good, algorithm="HS512", key=settings.JWT_SIGNING_KEY),
            "changed payload": self.tokens.access.split(".")[0]
            + "."
            + unsigned({}, good).split(".")[1]
            + ".AAAA",
            "refresh as access": self.tokens.refresh,
            "no type": signed({**good, "token_type": None}),
            "another type": signed({**good, "token_type": "sliding"}),
            "expired": signed({**good, "exp": now - 31}),
            "no expiry": signed({name: value for name, value in good.items() if name != "exp"}),
            "expiry beyond dates": signed({**good, "exp": 10**30}),
            "expiry beyond numbers": signed({**good, "exp": float("inf")}),
            "expiry in words": signed({**good, "exp": "tomorrow"}),
            "expiry a list": signed({**good, "exp": []}),
            "made in the future": signed({**good, "iat": now + 3600}),
            "foreign issuer": signed({**good, "iss": "elsewhere"}),
            "no issuer": signed({name: value for name, value in good.items() if name != "iss"}),
            "no sid": signed({name: value for name, value in good.items() if name != "sid"}),
            "sid of nobody": signed({**good, "sid": str(uuid.uuid4())}),
            "sid in words": signed({**good, "sid": "' OR 1=1 --"}),
            "sid a number": signed({**good, "sid": 7}),
            "sid null": signed({**good, "sid": None}),
            "sid a list": signed({**good, "sid": [good["sid"]]}),
            "sid with NUL": signed({**good, "sid": "\0"}),
            "ended session": ended.access,
            "user_id of another": signed({**good, "user_id": str(other.pk)}),
            "user_id in words": signed({**good, "user_id": "carla"}),
            "user_id too great": signed({**good, "user_id": "9" * 40}),
            "user_id a list": signed({**good, "user_id": [1]}),
            "no user_id": signed({name: value for name, value in good.items() if name != "user_id"}),
            "no jti": signed({name: value for name, value in good.items() if name != "jti"}),
            "oversized": signed({**good, "more": "x" * 4000}),
            "huge": "x" * 60_000,
            "deep": base64.urlsafe_b64encode(b"[" * 700).decode().rstrip("=") + ".e30.AAAA",
            "payload no object": signed({}).split(".")[0] + ".W10.AAAA",
            "two dots": "..",
            "not base64": "a.b.c",
            "not ASCII": "\u00e9.\u00e9.\u00e9",
        }
        before = list(Session.objects.values())
        for name, token in forged.items():
            with self.subTest(name):
                response = self.api.get(URL, HTTP_AUTHORIZATION=f"Bearer {token}".encode().decode("latin-1"))
                self.assertProblem(response, 401, "token_invalid")
                verified = self.api.post("/api/auth/token/verify/", {"token": token})
                if name != "refresh as access":
                    self.assertProblem(verified, 401, "token_invalid")
                    refreshed = self.api.post("/api/auth/token/refresh/", {"refresh": token})
                    self.assertProblem(refreshed, 401, "token_invalid")
        self.assertEqual(list(Session.objects.values()), before)

    def test_it_forgives_clocks_that_differ_by_less_than_thirty_seconds(self):
        now = int(timezone.now().timestamp())
        self.assertEqual(self.ask(signed({**self.payload, "exp": now - 20})).status_code, 200)
        self.assertEqual(self.ask(signed({**self.payload, "iat": now + 20})).status_code, 200)

    def test_it_works_for_sixty_minutes(self):
        for minutes, status in ((59, 200), (61, 401)):
            with time_machine.travel(timezone.now() + datetime.timedelta(minutes=minutes), tick=False):
                self.assertEqual(self.ask(self.tokens.access).status_code, status)

    def test_a_token_is_verified_once_and_believed_no_longer_than_it_says(self):
        self.assertEqual(self.ask(self.tokens.access).status_code, 200)
        with patch.object(tokens, "_two_keys") as keys:
            self.assertEqual(self.ask(self.tokens.access).status_code, 200)
            self.assertEqual(keys.call_count, 0)
        # To the second: as the library that verified it would say, with its leeway.
        expiry = self.payload["exp"] + 30
        for seconds, status in ((-1, 200), (0, 401), (1, 401)):
            with time_machine.travel(expiry + seconds, tick=False):
                self.assertEqual(self.ask(self.tokens.access).status_code, status, seconds)
                tokens._verified.cache_clear()
                self.assertEqual(self.ask(self.tokens.access).status_code, status, f"anew, {seconds}")

    def test_a_deactivated_user_is_out_at_once_and_stays_out_when_reactivated(self):
        self.customer.is_active = False
        self.customer.save(update_fields=["is_active"])
        self.assertProblem(self.ask(self.tokens.access), 401, "token_invalid")
        self.customer.is_active = True
        self.customer.save(update_fields=["is_active"])
        self.assertProblem(self.ask(self.tokens.access), 401, "token_invalid")
        fresh = services.open_session(user=self.customer)
        self.assertEqual(self.ask(fresh.access).status_code, 200)

    def test_a_user_deactivated_behind_the_models_back_is_out_too(self):
        User.objects.update(is_active=False)
        self.assertProblem(self.ask(self.tokens.access), 401, "token_invalid")

    def test_a_deleted_user_is_out(self):
        self.customer.delete()
        self.assertProblem(self.ask(self.tokens.access), 401, "token_invalid")

    def test_a_new_password_however_set_ends_every_session(self):
        self.customer.set_password("an entirely new password")
        User.objects.filter(pk=self.customer.pk).update(password=self.customer.password)
        self.assertProblem(self.ask(self.tokens.access), 401, "token_invalid")
