from typing import Any

from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import override_settings, tag

from apps.authentication import cookies, tokens
from apps.authentication.models import Session
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_deactivated, make_user
from tests.support.cases import ApiTestCase

URL = "/api/auth/login/"


class CountingHasher(MD5PasswordHasher):
    algorithm = "counting"
    runs = 0

    def encode(self, password, salt):
        type(self).runs += 1
        return super().encode(password, salt)


@tag("smoke")
class SigningIn(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def sign_in(self, **body):
        return self.api.post(URL, {"email": "carla@example.com", "password": PASSWORD, **body})

    def assertRefused(self, response):
        document = self.assertProblem(response, 401, "invalid_credentials")
        self.assertEqual(response["WWW-Authenticate"], 'Bearer realm="api"')
        self.assertEqual(Session.objects.count(), 0)
        self.assertIsNone(User.objects.get(pk=self.customer.pk).last_login)
        return document

    def test_it_answers_with_the_user_and_tokens_that_work(self):
        response = self.sign_in()
        self.assertEqual(response.status_code, 200, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"user", "access", "refresh", "message", "device_token"})
        self.assertEqual(answer["user"]["id"], self.customer.pk)
        self.assertFalse(response.cookies)
        profile = self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {answer['access']}")
        self.assertEqual(profile.status_code, 200)
        self.assertEqual(
            self.api.post("/api/auth/token/refresh/", {"refresh": answer["refresh"]}).status_code, 200
        )

    def test_it_notes_when(self):
        self.sign_in()
        self.assertIsNotNone(User.objects.get().last_login)

    def test_each_sign_in_is_a_session_of_its_own(self):
        first, second = self.sign_in().json(), self.sign_in().json()
        sids = {tokens.read_access(answer["access"]).sid for answer in (first, second)}
        self.assertEqual(sids, set(Session.objects.values_list("id", flat=True)))
        self.assertEqual(len(sids), 2)

    def test_the_address_may_be_written_in_any_case(self):
        for email in ("CARLA@EXAMPLE.COM", "Carla@example.com", " carla@example.com "):
            with self.subTest(email):
                self.assertEqual(self.sign_in(email=email).status_code, 200)

    def test_a_password_is_the_same_however_its_letters_are_composed(self):
        self.customer.set_password("crème brûlée for two")
        self.customer.save()
        decomposed = "cre\u0300me bru\u0302le\u0301e for two"
        self.assertEqual(self.sign_in(password=decomposed).status_code, 200)

    def test_unknown_wrong_and_deactivated_get_the_same_answer(self):
        make_deactivated(email="gone@example.com")
        answers = [
            self.assertRefused(response)
            for response in (
                self.sign_in(email="unknown@example.com"),
                self.sign_in(password="wrong"),
                self.sign_in(password=PASSWORD + " "),
                self.sign_in(email="gone@example.com"),
                self.sign_in(email="gone@example.com", password="wrong"),
                self.sign_in(email="no address at all"),
            )
        ]
        for answer in answers:
            self.assertEqual(answer, answers[0])

    @override_settings(PASSWORD_HASHERS=[f"{__name__}.CountingHasher"])
    def test_every_path_runs_the_hasher_once(self):
        make_user(email="known@example.com")
        make_deactivated(email="gone@example.com")
        unusable = make_user(email="unusable@example.com")
        unusable.set_unusable_password()
        unusable.save()
        for email, password in (
            ("known@example.com", PASSWORD),
            ("known@example.com", "wrong"),
            ("gone@example.com", PASSWORD),
            ("gone@example.com", "wrong"),
            ("unusable@example.com", PASSWORD),
            ("unknown@example.com", PASSWORD),
        ):
            with self.subTest(email=email, password=password):
                CountingHasher.runs = 0
                self.sign_in(email=email, password=password)
                self.assertEqual(CountingHasher.runs, 1)

    def test_it_refuses_an_endless_password_unread(self):
        document = self.assertProblem(self.sign_in(password="x" * 100_000), 400, "validation_error")
        self.assertEqual(document["errors"]["password"][0]["code"], "max_length")

    def test_it_needs_both_fields(self):
        for name in ("email", "password"):
            empties: tuple[Any, ...] = ("", None, [], {})
            for value in empties:
                with self.subTest(name=name, value=value):
                    document = self.assertProblem(self.sign_in(**{name: value}), 400, "validation_error")
                    self.assertEqual(document["errors"].keys(), {name})

    def test_stale_tokens_do_not_bar_it(self):
        self.api.cookies[cookies.ACCESS.name] = "stale"
        self.api.cookies[cookies.REFRESH.name] = "stale"
        self.api.credentials(HTTP_AUTHORIZATION="Bearer stale")
        self.assertEqual(self.sign_in().status_code, 200)
