"""Who may manage staff: gives rights up to their own, and gets hold of no more by any field, address or action."""

from django.contrib.auth.models import Group, Permission
from post_office.models import Email

from apps.authentication.models import Session
from apps.users import staff_groups
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_staff, make_user
from tests.support.cases import ApiTestCase

LIST = "/admin/users/user/"


class ManagingStaff(ApiTestCase):
    def setUp(self):
        super().setUp()
        staff_groups.create_staff_groups()
        self.owners = Group.objects.create(name="Owners")  # with a permission that a manager lacks
        self.owners.permissions.add(Permission.objects.get(codename="add_group"))
        self.manager = self.member("Manager")
        self.client.force_login(self.manager)

    def member(self, *groups, **fields):
        user = make_user(is_staff=True, **fields)
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    def save(self, user, *groups, **fields):
        """Save the page of a user as the browser would, with these groups and other fields; the answer."""
        body = {
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "is_active": "on",
            "groups": [str(group.pk) for group in Group.objects.filter(name__in=groups)],
            "profile-TOTAL_FORMS": "1",
            "profile-INITIAL_FORMS": "1",
            "profile-0-id": str(user.profile.pk),
            "profile-0-user": str(user.pk),
            **fields,
        }
        return self.client.post(f"{LIST}{user.pk}/change/", body, format="multipart")

    def rights(self, user):
        user = User.objects.get(pk=user.pk)
        groups = sorted(user.groups.values_list("name", flat=True))
        return user.is_staff, user.is_superuser, groups, user.user_permissions.count()

    def test_a_manager_makes_a_person_staff_and_chooses_their_groups(self):
        person = make_customer()
        response = self.save(person, "Desk", "Catalogue", is_staff="on")
        self.assertEqual(response.status_code, 302, response.content[-2000:])
        self.assertEqual(self.rights(person), (True, False, ["Catalogue", "Desk"], 0))
        self.assertEqual(self.save(person, "Manager", is_staff="on").status_code, 302)
        self.assertEqual(self.rights(person), (True, False, ["Manager"], 0))
        self.assertEqual(self.save(person).status_code, 302)
        self.assertEqual(self.rights(person), (False, False, [], 0))

    def test_nobody_gets_a_group_that_may_do_more_than_the_manager(self):
        person = make_customer()
        page = self.client.get(f"{LIST}{person.pk}/change/").content.decode()
        self.assertIn(">Desk<", page)
        self.assertNotIn(">Owners<", page)
        response = self.save(person, "Desk", "Owners", is_staff="on")
        self.assertContains(response, "is not one of the available choices")
        self.assertEqual(self.rights(person), (False, False, [], 0))

    def test_nobody_is_made_a_superuser_or_gets_single_permissions(self):
        person = make_customer()
        permission = Permission.objects.get(codename="view_voucher")
        self.save(person, "Desk", is_staff="on", is_superuser="on", user_permissions=[str(permission.pk)])
        self.assertEqual(self.rights(person), (True, False, ["Desk"], 0))

    def test_nobody_changes_their_own_rights(self):
        for groups in (("Manager", "Desk"), ()):
            self.assertEqual(self.save(self.manager, *groups).status_code, 302)
            self.assertEqual(self.rights(self.manager), (True, False, ["Manager"], 0))

    def test_whoever_has_more_rights_is_out_of_reach_staff_or_not(self):
        dormant = make_user()  # staff no more, with rights that would work again
        dormant.user_permissions.add(Permission.objects.get(codename="add_group"))
        higher = (make_staff(), self.member("Owners"), self.member("Manager", "Owners"), dormant)
        for user in higher:
            self.signed_in(user)
            with self.subTest(user=user):
                before = User.objects.values().get(pk=user.pk), self.rights(user)
                page = self.client.get(f"{LIST}{user.pk}/change/")
                self.assertNotContains(page, 'name="_save"')
                self.assertEqual(self.save(user, "Desk", is_staff="on").status_code, 403)
                self.assertEqual(self.client.get(f"{LIST}{user.pk}/password/").status_code, 403)
                new = {"password1": "x" * 20 + " y", "password2": "x" * 20 + " y", "usable_password": "true"}
                address = f"{LIST}{user.pk}/password/"
                self.assertEqual(self.client.post(address, new, format="multipart").status_code, 403)
                for action in ("deactivate", "revoke_all_sessions", "send_password_reset"):
                    self.client.post(
                        LIST, {"action": action, "_selected_action": [user.pk]}, format="multipart"
                    )
                sessions = Session.objects.filter(user=user)
                body = {"action": "end", "_selected_action": [str(each.pk) for each in sessions]}
                self.client.post("/admin/authentication/session/", body, format="multipart")
                self.assertEqual((User.objects.values().get(pk=user.pk), self.rights(user)), before)
                self.assertEqual(sessions.filter(ended_at=None).count(), 1)
        self.assertEqual(Email.objects.count(), 0)

    def test_of_colleagues_neither_password_nor_address_is_taken_over(self):
        colleague = self.member("Finance")
        new = {"password1": "a new pass phrase", "password2": "a new pass phrase", "usable_password": "true"}
        for response in (
            self.client.get(f"{LIST}{colleague.pk}/password/"),
            self.client.post(f"{LIST}{colleague.pk}/password/", new, format="multipart"),
        ):
            self.assertEqual(response.status_code, 403)
        self.assertEqual(
            self.save(colleague, "Finance", is_staff="on", email="mine@example.com").status_code, 302
        )
        unchanged = User.objects.get(pk=colleague.pk)
        self.assertEqual(unchanged.email, colleague.email)
        self.assertTrue(unchanged.check_password(PASSWORD))
        self.client.post(
            LIST, {"action": "send_password_reset", "_selected_action": [colleague.pk]}, format="multipart"
        )
        self.assertEqual(Email.objects.get().to, [colleague.email])

    def test_a_manager_deactivates_colleagues_of_no_more_rights(self):
        colleague = self.member("Finance", "Manager")
        self.client.post(
            LIST, {"action": "deactivate", "_selected_action": [colleague.pk]}, format="multipart"
        )
        self.assertFalse(User.objects.get(pk=colleague.pk).is_active)

    def test_what_a_group_may_do_is_seen_and_not_changed(self):
        desk = Group.objects.get(name="Desk")
        page = f"/admin/auth/group/{desk.pk}/"
        self.assertEqual(self.client.get(f"{page}change/").status_code, 200)
        permissions = [str(each.pk) for each in Permission.objects.all()]
        body = {"name": "Desk", "permissions": permissions}
        for address in (f"{page}change/", f"{page}delete/", "/admin/auth/group/add/"):
            self.assertEqual(self.client.post(address, body, format="multipart").status_code, 403)
        self.assertLess(desk.permissions.count(), 30)

    def test_whoever_may_change_people_but_not_staff_touches_no_staff(self):
        desk = self.member("Desk")
        desk.user_permissions.set(Permission.objects.filter(codename="change_user"))
        self.client.force_login(desk)
        colleague, person = self.member("Desk"), make_customer()
        self.assertEqual(self.save(colleague, "Desk", is_staff="on").status_code, 403)
        self.assertEqual(self.save(person, "Desk", is_staff="on").status_code, 302)
        self.assertEqual(self.rights(person), (False, False, [], 0))

    def test_the_permission_alone_opens_no_account(self):
        helper = make_user(is_staff=True)
        helper.user_permissions.set(Permission.objects.filter(codename="manage_staff"))
        self.client.force_login(helper)
        person = make_customer()
        self.assertEqual(self.save(person, is_staff="on").status_code, 403)
        self.assertEqual(self.rights(person), (False, False, [], 0))
