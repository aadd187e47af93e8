from datetime import timedelta

import time_machine
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.authentication import cookies, services
from apps.authentication.models import Session
from apps.users.models import User, UserProfile
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer
from tests.support.cases import ApiTestCase, Client

LOGIN = "/api/auth/login/"
REFRESH = "/api/auth/token/refresh/"
LOGOUT = "/api/auth/logout/"
PROFILE = "/api/users/profile/"
BOTH = (cookies.ACCESS, cookies.REFRESH)


class SignedInByCookie(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.browser = Client(enforce_csrf_checks=True)

    def sign_in(self):
        body = {"email": "carla@example.com", "password": PASSWORD, "use_cookies": True}
        response = self.browser.post(LOGIN, body)
        self.assertEqual(response.status_code, 200, response.content)
        return response

    def csrf(self):
        return {"X-CSRFToken": self.browser.cookies[settings.CSRF_COOKIE_NAME].value}

    def first_name(self):
        return User.objects.get(pk=self.customer.pk).first_name

    def assertCookies(self, response):
        for name, path, age in (
            (cookies.ACCESS.name, "/", 60 * 60),
            (cookies.REFRESH.name, "/api/auth/", 7 * 24 * 60 * 60),
        ):
            cookie = response.cookies[name]
            self.assertTrue(cookie["httponly"])
            self.assertEqual((cookie["path"], cookie["max-age"]), (path, age))
            self.assertEqual((cookie["samesite"], cookie["domain"]), ("Lax", ""))
            self.assertEqual(bool(cookie["secure"]), not settings.DEBUG)
            self.assertNotIn(cookie.value, response.content.decode())

    def test_the_tokens_come_only_as_cookies(self):
        for debug in (True, False):
            with self.subTest(debug=debug), override_settings(DEBUG=debug):
                response = self.sign_in()
                self.assertEqual(response.json().keys(), {"user", "message"})
                self.assertCookies(response)
                self.assertIn(settings.CSRF_COOKIE_NAME, response.cookies)

    def test_outside_debug_their_names_let_no_other_host_plant_them(self):
        self.sign_in()
        self.assertEqual((cookies.ACCESS.name, cookies.REFRESH.name), ("__Host-access", "__Secure-refresh"))
        other = services.open_session(user=make_other_customer())
        planted = Client()
        for name, token in (("access", other.access), ("refresh", other.refresh)):
            self.browser.cookies[name] = planted.cookies[name] = token
        self.assertEqual(self.browser.get(PROFILE).json()["email"], "carla@example.com")
        self.assertProblem(planted.get(PROFILE), 401, "not_authenticated")
        self.assertProblem(planted.post(REFRESH, {}), 400, "validation_error")

    @override_settings(DEBUG=True)
    def test_over_plain_http_they_have_no_prefix(self):
        self.assertLessEqual({"access", "refresh"}, self.sign_in().cookies.keys())
        self.assertEqual(self.browser.get(PROFILE).status_code, 200)

    def test_registering_may_ask_for_them_too(self):
        body = {"email": "nora@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        body |= {"first_name": "Nora", "last_name": "New"}
        response = self.browser.post("/api/auth/register/", {**body, "use_cookies": True})
        self.assertEqual(response.status_code, 201, response.content)
        self.assertEqual(response.json().keys(), {"user", "message"})
        self.assertCookies(response)
        self.assertEqual(self.browser.get(PROFILE).json()["email"], "nora@example.com")

    def test_reading_needs_no_csrf_token(self):
        self.sign_in()
        self.assertEqual(self.browser.get(PROFILE).json()["email"], "carla@example.com")

    def test_changing_needs_the_csrf_token(self):
        self.sign_in()
        for headers in ({}, {"X-CSRFToken": "x" * 64}, {"X-CSRFToken": ""}):
            response = self.browser.patch(PROFILE, {"first_name": "Eve"}, headers=headers)
            self.assertProblem(response, 403, "csrf_failed")
        self.assertEqual(self.first_name(), "Carla")
        response = self.browser.patch(PROFILE, {"first_name": "Clara"}, headers=self.csrf())
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(self.first_name(), "Clara")

    def test_a_foreign_origin_is_refused_even_with_the_token(self):
        self.sign_in()
        body = {"first_name": "Clara"}
        response = self.browser.patch(PROFILE, body, HTTP_ORIGIN="https://evil.example", headers=self.csrf())
        self.assertProblem(response, 403, "csrf_failed")
        self.assertEqual(self.first_name(), "Carla")
        known = settings.CORS_ALLOWED_ORIGINS[0]
        self.assertEqual(
            self.browser.patch(PROFILE, body, HTTP_ORIGIN=known, headers=self.csrf()).status_code, 200
        )

    def test_forms_in_odd_encodings_are_refused_and_no_more(self):
        self.sign_in()
        for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
            for charset in ("zip", "undefined", "idna", "utf-7", "nonsense"):
                with self.subTest(kind=kind, charset=charset):
                    response = self.browser.post(
                        LOGOUT,
                        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n--x--\r\n',
                        content_type=f"{kind}; charset={charset}",
                    )
                    self.assertIn(response.status_code, (400, 403))
        self.assertIsNone(Session.objects.get().ended_at)

    def test_the_header_wins_over_the_cookie(self):
        self.sign_in()
        other = services.open_session(user=make_other_customer())
        header = {"Authorization": f"Bearer {other.access}"}
        self.assertEqual(self.browser.get(PROFILE, headers=header).json()["email"], "otto@example.com")
        response = self.browser.patch(PROFILE, {"first_name": "Ottilie"}, headers=header)
        self.assertEqual((response.status_code, response.json()["email"]), (200, "otto@example.com"))
        self.assertProblem(self.browser.get(PROFILE, HTTP_AUTHORIZATION="Bearer stale"), 401, "token_invalid")

    def test_a_stale_cookie_never_bars_a_public_page(self):
        for cookie in ("garbage", "x" * 5000, "a.b.c", services.open_session(user=self.customer).refresh):
            self.browser.cookies[cookies.ACCESS.name] = cookie
            with self.subTest(cookie[:10]):
                self.assertEqual(self.browser.get("/api/health/").status_code, 200)
                self.assertProblem(self.browser.get(PROFILE), 401, "not_authenticated")
                self.assertProblem(self.browser.patch(PROFILE, {}), 401, "not_authenticated")
                self.sign_in()

    def test_refreshing_reads_and_renews_the_cookies(self):
        self.sign_in()
        before = self.browser.cookies[cookies.REFRESH.name].value
        self.assertProblem(self.browser.post(REFRESH, {}), 403, "csrf_failed")
        response = self.browser.post(REFRESH, {}, headers=self.csrf())
        self.assertEqual((response.status_code, response.json()), (200, {}))
        self.assertCookies(response)
        self.assertNotEqual(self.browser.cookies[cookies.REFRESH.name].value, before)
        self.assertEqual(self.browser.get(PROFILE).status_code, 200)
        self.assertEqual(self.browser.post(REFRESH, headers=self.csrf()).status_code, 200)

    def test_refreshing_outlives_the_access_cookie(self):
        self.sign_in()
        del self.browser.cookies[cookies.ACCESS.name]
        self.assertEqual(self.browser.post(REFRESH, {}, headers=self.csrf()).status_code, 200)
        self.assertEqual(self.browser.get(PROFILE).status_code, 200)

    def test_two_tabs_that_refresh_at_once_get_the_same_cookies(self):
        self.sign_in()
        before = self.browser.cookies[cookies.REFRESH.name].value
        answers = []
        for _ in range(2):
            self.browser.cookies[cookies.REFRESH.name] = before
            response = self.browser.post(REFRESH, {}, headers=self.csrf())
            self.assertCookies(response)
            answers.append([response.cookies[cookie.name].value for cookie in BOTH])
        self.assertEqual(answers[0], answers[1])
        self.assertNotIn(before, answers[0])
        self.assertEqual(self.browser.get(PROFILE).status_code, 200)

    def test_at_the_older_address_the_refresh_cookie_stays_as_it_is(self):
        self.sign_in()
        before = self.browser.cookies[cookies.REFRESH.name].value
        self.assertProblem(self.browser.post("/api/auth/refresh/", {}), 403, "csrf_failed")
        for _ in range(2):
            del self.browser.cookies[cookies.ACCESS.name]
            response = self.browser.post("/api/auth/refresh/", {}, headers=self.csrf())
            self.assertEqual((response.status_code, response.json()), (200, {}))
            self.assertCookies(response)
            self.assertEqual(self.browser.cookies[cookies.REFRESH.name].value, before)
            self.assertEqual(self.browser.get(PROFILE).status_code, 200)

    def test_a_used_refresh_cookie_ends_the_session(self):
        self.sign_in()
        used = self.browser.cookies[cookies.REFRESH.name].value
        self.browser.post(REFRESH, {}, headers=self.csrf())
        self.browser.cookies[cookies.REFRESH.name] = used
        with time_machine.travel(timezone.now() + timedelta(seconds=31), tick=False):
            self.assertProblem(self.browser.post(REFRESH, {}, headers=self.csrf()), 401, "token_invalid")
            self.assertProblem(self.browser.get(PROFILE), 401, "not_authenticated")

    def test_a_refresh_token_in_the_body_is_answered_in_the_body(self):
        self.sign_in()
        cookie = self.browser.cookies[cookies.REFRESH.name].value
        other = services.open_session(user=self.customer)
        response = self.browser.post(REFRESH, {"refresh": other.refresh})
        self.assertEqual(response.json().keys(), {"access", "refresh"})
        self.assertEqual(self.browser.cookies[cookies.REFRESH.name].value, cookie)

    def test_signing_out_ends_the_session_and_clears_the_cookies(self):
        self.sign_in()
        values = {cookie.name: self.browser.cookies[cookie.name].value for cookie in BOTH}
        self.assertProblem(self.browser.post(LOGOUT), 403, "csrf_failed")
        self.assertIsNone(Session.objects.get().ended_at)
        response = self.browser.post(LOGOUT, headers=self.csrf())
        self.assertEqual(response.status_code, 200, response.content)
        for name, path in ((cookies.ACCESS.name, "/"), (cookies.REFRESH.name, "/api/auth/")):
            cookie = response.cookies[name]
            self.assertEqual((cookie.value, cookie["max-age"], cookie["path"]), ("", 0, path))
            self.assertTrue(cookie["secure"])  # else a browser keeps what has a prefix
        self.assertIsNotNone(Session.objects.get().ended_at)
        for name, value in values.items():
            self.browser.cookies[name] = value
        self.assertProblem(self.browser.get(PROFILE), 401, "not_authenticated")
        self.assertProblem(self.browser.post(REFRESH, headers=self.csrf()), 401, "token_invalid")

    def test_signing_out_by_header_also_ends_the_session_that_the_browser_still_holds(self):
        self.sign_in()
        tokens = services.open_session(user=self.customer)
        response = self.browser.post(LOGOUT, HTTP_AUTHORIZATION=f"Bearer {tokens.access}")
        self.assertEqual(response.status_code, 200, response.content)
        self.assertFalse(Session.objects.filter(ended_at=None).exists())

    def test_a_stale_refresh_cookie_does_not_bar_signing_out(self):
        tokens = services.open_session(user=self.customer)
        self.browser.cookies[cookies.REFRESH.name] = "garbage"
        response = self.browser.post(LOGOUT, HTTP_AUTHORIZATION=f"Bearer {tokens.access}")
        self.assertEqual(response.status_code, 200, response.content)

    def test_a_new_password_comes_with_new_cookies(self):
        self.sign_in()
        before = self.browser.cookies[cookies.ACCESS.name].value
        body = {
            "old_password": PASSWORD,
            "new_password": "an entirely new one",
            "confirm_password": "an entirely new one",
        }
        self.assertProblem(self.browser.post("/api/users/change-password/", body), 403, "csrf_failed")
        response = self.browser.post("/api/users/change-password/", body, headers=self.csrf())
        self.assertEqual((response.status_code, response.json().keys()), (200, {"message"}))
        self.assertCookies(response)
        self.assertNotEqual(self.browser.cookies[cookies.ACCESS.name].value, before)
        self.assertEqual(self.browser.get(PROFILE).status_code, 200)

    def test_a_form_signed_in_by_cookie_is_read_like_any_other(self):
        self.sign_in()
        response = self.browser.patch(
            PROFILE, {"phone_number": "+1 555 0100"}, format="multipart", headers=self.csrf()
        )
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(UserProfile.objects.get(user=self.customer).phone_number, "+1 555 0100")
