"""What a password may be, wherever it is set."""

import time

from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer
from tests.support.cases import ApiTestCase

REGISTER = "/api/auth/register/"


class Passwords(ApiTestCase):
    def register(self, password, **changes):
        person = {"email": "new@example.com", "first_name": "Nora", "last_name": "Newcomer"}
        body = {**person, "password": password, "password_confirm": password, **changes}
        return self.api.post(REGISTER, body)

    def sign_in(self, password):
        return self.api.post("/api/auth/login/", {"email": "new@example.com", "password": password})

    def assertRefused(self, response, *codes, field="password"):
        document = self.assertProblem(response, 400, "validation_error")
        self.assertLessEqual(set(codes), {error["code"] for error in document["errors"][field]})
        self.assertFalse(User.objects.filter(email="new@example.com").exists())

    def test_it_has_12_to_128_characters(self):
        for length, accepted in ((11, False), (12, True), (128, True), (129, False)):
            with self.subTest(length):
                response = self.register("".join(chr(ord("a") + number % 23) for number in range(length)))
                if accepted:
                    self.assertEqual(response.status_code, 201, response.content)
                    User.objects.all().delete()
                else:
                    self.assertRefused(response)

    def test_the_length_counts_after_composing(self):
        self.assertRefused(self.register("e\u0301" * 11), "password_too_short")
        response = self.register("\ufb03" * 6)  # the ligature ffi: 18 letters in NFKC
        self.assertEqual(response.status_code, 201, response.content)

    def test_common_numeric_and_revealing_ones_are_refused(self):
        for password, code in (
            ("1q2w3e4r5t6y", "password_too_common"),
            ("QWERTY123456", "password_too_common"),
            ("719348027465", "password_entirely_numeric"),
            ("new@example.com", "password_too_similar"),
            ("nora-newcomer", "password_too_similar"),
        ):
            with self.subTest(password):
                self.assertRefused(self.register(password), code)

    def test_spaces_are_kept(self):
        password = "  two at each end  "
        self.assertEqual(self.register(password).status_code, 201)
        self.assertEqual(self.sign_in(password).status_code, 200)
        self.assertProblem(self.sign_in(password.strip()), 401, "invalid_credentials")

    def test_it_is_the_same_in_every_unicode_form(self):
        self.assertEqual(self.register("Ångström ﬁne ① ok").status_code, 201)
        self.assertEqual(self.sign_in("A\u030angstro\u0308m fine 1 ok").status_code, 200)

    def test_it_is_normalised_once_however_it_is_set(self):
        user = make_customer(password="e\u0301te\u0301 in the country")
        self.assertTrue(user.check_password("été in the country"))
        user.set_password("ﬁne and composed")
        self.assertTrue(user.check_password("fine and composed"))

    def test_a_megabyte_is_a_quick_refusal_everywhere(self):
        api = self.signed_in(make_customer())
        large = "x" * 100_000  # under the limit of a body
        huge = "x" * 1_000_000
        before = User.objects.values_list("password", flat=True).get()
        for password, status in ((large, 400), (huge, 413)):
            reset = {"uid": "MQ", "token": "x-y", "password": password, "password_confirm": password}
            change = {"old_password": PASSWORD, "new_password": password, "confirm_password": password}
            for call in (
                lambda password=password: self.register(password),
                lambda password=password: self.sign_in(password),
                lambda reset=reset: self.api.post("/api/auth/password-reset-confirm/", reset),
                lambda change=change: api.post("/api/users/change-password/", change),
                lambda password=password: api.delete("/api/users/profile/", {"password": password}),
            ):
                started = time.process_time()
                self.assertEqual(call().status_code, status)
                self.assertLess(time.process_time() - started, 1)
        self.assertEqual(User.objects.values_list("password", flat=True).get(), before)
