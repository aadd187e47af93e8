from unittest import mock

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from post_office.models import Email

from apps.users import services
from apps.users.admin import UserAdmin
from apps.users.models import User, UserProfile
from apps.users.tests.factories import PASSWORD, UNMAILABLE, make_customer, make_staff, make_user
from tests.support.cases import ApiTestCase

LIST = "/admin/users/user/"


class PeopleInTheAdmin(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.staff = make_staff()
        self.client.force_login(self.staff)

    def post(self, url, **body):
        return self.client.post(url, body, format="multipart")

    def page(self, user):
        return f"{LIST}{user.pk}/change/"

    def body(self, **fields):
        profile = UserProfile.objects.get(user=self.customer)
        return {
            "email": "carla@example.com",
            "first_name": "Carla",
            "last_name": "Customer",
            "is_active": "on",
            "profile-TOTAL_FORMS": "1",
            "profile-INITIAL_FORMS": "1",
            "profile-0-id": str(profile.pk),
            "profile-0-user": str(self.customer.pk),
            "profile-0-phone_number": "",
            **fields,
        }

    def test_staff_find_people_by_name_and_address(self):
        make_user(email="someone.else@example.com")
        for words in ("carla", "CUSTOMER", "carla@example.com"):
            response = self.client.get(LIST, {"q": words})
            self.assertContains(response, "carla@example.com")
            self.assertNotContains(response, "someone.else@example.com")

    def test_the_page_of_a_user_shows_the_profile_and_no_password(self):
        response = self.client.get(self.page(self.customer))
        self.assertContains(response, "profile-0-phone_number")
        self.assertNotContains(response, self.customer.password)

    def test_staff_change_a_user_and_the_profile(self):
        body = self.body(**{"first_name": "Clara", "language": "fr", "profile-0-phone_number": "555 0100"})
        response = self.post(self.page(self.customer), **body)
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.customer.refresh_from_db()
        self.assertEqual(
            (self.customer.first_name, self.customer.profile.phone_number), ("Clara", "555 0100")
        )
        self.assertEqual(self.customer.language, "fr")
        self.assertTrue(self.customer.check_password(PASSWORD))
        for without in ({}, {"language": ""}):  # a form from before there was a language, and a crafted one
            self.assertEqual(self.post(self.page(self.customer), **self.body(**without)).status_code, 302)
            self.customer.refresh_from_db()
            self.assertEqual(self.customer.language, "en" if without else "fr")

    def test_deactivating_ends_every_session(self):
        api = self.signed_in(self.customer)
        body = self.body()
        del body["is_active"]
        self.assertEqual(self.post(self.page(self.customer), **body).status_code, 302)
        self.assertFalse(User.objects.get(pk=self.customer.pk).is_active)
        self.assertEqual(self.customer.sessions.filter(ended_at=None).count(), 0)
        self.assertProblem(api.get("/api/users/profile/"), 401, "token_invalid")

    def test_staff_add_a_user_who_can_sign_in(self):
        self.assertEqual(self.client.get(f"{LIST}add/").status_code, 200)
        body = {
            "email": "Nora@Example.com",
            "first_name": "Nora",
            "last_name": "New",
            "usable_password": "true",
        }
        response = self.post(f"{LIST}add/", password1=PASSWORD, password2=PASSWORD, **body)
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.assertTrue(UserProfile.objects.filter(user__email="nora@example.com").exists())
        login = self.api.post("/api/auth/login/", {"email": "nora@example.com", "password": PASSWORD})
        self.assertEqual(login.status_code, 200)

    def test_people_with_one_name_have_no_last_name(self):
        body = {"email": "suharto@example.com", "first_name": "Suharto", "usable_password": "true"}
        response = self.post(f"{LIST}add/", password1=PASSWORD, password2=PASSWORD, **body)
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.assertEqual(User.objects.get(email="suharto@example.com").full_name, "Suharto")
        response = self.post(self.page(self.customer), **self.body(last_name=""))
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.assertEqual(User.objects.get(pk=self.customer.pk).full_name, "Carla")

    def test_an_address_that_can_never_be_mailed_is_refused_on_both_forms(self):
        for email in UNMAILABLE:
            with self.subTest(email):
                body = {"email": email, "usable_password": "true"}
                response = self.post(f"{LIST}add/", password1=PASSWORD, password2=PASSWORD, **body)
                self.assertContains(response, "Mail can&#x27;t be sent to this address.")
                response = self.post(self.page(self.customer), **self.body(email=email))
                self.assertContains(response, "Mail can&#x27;t be sent to this address.")
        self.assertEqual(
            set(User.objects.values_list("email", flat=True)), {"carla@example.com", "stella@example.com"}
        )

    def test_an_address_taken_in_another_case_is_refused_on_the_form(self):
        body = {"email": "CARLA@example.com", "usable_password": "true"}
        response = self.post(f"{LIST}add/", password1=PASSWORD, password2=PASSWORD, **body)
        self.assertContains(response, "There is an account with this e-mail address.")
        self.assertEqual(User.objects.count(), 2)

    def test_staff_set_a_new_password_which_ends_every_session(self):
        api = self.signed_in(self.customer)
        url = f"{LIST}{self.customer.pk}/password/"
        self.assertEqual(self.client.get(url).status_code, 200)
        weak = self.post(url, password1="short", password2="short", usable_password="true")
        self.assertEqual(weak.status_code, 200)
        long = self.post(url, password1="x y" * 50, password2="x y" * 50, usable_password="true")
        self.assertContains(long, "at most 128 characters")
        self.assertEqual(api.get("/api/users/profile/").status_code, 200)
        new = "an entirely new password"
        self.assertEqual(
            self.post(url, password1=new, password2=new, usable_password="true").status_code, 302
        )
        self.assertTrue(User.objects.get(pk=self.customer.pk).check_password(new))
        self.assertProblem(api.get("/api/users/profile/"), 401, "token_invalid")

    def test_a_closed_account_gets_neither_a_person_nor_a_password_again(self):
        body = self.body(is_active="on")  # of a page that was opened before
        services.close_account(user=self.customer, password=PASSWORD)
        closed = User.objects.values().get(pk=self.customer.pk)
        self.assertNotContains(self.client.get(self.page(self.customer)), 'name="_save"')
        self.assertEqual(self.post(self.page(self.customer), **body).status_code, 403)
        new = {"password1": "a new pass phrase", "password2": "a new pass phrase", "usable_password": "true"}
        self.assertEqual(self.post(f"{LIST}{self.customer.pk}/password/", **new).status_code, 403)
        # Closed between the check of the permission and the write, which writes all fields:
        with mock.patch.object(UserAdmin, "has_change_permission", return_value=True):
            self.assertEqual(self.post(self.page(self.customer), **body).status_code, 403)
        self.assertEqual(User.objects.values().get(pk=self.customer.pk), closed)

    def test_nobody_is_deleted(self):
        self.assertEqual(self.client.get(f"{LIST}{self.customer.pk}/delete/").status_code, 403)
        self.post(LIST, action="delete_selected", _selected_action=str(self.customer.pk), post="yes")
        self.assertTrue(User.objects.filter(pk=self.customer.pk).exists())

    def test_who_may_change_users_gains_no_rights_by_it(self):
        desk = make_user(email="desk@example.com", is_staff=True)
        desk.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user")))
        self.client.force_login(desk)
        response = self.post(
            self.page(desk), email="desk@example.com", is_active="on", is_staff="on", is_superuser="on"
        )
        self.assertEqual(response.status_code, 302, response.content[-3000:])
        self.assertFalse(User.objects.get(pk=desk.pk).is_superuser)
        self.assertEqual(self.post(self.page(self.staff), email="taken@example.com").status_code, 403)
        self.assertEqual(self.client.get(f"{LIST}{self.staff.pk}/password/").status_code, 403)
        self.assertEqual(User.objects.get(pk=self.staff.pk).email, "stella@example.com")

    def test_signing_in_to_the_admin_is_by_address(self):
        self.client.logout()
        response = self.post("/admin/login/", username="Stella@Example.com", password=PASSWORD)
        self.assertEqual(response.status_code, 302)
        self.assertEqual(self.client.get("/admin/").status_code, 200)

    def act(self, action, *users):
        body = {"action": action, "_selected_action": [str(user.pk) for user in users]}
        return self.client.post(LIST, body, format="multipart")

    def desk(self):
        """Staff who may change users and nothing else."""
        desk = make_user(email="desk@example.com", is_staff=True)
        desk.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user")))
        return desk

    def test_staff_deactivate_several_at_once_and_every_session_ends(self):
        other = make_user()
        api = self.signed_in(self.customer)
        self.assertEqual(self.act("deactivate", self.customer, other).status_code, 302)
        self.assertEqual(User.objects.filter(is_active=False).count(), 2)
        self.assertEqual(self.customer.sessions.filter(ended_at=None).count(), 0)
        self.assertProblem(api.get("/api/users/profile/"), 401, "token_invalid")
        self.assertEqual(LogEntry.objects.filter(change_message="Deactivated.").count(), 2)

    def test_nobody_deactivates_themselves_by_mistake(self):
        self.act("deactivate", self.staff, self.customer)
        self.assertTrue(User.objects.get(pk=self.staff.pk).is_active)
        self.assertFalse(User.objects.get(pk=self.customer.pk).is_active)

    def test_staff_end_all_sessions_of_a_user(self):
        api = self.signed_in(self.customer)
        self.assertEqual(self.act("revoke_all_sessions", self.customer).status_code, 302)
        self.assertProblem(api.get("/api/users/profile/"), 401, "token_invalid")
        self.assertTrue(User.objects.get(pk=self.customer.pk).is_active)

    def test_staff_send_a_link_for_a_new_password_without_seeing_it(self):
        inactive = make_user(is_active=False)
        response = self.act("send_password_reset", self.customer, inactive)
        self.assertEqual(response.status_code, 302)
        email = Email.objects.get()
        self.assertEqual(email.to, ["carla@example.com"])
        token = email.message.partition("token=")[2].split()[0]
        for url in (LIST, self.page(self.customer), f"/admin/post_office/email/{email.pk}/change/"):
            self.assertNotContains(self.client.get(url), token)
        self.assertTrue(User.objects.get(pk=self.customer.pk).check_password(PASSWORD))

    def test_who_is_no_superuser_touches_no_other_staff(self):
        colleague = make_user(is_staff=True)
        everyone = (self.staff, colleague, self.customer)
        for user in everyone:
            self.signed_in(user)
        self.client.force_login(self.desk())
        for action in ("deactivate", "revoke_all_sessions", "send_password_reset"):
            self.act(action, *everyone)
        for user in (self.staff, colleague):
            self.assertTrue(User.objects.get(pk=user.pk).is_active)
            self.assertEqual(user.sessions.filter(ended_at=None).count(), 1)
            self.assertEqual(self.post(self.page(user), email="taken@example.com").status_code, 403)
            self.assertEqual(self.client.get(f"{LIST}{user.pk}/password/").status_code, 403)
        self.assertFalse(User.objects.get(pk=self.customer.pk).is_active)
        self.assertEqual(Email.objects.filter(to=self.staff.email).count(), 0)

    def test_who_may_only_look_has_no_actions(self):
        viewer = make_user(is_staff=True)
        viewer.user_permissions.set(Permission.objects.filter(codename="view_user"))
        self.client.force_login(viewer)
        for action in ("deactivate", "revoke_all_sessions", "send_password_reset"):
            self.act(action, self.customer)
        self.assertTrue(User.objects.get(pk=self.customer.pk).is_active)
        self.assertEqual(Email.objects.count(), 0)

    def test_who_is_no_superuser_makes_nobody_staff(self):
        self.client.force_login(self.desk())
        self.post(self.page(self.customer), **self.body(is_staff="on", is_superuser="on"))
        customer = User.objects.get(pk=self.customer.pk)
        self.assertEqual((customer.is_staff, customer.is_superuser), (False, False))
