"""What ends the sessions of the API ends those of the admin, and the admin's passwords are under the same limits."""

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.test import Client, override_settings
from post_office.models import Email

from apps.authentication import cookies, password_reset_links, services
from apps.authentication.models import Session
from apps.users import services as users
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_staff, make_user
from tests.support.cases import ApiTestCase

OWN_PASSWORD = "/admin/password_change/"


class AdminSessionTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.client.force_login(self.staff)
        self.assertIn("Voucher App", self.client.get("/admin/").content.decode())

    def assertSignedOut(self):
        self.assertEqual(self.client.get("/admin/").status_code, 302)

    def test_signing_out_everywhere_ends_them(self):
        response = self.signed_in(self.staff).post("/api/auth/logout/", {"everywhere": True})
        self.assertEqual(response.status_code, 200)
        self.assertSignedOut()

    def test_a_reset_ends_them(self):
        uid, _, token = password_reset_links.link_for(self.staff).partition("#uid=")[2].partition("&token=")
        services.reset_password(uid=uid, token=token, password="an entirely new phrase")
        self.assertSignedOut()

    def test_they_stay_dead_when_a_deactivated_account_comes_back(self):
        users.deactivate(user=self.staff)
        User.objects.filter(pk=self.staff.pk).update(is_active=True)
        self.assertSignedOut()

    def test_other_peoples_stay(self):
        services.revoke_all_sessions(user=make_customer())
        self.assertEqual(self.client.get("/admin/").status_code, 200)


class AdminPasswordTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.client.force_login(self.staff)

    def change(self, old):
        new = {"new_password1": "an entirely new phrase", "new_password2": "an entirely new phrase"}
        return self.client.post(OWN_PASSWORD, {"old_password": old, **new}, format="multipart")

    def test_ones_own_is_changed_only_with_the_old_one(self):
        desk = make_user(is_staff=True)
        desk.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user")))
        for member in (self.staff, desk):
            self.client.force_login(member)
            new = "an entirely new phrase"
            body = {"password1": new, "password2": new, "usable_password": "true"}
            # The form links to "../password/"; a row's number may be written in several ways.
            for number in (f"{member.pk}", f"0{member.pk}", f"{member.pk}%20"):
                url = f"/admin/users/user/{number}/password/"
                self.assertRedirects(self.client.get(url), OWN_PASSWORD)
                self.assertRedirects(self.client.post(url, body, format="multipart"), OWN_PASSWORD)
                without = {**body, "usable_password": "false"}
                self.assertRedirects(self.client.post(url, without, format="multipart"), OWN_PASSWORD)
            self.assertContains(self.change(""), "This field is required.")
            self.assertContains(self.change("wrong"), "Your old password was entered incorrectly.")
            member.refresh_from_db()
            self.assertTrue(member.check_password(PASSWORD))
            told = Email.objects.filter(to=member.email, subject="Your password was changed")
            self.assertFalse(told.exists())
            self.assertEqual(self.change(PASSWORD).status_code, 302)
            member.refresh_from_db()
            self.assertTrue(member.check_password(new))
            self.assertEqual(told.count(), 1)

    def test_ones_own_address_where_links_for_a_new_password_go_is_for_a_colleague_to_change(self):
        page = f"/admin/users/user/{self.staff.pk}/change/"
        self.assertNotContains(self.client.get(page), 'name="email"')
        body = {
            "email": "elsewhere@example.com",
            "first_name": "Stella-Maria",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "profile-TOTAL_FORMS": "1",
            "profile-INITIAL_FORMS": "1",
            "profile-0-id": str(self.staff.profile.pk),
            "profile-0-user": str(self.staff.pk),
        }
        response = self.client.post(page, body, format="multipart")
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.staff.refresh_from_db()
        self.assertEqual((self.staff.email, self.staff.first_name), ("stella@example.com", "Stella-Maria"))

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_LOGIN_PER_ACCOUNT=(3, 900))
    def test_an_old_password_is_not_guessed_without_limit(self):
        self.assertEqual([self.change("wrong").status_code for _ in range(3)], [200] * 3)
        response = self.change(PASSWORD)
        self.assertEqual((response.status_code, response["Retry-After"] > "0"), (429, True))
        self.staff.refresh_from_db()
        self.assertTrue(self.staff.check_password(PASSWORD))

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_LOGIN_PER_ACCOUNT=(1, 900))
    def test_the_right_one_uses_up_nothing(self):
        self.assertEqual(self.change(PASSWORD).status_code, 302)
        self.assertEqual(self.change("an entirely new phrase").status_code, 302)

    def test_the_page_wants_a_signed_in_member_of_staff(self):
        self.assertEqual(self.client.get(OWN_PASSWORD).status_code, 200)
        for client in (Client(), self.signed_in(make_customer())):
            self.assertEqual(client.get(OWN_PASSWORD).status_code, 302)

    def test_a_password_of_any_length_is_refused_quickly_at_the_door(self):
        long = "a" + "\u0345" * 30_000 + "\u0316" * 30_000  # normalised, this takes ten seconds
        body = {"username": "nobody@example.com", "password": long}
        with self.assertNoLogs("django.request", "ERROR"):
            response = Client().post("/admin/login/", body)
        self.assertEqual(response.status_code, 200)
        self.assertContains(response, "correct")


