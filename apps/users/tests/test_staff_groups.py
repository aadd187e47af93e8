"""`manage.py create_staff_groups`."""

from io import StringIO
from unittest.mock import patch

from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import TestCase

from apps.users import staff_groups
from apps.users.staff_roles import ROLES
from tests.support.cases import RaceTestCase


def run(**options):
    """What the command prints, and what it warns of."""
    printed, warned = StringIO(), StringIO()
    call_command("create_staff_groups", stdout=printed, stderr=warned, **options)
    return printed.getvalue(), warned.getvalue()


def permissions_of(name):
    rows = Permission.objects.filter(group__name=name).select_related("content_type")
    return sorted(f"{row.content_type.app_label}.{row.codename}" for row in rows)


class StaffGroupsTests(TestCase):
    def test_it_makes_a_group_for_each_role_with_the_permissions_of_the_role(self):
        printed, warned = run()
        self.assertEqual(warned, "")  # every permission that a role names exists
        self.assertEqual(set(Group.objects.values_list("name", flat=True)), set(ROLES))
        for name, permissions in ROLES.items():
            self.assertIn(f"{name}: created", printed)
            self.assertEqual(permissions_of(name), sorted(set(permissions)))
        self.assertIn("  + vouchers.extend_voucher", printed)

    def test_again_it_changes_nothing_and_says_so(self):
        run()
        printed, warned = run()
        self.assertEqual(printed.splitlines(), [f"{name}: as it should be" for name in ROLES])
        self.assertEqual(warned, "")

    def test_it_adds_what_a_group_lacks_and_keeps_what_a_shop_added(self):
        run()
        own, lacking = (Permission.objects.get(codename=each) for each in ("void_voucher", "extend_voucher"))
        desk = Group.objects.get(name="Desk")
        desk.permissions.add(own)
        desk.permissions.remove(lacking)
        Group.objects.create(name="Couriers").permissions.add(own)
        printed, _ = run()
        self.assertIn("Desk: changed\n  + vouchers.extend_voucher\nFinance: as it should be", printed)
        self.assertEqual(permissions_of("Desk"), sorted({*ROLES["Desk"], "vouchers.void_voucher"}))
        self.assertEqual(permissions_of("Couriers"), ["vouchers.void_voucher"])

    def test_a_reset_takes_away_what_the_role_does_not_have(self):
        run()
        Group.objects.get(name="Desk").permissions.add(Permission.objects.get(codename="void_voucher"))
        printed, _ = run(reset=True)
        self.assertIn("Desk: changed\n  - vouchers.void_voucher\n", printed)
        self.assertEqual(permissions_of("Desk"), sorted(ROLES["Desk"]))

    def test_a_permission_that_does_not_exist_is_left_out_with_a_warning(self):
        later = {"Desk": ("vouchers.view_voucher", "vouchers.fly_voucher")}
        with patch.object(staff_groups, "ROLES", later):
            printed, warned = run()
        self.assertEqual(printed, "Desk: created\n  + vouchers.view_voucher\n")
        self.assertIn("vouchers.fly_voucher does not exist here", warned)
        self.assertEqual(permissions_of("Desk"), ["vouchers.view_voucher"])

    def test_no_role_may_change_groups_or_permissions_or_make_superusers(self):
        for name, permissions in ROLES.items():
            changing = [each for each in permissions if each.startswith("auth.") and "view" not in each]
            self.assertEqual(changing, [], name)

    def test_the_manager_has_all_that_the_others_have(self):
        for name, permissions in ROLES.items():
            self.assertLessEqual(set(permissions), set(ROLES["Manager"]), name)


class StaffGroupsRaces(RaceTestCase):
    def test_several_at_once_make_each_group_once(self):
        for _ in range(self.rounds):
            self.together(*[run] * 3)
            self.assertEqual(Group.objects.count(), len(ROLES))
            for name, permissions in ROLES.items():
                self.assertEqual(permissions_of(name), sorted(set(permissions)))
            Group.objects.all().delete()
