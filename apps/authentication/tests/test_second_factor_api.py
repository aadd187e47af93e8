"""The second factor in the API: without it staff have what customers have."""

from functools import partial

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import override_settings

from apps.authentication.errors import EnrolmentClosed
from apps.authentication.models import Session
from apps.authentication.second_factor import factors
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_staff, make_user
from apps.vouchers.tests.factories import make_voucher

from .second_factor import API, SecondFactorTestCase, code_of, give_app, mails_to, sign_in

REVENUE = "/api/analytics/revenue/"


class StaffPowersTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_user(is_staff=True)
        self.staff.user_permissions.set(
            Permission.objects.filter(codename__in=("view_figures", "view_voucher"))
        )
        self.app = give_app(self.staff)
        self.code = make_voucher(owner=make_customer()).shown_code

    def powers(self, client):
        """What the client may do of what staff may."""
        places = {f"detail{path}": f"/api/vouchers/detail/{self.code}/{path}" for path in ("", "pdf/", "qr/")}
        allowed = {name for name, path in places.items() if client.get(path).status_code == 200}
        if client.get(REVENUE).status_code == 200:
            allowed.add("revenue")
        if client.get("/api/analytics/dashboard/").json()["scope"] == "platform":
            allowed.add("platform")
        if "client" in client.get("/api/health/ready/").json():
            allowed.add("address report")
        return allowed

    all = frozenset({"detail", "detailpdf/", "detailqr/", "revenue", "platform", "address report"})

    def test_a_session_has_none_of_them_before_the_code_and_all_after_it(self):
        client = self.signed_in(self.staff)
        self.assertEqual(self.powers(client), set())
        self.assertProblem(client.get(REVENUE), 403, "second_factor_required")
        self.assertProblem(client.get(f"/api/vouchers/detail/{self.code}/"), 404, "voucher_not_found")
        self.assertEqual(client.post(API, {"code": code_of(self.app)}).status_code, 200)
        self.assertEqual(self.powers(client), self.all)

    def test_it_is_of_the_session_and_lasts_with_it(self):
        tokens = self.api.post("/api/auth/login/", {"email": self.staff.email, "password": PASSWORD}).json()
        client = self.api
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
        client.post(API, {"code": code_of(self.app)})
        renewed = client.post("/api/auth/token/refresh/", {"refresh": tokens["refresh"]}).json()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {renewed['access']}")
        self.assertEqual(self.powers(client), self.all)
        self.assertEqual(self.powers(self.signed_in(self.staff)), set())

    def test_a_recovery_code_does_too(self):
        [code, *_] = factors.make_recovery_codes(user=self.staff)
        client = self.signed_in(self.staff)
        client.post(API, {"code": code})
        self.assertEqual(self.powers(client), self.all)

    def test_wrong_and_used_codes_change_nothing(self):
        client, code = self.signed_in(self.staff), code_of(self.app)
        sign_in(self.staff).post("/admin/second-factor/", {"code": code})
        for wrong in (code, "000000", "x", "1" * 40):
            self.assertProblem(client.post(API, {"code": wrong}), 400, "second_factor_code_invalid")
        self.assertProblem(client.post(API, {"code": "1" * 41}), 400, "validation_error")
        self.assertProblem(client.post(API, {}), 400, "validation_error")
        self.assertFalse(Session.objects.exclude(second_factor_at=None).exists())
        self.assertEqual(self.powers(client), set())

    def test_who_has_none_is_told_so(self):
        for person in (make_customer(email="c@example.com"), make_staff()):
            answer = self.signed_in(person).post(API, {"code": "123456"})
            self.assertProblem(answer, 409, "second_factor_not_enrolled")

    def test_who_lacks_the_permission_is_told_that_and_not_to_send_a_code(self):
        self.staff.user_permissions.clear()
        self.assertProblem(self.signed_in(self.staff).get(REVENUE), 403, "permission_denied")
        self.assertProblem(self.signed_in(make_user()).get(REVENUE), 403, "permission_denied")

    def test_the_admins_session_shows_the_address_report_only_after_it(self):
        for app, shown in ((None, False), (self.app, True)):
            browser = sign_in(self.staff, app)
            self.assertEqual("client" in browser.get("/api/health/ready/").json(), shown)

    @override_settings(STAFF_SECOND_FACTOR=False)
    def test_where_none_is_needed_the_password_is_enough(self):
        self.assertEqual(self.powers(self.signed_in(self.staff)), self.all)


class ResetTests(SecondFactorTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.app = give_app(self.staff)
        factors.make_recovery_codes(user=self.staff)

    def test_it_takes_all_away_ends_the_sessions_and_is_recorded_and_mailed(self):
        browser, client = sign_in(self.staff, self.app), self.signed_in(self.staff)
        boss = make_staff(email="boss@example.com")
        call_command("reset_second_factor", "Stella@example.com", reason="Lost the phone", by=boss.email)
        self.assertEqual(factors.exported(self.staff), [])
        self.assertLedTo(browser.get("/admin/"), "/admin/login/")
        self.assertProblem(client.get("/api/users/profile/"), 401, "token_invalid")
        self.assertEqual(mails_to(self.staff)[-1], "Your second factor was reset")
        entry = LogEntry.objects.latest("pk")
        self.assertEqual(
            (entry.user, entry.object_id, entry.change_message),
            (boss, str(self.staff.pk), "Second factor reset: Lost the phone"),
        )
        self.assertOutside(sign_in(self.staff))

    def test_a_factor_that_is_being_added_meanwhile_is_not(self):
        add = partial(give_app, User.objects.get(pk=self.staff.pk))  # as a request has them that began before
        call_command("reset_second_factor", self.staff.email, reason="Lost")
        self.assertRaises(EnrolmentClosed, add)
        self.assertFalse(factors.has_factor(self.staff))

    def test_without_a_name_it_stands_in_the_history_all_the_same(self):
        call_command("reset_second_factor", self.staff.email, reason="Lost")
        self.assertEqual(LogEntry.objects.latest("pk").change_message, "Second factor reset: Lost")

    def test_it_refuses_what_it_does_not_know(self):
        customer = make_customer()
        for email, options in (
            ("nobody@example.com", {"reason": "x"}),
            (self.staff.email, {"reason": "  "}),
            (self.staff.email, {"reason": "x", "by": "nobody@example.com"}),
            (self.staff.email, {"reason": "x", "by": customer.email}),
        ):
            with self.subTest(email, **options), self.assertRaises(CommandError):
                call_command("reset_second_factor", email, **options)
        with self.assertRaises(CommandError):
            call_command("reset_second_factor", self.staff.email)
        self.assertEqual(len(factors.factors_of(self.staff)), 1)