class StaffPowerTests(ApiTestCase):
    def test_only_superusers_say_what_a_group_may_do(self):
        desk = Group.objects.create(name="Desk")
        desk.permissions.set(Permission.objects.filter(codename__in=("change_group", "view_group")))
        member = make_user(is_staff=True)
        member.groups.add(desk)
        self.client.force_login(member)
        powers = [permission.pk for permission in Permission.objects.filter(codename="change_user")]
        body = {"name": "Desk", "permissions": powers}
        response = self.client.post(f"/admin/auth/group/{desk.pk}/change/", body, format="multipart")
        self.assertEqual(response.status_code, 403)
        self.assertEqual(desk.permissions.count(), 2)

    def test_mail_to_an_address_that_is_theirs_no_more_goes(self):
        customer = make_customer()
        password_reset_links.send(customer)
        self.client.force_login(make_staff())
        body = {
            "email": "carla.new@example.com",
            "is_active": "on",
            "profile-TOTAL_FORMS": "0",
            "profile-INITIAL_FORMS": "0",
        }
        response = self.client.post(f"/admin/users/user/{customer.pk}/change/", body, format="multipart")
        self.assertEqual(response.status_code, 302, response.content[:2000])
        changed = User.objects.get(pk=customer.pk)
        self.assertEqual((changed.email, changed.email_confirmed), ("carla.new@example.com", False))
        subjects = {email.to[0]: email.subject for email in Email.objects.all()}
        self.assertEqual(
            subjects,
            {
                "carla@example.com": "Your account has another e-mail address",
                "carla.new@example.com": "Confirm your e-mail address",
            },
        )


class SignOutTests(ApiTestCase):
    def test_a_browser_whose_access_cookie_has_run_out_signs_out_by_the_refresh_cookie(self):
        customer = make_customer()
        browser = self.client_class(enforce_csrf_checks=True)
        body = {"email": customer.email, "password": PASSWORD, "use_cookies": True}
        self.assertEqual(browser.post("/api/auth/login/", body).status_code, 200)
        del browser.cookies[cookies.ACCESS.name]
        self.assertProblem(browser.post("/api/auth/logout/", {}), 403, "csrf_failed")
        self.assertIsNone(Session.objects.get().ended_at)
        headers = {"X-CSRFToken": browser.cookies[settings.CSRF_COOKIE_NAME].value}
        response = browser.post("/api/auth/logout/", {}, headers=headers)
        self.assertEqual((response.status_code, response.cookies[cookies.REFRESH.name].value), (200, ""))
        self.assertIsNotNone(Session.objects.get().ended_at)

    def test_by_that_cookie_it_can_sign_out_everywhere_too(self):
        customer = make_customer()
        elsewhere = self.signed_in(customer)
        body = {"email": customer.email, "password": PASSWORD, "use_cookies": True}
        self.api.post("/api/auth/login/", body)
        del self.api.cookies[cookies.ACCESS.name]
        self.assertEqual(self.api.post("/api/auth/logout/", {"everywhere": True}).status_code, 200)
        self.assertEqual(elsewhere.get("/api/users/profile/").status_code, 401)
        self.assertEqual(Session.objects.filter(ended_at=None).count(), 0)
