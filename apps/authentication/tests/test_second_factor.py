"""Signing in to the admin by password and second factor."""

import copy
import time

import time_machine
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client as Browser
from django.test import override_settings
from django_otp.oath import hotp
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.authentication.errors import SecondFactorCodeInvalid
from apps.authentication.second_factor import factors
from apps.users.tests.factories import PASSWORD, make_staff, make_user
from tests.support.cases import RaceTestCase

from .second_factor import (
    FACTORS,
    LOGIN,
    SET_UP,
    VERIFICATION,
    SecondFactorTestCase,
    code_of,
    give_app,
    mails_to,
    sign_in,
)


class VerificationTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.app = give_app(self.staff)

    def test_the_password_alone_leads_to_the_question_for_a_code(self):
        browser = Browser()
        response = browser.post(
            f"{LOGIN}?next=/admin/vouchers/voucher/", {"username": self.staff.email, "password": PASSWORD}
        )
        self.assertEqual(response.headers["Location"], "/admin/vouchers/voucher/")
        response = browser.get("/admin/vouchers/voucher/")
        self.assertEqual(
            response.headers["Location"], f"{VERIFICATION}?next=%2Fadmin%2Fvouchers%2Fvoucher%2F"
        )
        page = browser.get(response.headers["Location"])
        self.assertContains(page, "one-time-code")
        self.assertNotContains(page, 'href="/admin/')  # no side bar, but for where it goes on
        self.assertContains(page, 'name="next" value="/admin/vouchers/voucher/"')

    def test_a_right_code_leads_on_with_a_new_session_key(self):
        browser = sign_in(self.staff)
        before = browser.session.session_key
        response = browser.post(VERIFICATION, {"code": code_of(self.app), "next": "/admin/users/user/"})
        self.assertEqual(response.headers["Location"], "/admin/users/user/")
        self.assertNotEqual(browser.session.session_key, before)
        self.assertInside(browser)

    def test_it_leads_to_no_other_site_or_part_of_this_one(self):
        for address in (
            "https://example.com/",
            "//example.com/admin/",
            "/api/",
            "/admin/../api/\n",
            "javascript:1",
        ):
            with self.subTest(address):
                browser = sign_in(self.staff)
                response = browser.post(VERIFICATION, {"code": code_of(self.app), "next": address})
                self.assertTrue(response.headers["Location"].startswith("/admin/"))
                self.assertNotIn("example.com", response.headers["Location"])

    def test_wrong_codes_are_refused_and_open_nothing(self):
        browser = sign_in(self.staff)
        for code in (
            "",
            "000000",
            "12345",
            "abc",
            "\uff10" * 6,
            "1" * 40,
            "1" * 41,
            "\x00",
            "-1",
            code_of(self.app)[::-1] + "0",
        ):
            with self.subTest(code):
                self.assertEqual(browser.post(VERIFICATION, {"code": code}).status_code, 200)
                self.assertOutside(browser)

    def test_a_code_is_taken_with_blanks_as_apps_show_it(self):
        browser = sign_in(self.staff)
        code = code_of(self.app)
        browser.post(VERIFICATION, {"code": f" {code[:3]} {code[3:]} "})
        self.assertInside(browser)

    def test_a_code_works_once(self):
        code = code_of(self.app)
        first, second = sign_in(self.staff), sign_in(self.staff)
        first.post(VERIFICATION, {"code": code})
        response = second.post(VERIFICATION, {"code": code})
        self.assertContains(response, "was used before")
        self.assertInside(first)
        self.assertOutside(second)

    def test_the_code_that_set_the_app_up_is_none_to_sign_in_with(self):
        shown = TOTPDevice.objects.get()
        used = f"{hotp(shown.bin_key, shown.last_t, shown.digits):06}"
        browser = sign_in(self.staff)
        browser.post(VERIFICATION, {"code": used})
        self.assertOutside(browser)

    def test_an_old_code_is_too_late(self):
        code = code_of(self.app)
        with time_machine.travel(time.time() + 120):
            browser = sign_in(self.staff)
            browser.post(VERIFICATION, {"code": code})
            self.assertOutside(browser)

    def test_the_code_of_somebody_else_is_none(self):
        other = give_app(make_staff(email="other@example.com"))
        browser = sign_in(self.staff)
        browser.post(VERIFICATION, {"code": code_of(other)})
        self.assertOutside(browser)

    def test_a_session_that_passed_is_over_once_the_app_is_gone(self):
        browser = sign_in(self.staff, self.app)
        self.assertInside(browser)
        TOTPDevice.objects.all().delete()
        self.assertOutside(browser)

    def test_a_copy_of_such_a_session_stays_outside_when_it_passes_by_another_factor(self):
        browser, thief = sign_in(self.staff, self.app), Browser()
        thief.cookies = copy.deepcopy(browser.cookies)
        self.assertInside(thief)
        factors.remove_factor(user=self.staff, key=self.app.persistent_id)
        browser.post(VERIFICATION, {"code": code_of(give_app(self.staff))})
        self.assertInside(browser)
        self.assertLedTo(thief.get("/admin/"), LOGIN)

    def test_another_person_in_the_same_browser_has_to_pass_too(self):
        browser = sign_in(self.staff, self.app)
        other = make_staff(email="other@example.com")
        give_app(other)
        browser.post(LOGIN, {"username": other.email, "password": PASSWORD})
        self.assertOutside(browser)

    def test_signing_out_is_possible_before(self):
        browser = sign_in(self.staff)
        self.assertEqual(browser.post("/admin/logout/").status_code, 200)
        self.assertLedTo(browser.get("/admin/"), LOGIN)

    @override_settings(STAFF_SECOND_FACTOR=False)
    def test_where_none_is_needed_the_password_is_enough(self):
        self.assertInside(sign_in(self.staff))

    def test_who_is_no_staff_sees_the_sign_in_as_ever(self):
        browser = Browser()
        browser.force_login(make_user())
        for page in ("/admin/", VERIFICATION, SET_UP, FACTORS):
            self.assertLedTo(browser.get(page), LOGIN)

    def test_forms_that_staff_send_need_the_csrf_token(self):
        browser = Browser(enforce_csrf_checks=True)
        browser.force_login(self.staff)
        for page in (VERIFICATION, SET_UP, "/admin/second-factor/passkey/prove/begin/"):
            self.assertEqual(browser.post(page, {"code": code_of(self.app)}).status_code, 403)


