"""Who can sign in to the demo."""

from django.test import TestCase

from apps.payments.management import demo_accounts
from apps.users.models import User
from apps.users.staff_roles import ROLES


class DemoAccountsTests(TestCase):
    def test_there_is_one_for_each_role_a_buyer_and_a_superuser(self):
        groups = [account.group for account in demo_accounts.ACCOUNTS]
        self.assertEqual(sorted(groups), sorted(["", "", *ROLES]))
        self.assertEqual([account.is_superuser for account in demo_accounts.ACCOUNTS].count(True), 1)

    def test_each_signs_in_with_the_printed_password_and_has_the_role(self):
        demo_accounts.create_accounts()
        printed = demo_accounts.accounts_text()
        for account in demo_accounts.ACCOUNTS:
            with self.subTest(account.label):
                user = User.objects.get(email=account.email)
                self.assertTrue(self.client.login(username=account.email, password=account.password))
                self.assertRegex(printed, f"{account.label} +{account.email} +password: {account.password}")
                self.assertEqual(user.is_staff, account.label != "Buyer")
                self.assertTrue(user.email_confirmed)
                self.assertEqual(user.is_superuser, account.label == "Superuser")
                self.assertEqual(
                    list(user.groups.values_list("name", flat=True)), [account.group] * bool(account.group)
                )

    def test_again_it_restores_what_was_changed(self):
        demo_accounts.create_accounts()
        desk = User.objects.get(email="desk@example.com")
        desk.set_password("something else entirely")
        desk.is_active, desk.is_superuser = False, True
        desk.save()
        desk.groups.clear()
        demo_accounts.create_accounts()
        desk = User.objects.get(pk=desk.pk)
        self.assertTrue(desk.check_password("desk-voucher-pass"))
        self.assertEqual((desk.is_active, desk.is_superuser), (True, False))
        self.assertEqual([group.name for group in desk.groups.all()], ["Desk"])
