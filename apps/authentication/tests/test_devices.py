"""What a device that was signed in before may do that a stranger behind the same address may not."""

from datetime import UTC, datetime, timedelta

import time_machine
from django.conf import settings
from django.test import Client as Browser
from django.test import override_settings

from apps.authentication import devices
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff
from tests.support.cases import ApiTestCase, Client

LOGIN = "/api/auth/login/"
ADMIN = "/admin/login/"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
CARLA, OTTO = "carla@example.com", "otto@example.com"


def changed(text: str) -> str:
    """A text that differs in its last letter, whatever that is."""
    return text[:-1] + ("y" if text.endswith("x") else "x")


@override_settings(
    RATE_LIMITS_ENABLED=True,
    LIMIT_LOGIN_PER_ACCOUNT=(4, 900),
    LIMIT_LOGIN_PER_DEVICE=(3, 900),
    LIMIT_LOGIN_PER_NETWORK=(5, 900),
)
class Devices(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        make_other_customer()

    def sign_in(self, password=PASSWORD, email=CARLA, address=HOME, client=None, **more):
        body = {"email": email, "password": password, **more}
        return (client or self.api).post(LOGIN, body, REMOTE_ADDR=address)

    def proof(self, email=CARLA, **more):
        return self.sign_in(email=email, address=ELSEWHERE, **more).json()["device_token"]

    def fill_the_network(self, address=HOME):
        for number in range(5):
            self.assertEqual(self.sign_in("wrong", f"user{number}@example.com", address).status_code, 401)
        self.assertLimited(self.sign_in(address=address))

    def assertLimited(self, response):
        self.assertProblem(response, 429, "rate_limited")

    def test_a_proof_in_the_body_passes_the_ceiling_of_the_network(self):
        proof = self.proof()
        self.fill_the_network()
        for _ in range(2):
            self.assertEqual(self.sign_in(device_token=proof).status_code, 200)
        for missing in ("", None):
            self.assertLimited(self.sign_in(device_token=missing))

    def test_a_cookie_does_the_same_and_scripts_cannot_read_it(self):
        browser = Client()
        for debug in (True, False):
            with override_settings(DEBUG=debug):
                response = self.sign_in(client=browser, address=ELSEWHERE, use_cookies=True)
                cookie = response.cookies[devices.COOKIE.name]
            self.assertTrue(cookie["httponly"])
            self.assertEqual((cookie["path"], cookie["samesite"], cookie["domain"]), ("/", "Lax", ""))
            self.assertEqual((bool(cookie["secure"]), cookie["max-age"]), (not debug, 365 * 24 * 3600))
            self.assertNotIn(cookie.value, response.content.decode())
        self.fill_the_network()
        self.assertEqual(self.sign_in(client=browser).status_code, 200)
        self.assertLimited(self.sign_in(client=browser, email=OTTO))

    def test_who_registers_has_one_too(self):
        names = {"first_name": "Nora", "last_name": "New"}
        body = {"email": "nora@example.com", "password": PASSWORD, "password_confirm": PASSWORD, **names}
        proof = self.api.post("/api/auth/register/", body).json()["device_token"]
        self.fill_the_network()
        self.assertEqual(self.sign_in(email="nora@example.com", device_token=proof).status_code, 200)

    def test_it_is_good_for_its_own_account_alone_however_that_is_written(self):
        proof = self.proof()
        self.fill_the_network()
        self.assertLimited(self.sign_in(email=OTTO, device_token=proof))
        self.assertEqual(self.sign_in(email=" Carla@Example.COM", device_token=proof).status_code, 200)

    def test_what_was_forged_or_is_a_year_old_is_none(self):
        with time_machine.travel(datetime.now(UTC), tick=False) as clock:
            proof = self.proof()
            self.fill_the_network()
            number, time, signature = proof.split(":")
            for forged in (
                f"{changed(number)}:{time}:{signature}",
                f"{number}:{time}:{changed(signature)}",
                f"{number}:{time}",
                "x" * devices.MAX_LENGTH,
                "|||",
                devices.SEPARATOR.join([proof] * 2),
            ):
                self.assertLimited(self.sign_in(device_token=forged))
            clock.shift(timedelta(days=365, seconds=1))
            self.fill_the_network()
            self.assertLimited(self.sign_in(device_token=proof))
        too_long = self.sign_in(device_token="x" * (devices.MAX_LENGTH + 1))
        self.assertProblem(too_long, 400, "validation_error")

    def test_it_gives_no_more_tries_at_an_account_than_there_are_without(self):
        """Neither to whoever took it, wherever they are, nor beside those of the account."""
        proof = self.proof()
        for number in range(3):
            wrong = self.sign_in("wrong", address=f"203.0.113.{number}", device_token=proof)
            self.assertProblem(wrong, 401, "invalid_credentials")
        self.assertLimited(self.sign_in(address="203.0.113.9", device_token=proof))
        self.assertEqual(self.sign_in(address="203.0.113.9").status_code, 200)
        another = self.proof()
        for _ in range(4):
            self.assertEqual(self.sign_in("wrong").status_code, 401)
        self.assertLimited(self.sign_in(device_token=another))
        self.assertEqual(self.sign_in(address=ELSEWHERE, device_token=another).status_code, 200)

    def test_its_failures_use_up_nothing_of_the_network(self):
        proof = self.proof()
        for _ in range(3):
            self.assertEqual(self.sign_in("wrong", device_token=proof).status_code, 401)
        self.fill_the_network()

    @override_settings(LIMIT_LOGIN_ACCOUNTS_PER_NETWORK=(2, 900))
    def test_it_passes_the_bound_on_accounts_too(self):
        proof = self.proof()
        for number in range(2):
            self.sign_in("wrong", f"user{number}@example.com")
        self.assertLimited(self.sign_in())
        self.assertEqual(self.sign_in(device_token=proof).status_code, 200)

    @override_settings(LIMIT_LOGIN_ACCOUNTS_PER_NETWORK=(2, 900))
    def test_a_network_guesses_at_so_many_accounts_and_goes_on_with_those(self):
        for email in (OTTO, OTTO, "one@example.com"):
            self.assertEqual(self.sign_in("wrong", email).status_code, 401)
        self.assertLimited(self.sign_in())
        self.assertEqual(self.sign_in("wrong", "one@example.com").status_code, 401)
        self.assertEqual(self.sign_in(email=OTTO).status_code, 200)
        self.assertEqual(self.sign_in(address=ELSEWHERE).status_code, 200)

    @override_settings(LIMIT_LOGIN_ACCOUNTS_PER_NETWORK=(1, 900))
    def test_right_passwords_are_no_accounts_guessed_at(self):
        for email in (CARLA, OTTO) * 3:
            self.assertEqual(self.sign_in(email=email).status_code, 200)

    def test_a_shared_computer_remembers_the_accounts_of_its_latest_sign_ins(self):
        shared = Client()
        emails = [
            make_customer(email=f"pupil{number}@example.com").email for number in range(devices.KEPT + 1)
        ]
        for email in (*emails, emails[-1]):
            self.sign_in(email=email, client=shared, use_cookies=True, address=ELSEWHERE)
        self.assertLess(len(shared.cookies[devices.COOKIE.name].value), 1024)
        self.fill_the_network()
        self.assertLimited(self.sign_in(email=emails[0], client=shared))
        for email in (emails[1], emails[-1]):
            self.assertEqual(self.sign_in(email=email, client=shared).status_code, 200, email)

    def test_a_cookie_of_somebody_elses_making_breaks_nothing(self):
        for value in ("|" * 5000, "x:y:z", "\u00e4" * 20, "x" * 6000):
            browser = Client()
            browser.cookies[devices.COOKIE.name] = value
            self.assertEqual(self.sign_in(client=browser, use_cookies=True).status_code, 200)
            self.assertLess(
                len(browser.cookies[devices.COOKIE.name].value), devices.KEPT * devices.MAX_LENGTH + 200
            )

    def test_a_session_is_proof_enough_where_it_asks_for_the_password(self):
        carla = self.signed_in(self.customer)
        self.fill_the_network()
        password = "an entirely new password"
        body = {"old_password": PASSWORD, "new_password": password, "confirm_password": password}
        self.assertEqual(carla.post("/api/users/change-password/", body, REMOTE_ADDR=HOME).status_code, 200)

    def test_staff_pass_into_the_admin_from_where_they_were_signed_in(self):
        make_staff()
        known, stranger = Browser(), Browser()
        form = {"username": "stella@example.com", "password": PASSWORD, "next": "/admin/"}
        self.assertEqual(known.post(ADMIN, {**form, "password": "wrong"}).status_code, 200)
        self.assertNotIn(devices.COOKIE.name, known.cookies)
        self.assertEqual(known.post(ADMIN, form, REMOTE_ADDR=ELSEWHERE).status_code, 302)
        self.assertTrue(known.cookies[devices.COOKIE.name]["httponly"])
        del known.cookies[settings.SESSION_COOKIE_NAME]
        self.fill_the_network()
        self.assertEqual(stranger.post(ADMIN, form, REMOTE_ADDR=HOME).status_code, 429)
        self.assertEqual(known.post(ADMIN, form, REMOTE_ADDR=HOME).status_code, 302)
