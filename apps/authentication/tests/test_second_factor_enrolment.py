"""Setting up the first second factor, and looking after what one has."""

import time
from base64 import b32decode

import time_machine
from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.authentication import services as authentication
from apps.authentication.models import Session
from apps.authentication.second_factor import factors, fresh_proof
from apps.users import services as users
from apps.users.tests.factories import PASSWORD, make_staff, make_user

from .second_factor import (
    FACTORS,
    RECOVERY_CODES,
    SET_UP,
    VERIFICATION,
    SecondFactorTestCase,
    code_of,
    give_app,
    mailed_code,
    mails_to,
    sign_in,
)


def code_for(secret: str) -> str:
    """The code that an app shows into which this secret was typed."""
    app = TOTP(b32decode(secret.replace(" ", "")))
    app.time = time.time()
    return f"{app.token():06}"


class EnrolmentTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.browser = sign_in(self.staff)

    def open(self, browser=None):
        """Open the page by the code from the mail; the page."""
        browser = browser or self.browser
        browser.post(SET_UP, {"send": "yes"})
        browser.post(SET_UP, {"code": mailed_code(self.staff)})
        return browser.get(SET_UP)

    def test_who_has_none_is_led_there_and_sees_nothing_else(self):
        response = self.browser.get("/admin/users/user/", follow=True)
        self.assertEqual(
            [path.partition("?")[0] for path, _ in response.redirect_chain], [VERIFICATION, SET_UP]
        )
        self.assertContains(response, "Mail me a code")
        self.assertContains(response, self.staff.email)
        for part in ("secret", 'href="/admin/', "<svg"):
            self.assertNotContains(response, part)

    def test_a_password_alone_sets_up_nothing(self):
        secrets = {"code": code_for("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")}
        for body in ({}, {"code": "12345678"}, secrets, {"code": "", "key": "00"}):
            self.assertNotContains(self.browser.post(SET_UP, body), "<svg")
        for path in ("add/begin/", "add/", "prove/begin/", "prove/"):
            response = self.browser.post(
                f"{VERIFICATION}passkey/{path}", "{}", content_type="application/json"
            )
            self.assertEqual(response.status_code, 400)
        self.assertEqual(factors.factors_of(self.staff), [])
        self.assertOutside(self.browser)

    def test_by_the_code_from_the_mail_an_app_is_added(self):
        page = self.open()
        self.assertEqual(mails_to(self.staff), ["Your code to set up a second factor"])
        self.assertContains(page, "<svg")
        secret = page.context["secret"]
        self.assertContains(self.browser.post(SET_UP, {"code": "000000"}), "This code is wrong")
        self.assertEqual(self.browser.get(SET_UP).context["secret"], secret)  # it may be scanned already
        response = self.browser.post(f"{SET_UP}?next=/admin/users/user/", {"code": code_for(secret)})
        self.assertEqual(response.headers["Location"], f"{RECOVERY_CODES}?next=%2Fadmin%2Fusers%2Fuser%2F")
        self.assertInside(self.browser)
        self.assertEqual(mails_to(self.staff)[-1], "Authenticator app added as a second factor")
        [entry] = LogEntry.objects.filter(object_id=str(self.staff.pk))
        self.assertEqual(
            (entry.user, entry.change_message), (self.staff, "Authenticator app added as a second factor.")
        )
        app = TOTPDevice.objects.get()
        self.assertInside(sign_in(self.staff, app))

    def test_the_qr_code_says_what_the_text_says(self):
        secret = self.open().context["secret"].replace(" ", "")
        key = self.browser.session["enrolment_key"]
        address = factors.unsaved_app(self.staff, key).config_url
        self.assertTrue(address.startswith("otpauth://totp/Voucher%20App%3Astella%40example.com?"), address)
        self.assertIn(f"secret={secret}&", address)

    def test_the_mailed_code_is_for_the_session_that_wanted_it_and_for_a_quarter_of_an_hour(self):
        self.browser.post(SET_UP, {"send": "yes"})
        code = mailed_code(self.staff)
        thief = sign_in(self.staff)
        thief.post(SET_UP, {"send": "yes"})
        self.assertNotEqual(mailed_code(self.staff), code)
        self.assertContains(thief.post(SET_UP, {"code": code}), "not the code of the last mail")
        with time_machine.travel(time.time() + 16 * 60):
            self.assertNotContains(self.browser.post(SET_UP, {"code": code}), "<svg")
            self.assertContains(self.browser.get(SET_UP), "Mail me a code")
        self.browser.post(SET_UP, {"code": code})
        self.assertContains(self.browser.get(SET_UP), "<svg")

    def test_the_page_closes_after_half_an_hour(self):
        secret = self.open().context["secret"]
        with time_machine.travel(time.time() + 31 * 60):
            self.assertNotContains(self.browser.post(SET_UP, {"code": code_for(secret)}), "<svg")
        self.assertEqual(factors.factors_of(self.staff), [])

    def test_it_closes_for_another_session_once_there_is_a_factor(self):
        """Both opened it by mail; the second then has to prove the factor of the first."""
        other = sign_in(self.staff)
        secret = self.open(other).context["secret"]
        give_app(self.staff)
        self.assertLedTo(other.post(SET_UP, {"code": code_for(secret)}), VERIFICATION)
        self.assertEqual(len(factors.factors_of(self.staff)), 1)

    @override_settings(
        RATE_LIMITS_ENABLED=True, LIMIT_SECOND_FACTOR=(3, 3600), LIMIT_PASSWORD_RESET_PER_ACCOUNT=(2, 3600)
    )
    def test_mails_and_guesses_are_limited(self):
        for status in (302, 302, 429):
            self.assertEqual(self.browser.post(SET_UP, {"send": "yes"}).status_code, status)
        self.assertEqual(len(mails_to(self.staff)), 2)
        for status in (200, 200, 200, 429):
            self.assertEqual(self.browser.post(SET_UP, {"code": "00000000"}).status_code, status)
        self.assertEqual(self.browser.post(SET_UP, {"code": mailed_code(self.staff)}).status_code, 429)

    @override_settings(STAFF_SECOND_FACTOR=False)
    def test_where_none_is_needed_one_can_be_set_up_all_the_same(self):
        self.assertContains(self.browser.get(FACTORS), "You have none yet")
        self.browser.post(SET_UP, {"code": code_for(self.open().context["secret"])})
        self.assertEqual(len(factors.factors_of(self.staff)), 1)


class OwnFactorsTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.app = give_app(self.staff)
        self.browser = sign_in(self.staff, self.app)
        self.later = time_machine.travel(time.time() + 11 * 60)

    def test_the_page_lists_them_and_no_secret(self):
        factors.make_recovery_codes(user=self.staff)
        page = self.browser.get(FACTORS)
        self.assertContains(page, "Authenticator app")
        self.assertContains(page, "not used: 10")
        self.assertNotContains(page, self.app.key)

    def test_a_second_one_is_added_while_the_proof_is_fresh(self):
        page = self.browser.get(SET_UP)
        response = self.browser.post(SET_UP, {"code": code_for(page.context["secret"])})
        self.assertLedTo(response, FACTORS)
        self.assertEqual(len(factors.factors_of(self.staff)), 2)
        for app in TOTPDevice.objects.all():
            self.assertInside(sign_in(self.staff, app))

    def test_later_adding_asks_for_a_fresh_proof_first(self):
        with self.later:
            page = self.browser.get(SET_UP)
            self.assertContains(page, "proof of the last ten minutes")
            self.assertEqual(fresh_proof.FRESH_SECONDS, 10 * 60, "the page says so in words")
            self.assertNotContains(page, "<svg")
            body = {"second_factor_code": code_of(self.app), "second_factor_method": "GET"}
            self.assertRedirects(self.browser.post(SET_UP, body), SET_UP)
            self.assertContains(self.browser.get(SET_UP), "<svg")

    def test_adding_and_making_codes_and_removing_do_nothing_without_it(self):
        key = self.browser.get(SET_UP).context["secret"]
        with self.later:
            for page, body in (
                (SET_UP, {"code": code_for(key)}),
                (RECOVERY_CODES, {}),
                (FACTORS, {"remove": self.app.persistent_id}),
            ):
                with self.subTest(page):
                    self.assertContains(self.browser.post(page, body), "proof of the last ten minutes")
        self.assertEqual(len(factors.factors_of(self.staff)), 1)
        self.assertEqual(factors.recovery_codes_left(self.staff), 0)

    def test_new_recovery_codes_take_the_place_of_the_old_ones(self):
        old = factors.make_recovery_codes(user=self.staff)
        new = self.browser.post(RECOVERY_CODES).context["codes"]
        self.assertEqual((len(new), set(old) & set(new)), (10, set()))
        self.assertEqual(StaticToken.objects.count(), 10)
        self.assertNotContains(self.browser.get(RECOVERY_CODES), new[0])  # shown once
        browser = sign_in(self.staff)
        browser.post(VERIFICATION, {"code": old[0]})
        self.assertOutside(browser)
        browser.post(VERIFICATION, {"code": new[0]})
        self.assertInside(browser)
        self.assertIn("New recovery codes for the second factor were made", mails_to(self.staff))

    def test_removing_the_last_one_closes_the_admin_and_takes_the_recovery_codes_along(self):
        codes = factors.make_recovery_codes(user=self.staff)
        sid = self.signed_in_with_powers()
        self.browser.post(FACTORS, {"remove": self.app.persistent_id})
        self.assertEqual((factors.factors_of(self.staff), StaticToken.objects.count()), ([], 0))
        self.assertOutside(self.browser)
        self.assertContains(self.browser.get(VERIFICATION, follow=True), "Mail me a code")
        response = self.browser.post(VERIFICATION, {"code": codes[0]})
        self.assertLedTo(response, SET_UP)
        self.assertIsNone(Session.objects.get(pk=sid).second_factor_at)
        self.assertEqual(mails_to(self.staff)[-1], "Authenticator app removed from the second factors")
        self.assertTrue(
            LogEntry.objects.filter(change_message__startswith="Authenticator app removed").exists()
        )

    def signed_in_with_powers(self):
        authentication.open_session(user=self.staff)
        session = Session.objects.latest("created_at")
        authentication.pass_second_factor(user=self.staff, sid=session.pk, code=code_of(self.app))
        return session.pk

    def test_nobody_removes_another_persons(self):
        other = make_staff(email="other@example.com")
        app = give_app(other)
        for key in (app.persistent_id, "", "users.user/1", "otp_totp.totpdevice/x", "\x00"):
            self.browser.post(FACTORS, {"remove": key})
        self.assertEqual(len(factors.factors_of(other)), 1)

    def test_ten_are_the_most(self):
        for _ in range(9):
            give_app(self.staff)
        key = self.browser.get(SET_UP).context["secret"]
        self.assertContains(self.browser.post(SET_UP, {"code": code_for(key)}), "as many second factors")
        self.assertEqual(len(factors.factors_of(self.staff)), 10)

    def test_an_export_of_ones_data_names_them_without_secrets(self):
        factors.make_recovery_codes(user=self.staff)
        held = self.signed_in(self.staff).get("/api/users/export/").json()["second_factors"]
        self.assertEqual([part["kind"] for part in held], ["Authenticator app", "Recovery codes"])
        self.assertNotIn(self.app.key, str(held))

    def test_closing_the_account_erases_them(self):
        member = make_user(is_staff=True)
        give_app(member)
        factors.make_recovery_codes(user=member)
        users.close_account(user=member, password=PASSWORD)
        self.assertEqual(factors.exported(member), [])
        self.assertEqual(TOTPDevice.objects.filter(user=member).count(), 0)