@override_settings(RATE_LIMITS_ENABLED=True, LIMIT_SECOND_FACTOR=(3, 3600))
class LimitTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.app = give_app(self.staff)

    def test_after_so_many_wrong_codes_a_right_one_is_refused_in_whatever_network(self):
        for number in range(3):
            browser = sign_in(self.staff, REMOTE_ADDR=f"203.0.113.{number}")
            self.assertEqual(browser.post(VERIFICATION, {"code": "000000"}).status_code, 200)
        browser = sign_in(self.staff, REMOTE_ADDR="198.51.100.1")
        response = browser.post(VERIFICATION, {"code": code_of(self.app)})
        self.assertEqual(response.status_code, 429)
        self.assertIn("Retry-After", response.headers)
        self.assertOutside(browser)
        self.assertProblem(
            self.signed_in(self.staff).post("/api/auth/second-factor/", {"code": code_of(self.app)}),
            429,
            "rate_limited",
        )

    def test_right_codes_use_up_none_of_it_and_others_are_not_meant(self):
        other = make_staff(email="other@example.com")
        app = give_app(other)
        for _ in range(4):
            self.assertInside(sign_in(other, app))
        for _ in range(3):
            sign_in(self.staff).post(VERIFICATION, {"code": "000000"})
        self.assertInside(sign_in(other, app))


class RecoveryCodeTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        give_app(self.staff)
        self.codes = factors.make_recovery_codes(user=self.staff)

    def test_each_opens_the_admin_once_and_is_told_by_mail_and_record(self):
        self.assertEqual(len(set(self.codes)), 10)
        for number, code in enumerate(self.codes[:2], start=1):
            browser = sign_in(self.staff)
            browser.post(VERIFICATION, {"code": code})
            self.assertInside(browser)
            self.assertEqual(factors.recovery_codes_left(self.staff), 10 - number)
        again = sign_in(self.staff)
        again.post(VERIFICATION, {"code": self.codes[0]})
        self.assertOutside(again)
        self.assertEqual(mails_to(self.staff).count("A recovery code was used"), 2)
        self.assertEqual(LogEntry.objects.filter(change_message="A recovery code was used.").count(), 2)

    def test_they_are_taken_without_dashes_and_in_capitals(self):
        browser = sign_in(self.staff)
        browser.post(VERIFICATION, {"code": self.codes[0].replace("-", " ").upper()})
        self.assertInside(browser)

    def test_those_of_somebody_else_are_none(self):
        other = make_staff(email="other@example.com")
        give_app(other)
        browser = sign_in(other)
        browser.post(VERIFICATION, {"code": self.codes[0]})
        self.assertOutside(browser)
        self.assertEqual(factors.recovery_codes_left(self.staff), 10)

    def test_no_row_has_one_that_could_be_read(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT token FROM otp_static_statictoken")
            kept = {token for (token,) in cursor.fetchall()}
        self.assertEqual(len(kept), 10)
        for code in self.codes:
            self.assertFalse(any(token in code.replace("-", "") for token in kept))


class CodeRaceTests(RaceTestCase):
    """A code that is sent several times at the same instant opens one session."""

    def uses(self, code, check):
        def use():
            try:
                check(code)
            except SecondFactorCodeInvalid:
                return False
            return True

        return use

    def race(self, check):
        staff = make_user(is_staff=True)
        app = give_app(staff)
        code = code_of(app)
        return sum(self.together(*[self.uses(code, lambda code: check(staff, code)) for _ in range(4)]))

    def test_one_of_several_uses_wins(self):
        for _ in range(self.rounds):
            self.assertEqual(self.race(lambda staff, code: factors.check_code(user=staff, code=code)), 1)

    def test_control_without_the_lock_several_would(self):
        def unlocked(staff, code):
            app = TOTPDevice.objects.get(user=staff)
            time.sleep(0.05)  # all have read before one writes
            if not app.verify_token(code):
                raise SecondFactorCodeInvalid

        self.assertCaught(lambda: self.race(unlocked), lambda wins: wins != 1)
