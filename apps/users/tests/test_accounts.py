import os
from io import StringIO
from unittest import mock

from django.contrib.auth.management.commands import createsuperuser
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import TestCase, tag

from apps.authentication import services as authentication
from apps.authentication.models import Session
from apps.users.models import User, UserProfile
from apps.users.tests.factories import PASSWORD, UNMAILABLE, make_customer, make_user
from tests.support.cases import ApiTestCase


@tag("smoke")
class Accounts(TestCase):
    def test_everyone_has_a_profile(self):
        for user in (make_user(), User.objects.create(email="x@example.com")):
            self.assertEqual(UserProfile.objects.filter(user=user).count(), 1)

    def test_an_address_is_kept_and_found_in_lower_case(self):
        user = make_user(email=" Mixed@Example.COM ")
        self.assertEqual(user.email, "mixed@example.com")
        self.assertEqual(User.objects.get(email="MIXED@example.com"), user)
        self.assertEqual(User.objects.get_by_natural_key("Mixed@Example.com"), user)

    def test_the_database_refuses_the_same_address_in_another_case(self):
        make_user(email="one@example.com")
        other = make_user()
        for write in (
            lambda: User.objects.create(email="ONE@example.com"),
            lambda: User.objects.filter(pk=other.pk).update(email="One@Example.com"),
        ):
            with self.assertRaises(IntegrityError), transaction.atomic():
                write()
        self.assertEqual(User.objects.filter(email="one@example.com").count(), 1)

    def test_a_user_needs_an_address(self):
        for email in ("", "  ", None):
            with self.assertRaises(ValueError):
                User.objects.create_user(email, PASSWORD)

    def test_without_a_password_nobody_signs_in(self):
        self.assertFalse(User.objects.create_user("x@example.com").has_usable_password())


class MakingASuperuser(ApiTestCase):
    def make(self, **options):
        call_command("createsuperuser", stdout=StringIO(), stderr=StringIO(), **options)

    def assertSuperuser(self, password):
        user = User.objects.get(email="root@example.com")
        self.assertTrue(user.is_staff and user.is_superuser and user.is_active)
        self.assertTrue(user.check_password(password))
        self.assertTrue(UserProfile.objects.filter(user=user).exists())

    def test_by_environment(self):
        environment = {"DJANGO_SUPERUSER_EMAIL": "Root@Example.com", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        with mock.patch.dict(os.environ, environment):
            self.make(interactive=False)
            self.assertSuperuser(PASSWORD)
            with self.assertRaises(CommandError):
                self.make(interactive=False)
        self.assertEqual(User.objects.count(), 1)

    def test_an_address_that_can_never_be_mailed_is_refused(self):
        for email in UNMAILABLE:
            environment = {"DJANGO_SUPERUSER_EMAIL": email, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
            with (
                self.subTest(email),
                mock.patch.dict(os.environ, environment),
                self.assertRaisesMessage(CommandError, "Mail can't be sent to this address."),
            ):
                self.make(interactive=False)
        self.assertEqual(User.objects.count(), 0)

    def test_by_answering_it_asks_for_address_and_password_only(self):
        prompts = []

        def answer(prompt=""):
            prompts.append(str(prompt))
            return "root@example.com"

        def answer_unseen(prompt="Password: "):
            prompts.append(prompt)
            return PASSWORD

        class Terminal(StringIO):
            def isatty(self):
                return True

        with (
            mock.patch("builtins.input", answer),
            mock.patch.object(createsuperuser.getpass, "getpass", answer_unseen),
        ):
            self.make(interactive=True, stdin=Terminal())
        self.assertSuperuser(PASSWORD)
        self.assertEqual(len(prompts), 3, prompts)

    def test_changing_a_password_by_command_ends_all_sessions(self):
        customer = make_customer()
        access = authentication.open_session(user=customer).access
        header = {"Authorization": f"Bearer {access}"}
        self.assertEqual(self.api.get("/api/users/profile/", headers=header).status_code, 200)
        with mock.patch("getpass.getpass", lambda prompt="": "an entirely new password"):
            call_command("changepassword", "Carla@example.com", stdout=StringIO())
        self.assertTrue(User.objects.get().check_password("an entirely new password"))
        self.assertProblem(self.api.get("/api/users/profile/", headers=header), 401, "token_invalid")
        self.assertIsNone(Session.objects.get().ended_at)
