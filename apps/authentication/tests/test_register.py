from typing import Any

from apps.authentication.models import Session
from apps.users.models import User, UserProfile
from apps.users.tests.factories import PASSWORD, UNMAILABLE, make_customer
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/auth/register/"
BODY = {
    "email": "Nora@Example.com",
    "password": PASSWORD,
    "password_confirm": PASSWORD,
    "first_name": "Nora",
    "last_name": "New",
}


class Registering(ApiTestCase):
    def refused(self, **body):
        """Register with these fields instead; the codes of the answer's errors. Nobody was added."""
        before = User.objects.count()
        document = self.assertProblem(self.api.post(URL, {**BODY, **body}), 400, "validation_error")
        self.assertEqual((User.objects.count(), Session.objects.count()), (before, 0))
        return {name: [error["code"] for error in errors] for name, errors in document["errors"].items()}

    def test_it_makes_an_account_and_signs_in(self):
        response = self.api.post(URL, {**BODY, "phone_number": "+1 555 0100"})
        self.assertEqual(response.status_code, 201, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"user", "access", "refresh", "message", "device_token"})
        self.assertTrue(answer["message"])
        user = User.objects.get()
        self.assertEqual((user.email, user.full_name), ("nora@example.com", "Nora New"))
        self.assertTrue(user.check_password(PASSWORD))
        self.assertFalse(user.is_staff or user.is_superuser)
        self.assertEqual(UserProfile.objects.get().phone_number, "+1 555 0100")
        self.assertEqual(answer["user"]["email"], "nora@example.com")
        self.assertEqual(answer["user"]["phone_number"], "+1 555 0100")
        profile = self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {answer['access']}")
        self.assertEqual(profile.json(), answer["user"])

    def test_mails_are_in_the_language_that_is_sent_or_else_that_of_the_browser(self):
        header = "de-DE, fr-CA;q=0.8, en;q=0.5"
        for number, (body, accept, language) in enumerate(
            (
                ({}, "", "en"),
                ({}, header, "fr"),
                ({}, "es, de;q=0.9", "en"),
                ({}, "fr;q=0, en", "en"),
                ({}, "fr;q=x, \xff;;,,=" * 500, "en"),
                ({"language": "en"}, header, "en"),
                ({"language": "fr"}, "en", "fr"),
            )
        ):
            with self.subTest(body, accept=accept):
                person = {**BODY, **body, "email": f"nora{number}@example.com"}
                response = self.api.post(URL, person, HTTP_ACCEPT_LANGUAGE=accept)
                self.assertEqual(response.status_code, 201, response.content)
                self.assertEqual(response.json()["user"]["language"], language)
                self.assertEqual(User.objects.get(email=person["email"]).language, language)

    def test_a_language_that_mails_are_not_written_in_is_refused(self):
        for odd in ("de", "", "FR", None, ["fr"], 5):
            self.assertEqual(self.refused(language=odd).keys(), {"language"})

    def test_it_ignores_fields_that_it_does_not_know(self):
        body = {**BODY, "username": "nora", "is_staff": True, "is_superuser": True, "id": 7}
        self.assertEqual(self.api.post(URL, body).status_code, 201)
        user = User.objects.get()
        self.assertFalse(user.is_staff or user.is_superuser)

    def test_people_with_one_name_have_no_last_name(self):
        without = {name: value for name, value in BODY.items() if name != "last_name"}
        cases: list[dict[str, Any]] = [{}, {"last_name": ""}, {"last_name": "  "}, {"last_name": None}]
        for number, last_name in enumerate(cases):
            with self.subTest(last_name):
                body: dict[str, Any] = {**without, "email": f"nora{number}@example.com", **last_name}
                response = self.api.post(URL, body)
                self.assertEqual(response.status_code, 201, response.content)
                user = response.json()["user"]
                self.assertEqual(
                    (user["first_name"], user["last_name"], user["full_name"]), ("Nora", "", "Nora")
                )
                self.assertEqual(User.objects.get(email=body["email"]).last_name, "")

    def test_it_needs_every_field_but_the_phone_number_and_the_last_name(self):
        for name in BODY.keys() - {"last_name"}:
            with self.subTest(name):
                body = {key: value for key, value in BODY.items() if key != name}
                document = self.assertProblem(self.api.post(URL, body), 400, "validation_error")
                self.assertEqual(document["errors"].keys(), {name})
                self.assertEqual(document["errors"][name][0]["code"], "required")
        self.assertEqual(User.objects.count(), 0)

    def test_it_refuses_a_taken_address_in_any_case(self):
        make_customer(email="nora@example.com")
        for email in ("nora@example.com", "NORA@example.COM", " nora@example.com "):
            with self.subTest(email):
                self.assertEqual(self.refused(email=email), {"email": ["unique"]})

    def test_it_refuses_what_is_no_address(self):
        for email in ("nora", "nora@", "@example.com", "a b@example.com", "", None, 7, ["a@b.de"], {"a": 1}):
            with self.subTest(email):
                self.assertEqual(self.refused(email=email).keys(), {"email"})
        self.assertEqual(
            self.refused(email=f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 20}.com").keys(),
            {"email"},
        )

    def test_it_refuses_addresses_that_can_never_be_mailed(self):
        for email in (*UNMAILABLE, "nora@closed.invalid"):
            with self.subTest(email):
                self.assertEqual(self.refused(email=email), {"email": ["invalid"]})
        self.assertEqual(self.api.post(URL, {**BODY, "email": "nora@M\u00dcNCHEN.example"}).status_code, 201)

    def test_it_refuses_an_address_that_lower_case_makes_too_long(self):
        long = "a@" + "\u0130bc." * 60 + "com"
        self.assertEqual(self.refused(email=long), {"email": ["max_length"]})

    def test_it_names_every_rule_that_a_password_breaks(self):
        cases = {
            "short": ["password_too_short"],
            "12345678": ["password_too_short", "password_too_common", "password_entirely_numeric"],
            "123456789012345": ["password_entirely_numeric"],
            "nora@example.com": ["password_too_similar"],
        }
        for password, codes in cases.items():
            with self.subTest(password):
                errors = self.refused(password=password, password_confirm=password)
                self.assertEqual(errors.keys(), {"password"})
                self.assertLessEqual(set(codes), set(errors["password"]))

    def test_it_refuses_an_endless_password_unread(self):
        for length in (129, 100_000):
            password = "x" * length
            self.assertEqual(
                self.refused(password=password, password_confirm=password),
                {"password": ["max_length"], "password_confirm": ["max_length"]},
            )

    def test_it_refuses_two_passwords_that_differ(self):
        self.assertEqual(
            self.refused(password_confirm=PASSWORD + " "), {"password_confirm": ["password_mismatch"]}
        )

    def test_it_says_that_both_address_and_password_are_wrong(self):
        make_customer(email="nora@example.com")
        self.assertEqual(
            self.refused(password="short", password_confirm="short").keys(), {"email", "password"}
        )

    def test_spaces_around_a_password_are_part_of_it(self):
        password = f" {PASSWORD} "
        self.api.post(URL, {**BODY, "password": password, "password_confirm": password})
        self.assertTrue(User.objects.get().check_password(password))
        self.assertFalse(User.objects.get().check_password(PASSWORD))

    def test_it_refuses_names_and_numbers_that_are_none(self):
        cases: dict[str, list[Any]] = {
            "first_name": ["", "   ", "a" * 151, "two\nlines", None, True, [], {}],
            "phone_number": ["ring me", "1" * 33, "12", "+1\n555 0100"],
        }
        for name, values in cases.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.assertEqual(self.refused(**{name: value}).keys(), {name})

    def test_it_refuses_bodies_that_are_no_objects(self):
        for body in ([], [BODY], "text", 7, None):
            with self.subTest(body):
                response = self.api.post(URL, body)
                self.assertEqual(response.status_code, 400, response.content)
        self.assertProblem(self.api.post(URL, {**BODY, "first_name": "N\0ra"}), 400, "parse_error")
        self.assertEqual(User.objects.count(), 0)

    def test_a_stale_token_does_not_bar_it(self):
        response = self.api.post(URL, BODY, HTTP_AUTHORIZATION="Bearer stale")
        self.assertEqual(response.status_code, 201)


class RegisteringTogether(RaceTestCase):
    def test_of_many_with_one_address_exactly_one_gets_it(self):
        for number in range(3):
            body = {**BODY, "email": f"race{number}@example.com"}
            variants = [{**body, "email": body["email"].upper()}, body] * 5
            calls = [lambda body=body: self.client_class().post(URL, body) for body in variants]
            responses = self.together(*calls)
            statuses = sorted(response.status_code for response in responses)
            self.assertEqual(statuses, [201] + [400] * 9)
            for response in responses:
                if response.status_code == 400:
                    document = self.assertProblem(response, 400, "validation_error")
                    self.assertEqual(document["errors"]["email"][0]["code"], "unique")
            user = User.objects.get(email=body["email"])
            self.assertEqual(UserProfile.objects.filter(user=user).count(), 1)
            self.assertEqual(Session.objects.filter(user=user).count(), 1)
