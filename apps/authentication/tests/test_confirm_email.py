import re
import time
from datetime import timedelta
from unittest import mock, skipUnless

import time_machine
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from post_office.models import Email

from apps.authentication import password_reset_links
from apps.core import mail
from apps.payments import services as payments
from apps.payments.models import Transaction
from apps.payments.tests.factories import make_completed_transaction
from apps.users import email_confirmation, email_links, withheld_mails
from apps.users.models import User, WithheldMail
from apps.users.tests.factories import (
    PASSWORD,
    UNMAILABLE,
    make_customer,
    make_deactivated,
    make_staff,
    make_unconfirmed,
)
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase, RaceTestCase

REGISTER = "/api/auth/register/"
CONFIRM = "/api/auth/confirm-email/"
RESEND = "/api/auth/resend-confirmation/"
LINK = re.compile(r"http://localhost:3000/confirm-email#token=([\w.:-]+)")
BODY = {
    "email": "Nora@Example.com",
    "password": PASSWORD,
    "password_confirm": PASSWORD,
    "first_name": "Nora",
}


def token_of(user):
    return email_links.confirmation_url(user.pk, user.email).partition("#token=")[2]


class ConfirmingAnAddress(ApiTestCase):
    def confirm(self, token):
        return self.api.post(CONFIRM, {"token": token})

    def test_whoever_registers_gets_a_link_that_confirms_the_address_once(self):
        answer = self.api.post(REGISTER, BODY).json()
        self.assertIs(answer["user"]["email_confirmed"], False)
        email = Email.objects.get()
        self.assertEqual((email.to, email.subject), (["nora@example.com"], "Confirm your e-mail address"))
        (token,) = LINK.findall(email.message)
        self.assertIn(f"#token={token}", email.html_message)
        self.assertNotIn("Nora", email.message + email.html_message)
        response = self.confirm(token)
        self.assertEqual(response.status_code, 200, response.content)
        confirmed_at = User.objects.get().email_confirmed_at
        self.assertIsNotNone(confirmed_at)
        self.assertProblem(self.confirm(token), 409, "email_already_confirmed")
        self.assertEqual(User.objects.get().email_confirmed_at, confirmed_at)
        profile = self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {answer['access']}")
        self.assertIs(profile.json()["email_confirmed"], True)

    def test_a_registration_that_fails_mails_nothing(self):
        make_customer(email="nora@example.com")
        self.assertProblem(self.api.post(REGISTER, BODY), 400, "validation_error")
        self.assertEqual(Email.objects.count(), 0)

    def test_a_link_is_good_for_a_day(self):
        nora = make_unconfirmed()
        token = token_of(nora)
        with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1), tick=False):
            self.assertProblem(self.confirm(token), 400, "confirmation_link_invalid")
        self.assertFalse(User.objects.get().email_confirmed)
        with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59), tick=False):
            self.assertEqual(self.confirm(token).status_code, 200)

    def test_no_other_text_confirms_anything(self):
        nora, otto = make_unconfirmed(), make_unconfirmed(email="otto@example.com")
        token = token_of(nora)
        user_id, _, rest = token.partition(".")
        cancellation = email_links.cancellation_url(nora.pk, nora.email).partition("#token=")[2]
        for wrong in (
            f"{otto.pk}.{rest}",
            token[:-1] + ("A" if token[-1] != "A" else "B"),
            f"{user_id}.",
            cancellation,
            "x",
            "\u0661:x:y",
            "9" * 200,
        ):
            with self.subTest(wrong):
                self.assertProblem(self.confirm(wrong), 400, "confirmation_link_invalid")
        for body in ({}, {"token": ""}, {"token": None}, {"token": ["x"]}, {"token": "x" * 201}):
            document = self.assertProblem(self.api.post(CONFIRM, body), 400, "validation_error")
            self.assertIn("token", document["errors"])
        self.assertFalse(User.objects.exclude(email_confirmed_at=None).exists())

    def test_it_confirms_no_address_but_the_one_that_it_was_mailed_to(self):
        nora = make_unconfirmed()
        token = token_of(nora)
        User.objects.update(email="nora.new@example.com")
        self.assertProblem(self.confirm(token), 400, "confirmation_link_invalid")
        self.assertFalse(User.objects.get().email_confirmed)

    def test_a_link_of_an_account_that_is_shut_is_worth_nothing(self):
        gone = make_deactivated(email_confirmed_at=None)
        self.assertProblem(self.confirm(token_of(gone)), 400, "confirmation_link_invalid")
        self.assertFalse(User.objects.get().email_confirmed)

    def test_a_link_outlives_a_new_secret_key_that_keeps_the_old_one_beside_it(self):
        token = token_of(make_unconfirmed())
        with override_settings(SECRET_KEY="another key", SECRET_KEY_FALLBACKS=[]):
            self.assertProblem(self.confirm(token), 400, "confirmation_link_invalid")
        with override_settings(SECRET_KEY="another key", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            self.assertEqual(self.confirm(token).status_code, 200)

    def test_a_password_that_was_reset_by_a_link_proves_the_address_too(self):
        nora = make_unconfirmed()
        make_completed_transaction(user=nora)
        Email.objects.all().delete()
        uid, token = (
            pair.partition("=")[2]
            for pair in password_reset_links.link_for(nora).partition("#")[2].split("&")
        )
        passwords = {"password": "an entirely new one", "password_confirm": "an entirely new one"}
        body = {"uid": uid, "token": token, **passwords}
        response = self.api.post("/api/auth/password-reset-confirm/", body)
        self.assertEqual(response.status_code, 200, response.content)
        self.assertTrue(User.objects.get().email_confirmed)
        self.assertEqual(Email.objects.filter(message__contains=Voucher.objects.get().shown_code).count(), 1)

    def test_a_row_of_the_version_before_is_to_be_confirmed_and_can_be(self):
        before = make_customer()
        columns = [field.column for field in User._meta.concrete_fields]
        since = ("id", "email", "email_confirmed_at")
        old = ", ".join(column for column in columns if column and column not in since)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO users_user (email, {old}) SELECT 'old@example.com', {old} FROM users_user"
            )
        older = User.objects.exclude(pk=before.pk).get()
        self.assertFalse(older.email_confirmed)
        self.assertEqual(self.confirm(token_of(older)).status_code, 200)

    def test_whoever_runs_the_command_for_a_superuser_knows_the_address(self):
        call_command("createsuperuser", email="root@example.com", interactive=False, verbosity=0)
        self.assertTrue(User.objects.get().email_confirmed)

    def test_an_account_that_staff_create_gets_a_link_too(self):
        self.client.force_login(make_staff())
        body = {"email": "new@example.com", "usable_password": "false"}
        response = self.client.post("/admin/users/user/add/", body, format="multipart")
        self.assertEqual(response.status_code, 302, response.content[-2000:])
        (token,) = LINK.findall(Email.objects.get(to="new@example.com").message)
        self.assertFalse(User.objects.get(email="new@example.com").email_confirmed)
        self.assertEqual(self.confirm(token).status_code, 200)


class AskingAgain(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.nora = make_unconfirmed()

    def ask(self, email="nora@example.com"):
        return self.api.post(RESEND, {"email": email})

    def test_everyone_gets_the_same_answer_and_only_accounts_to_confirm_a_mail(self):
        make_customer()
        make_deactivated(email="gone@example.com", email_confirmed_at=None)
        known = self.ask("NORA@Example.com")
        self.assertEqual(known.status_code, 202, known.content)
        for email in ("unknown@example.com", "carla@example.com", "gone@example.com"):
            with self.subTest(email):
                response = self.ask(email)
                self.assertEqual((response.status_code, response.content), (202, known.content))
        (email,) = mail.waiting()
        self.assertEqual(email.to, ["nora@example.com"])
        (token,) = LINK.findall(email.message)
        self.assertEqual(self.api.post(CONFIRM, {"token": token}).status_code, 200)

    def test_known_and_unknown_cost_the_same_queries(self):
        for email in ("nora@example.com", "unknown@example.com"):
            with self.subTest(email), self.assertQueries(2):  # the user; the mail
                self.ask(email)

    def test_it_refuses_what_can_not_be_mailed(self):
        for email in (*UNMAILABLE, "", None, "no address"):
            self.assertProblem(self.ask(email), 400, "validation_error")
        self.assertEqual(Email.objects.count(), 0)

    @override_settings(
        RATE_LIMITS_ENABLED=True,
        LIMIT_PASSWORD_RESET_PER_ACCOUNT=(2, 3600),
        LIMIT_PASSWORD_RESET_PER_NETWORK=(5, 3600),
    )
    def test_an_address_gets_so_many_and_a_network_asks_for_so_many(self):
        for email in ("nora@example.com", "unknown@example.com"):
            for spelling in (email, email.upper()):
                self.assertEqual(self.ask(spelling).status_code, 202)
            self.assertProblem(self.ask(email), 429, "rate_limited")
        self.assertEqual(self.ask("third@example.com").status_code, 202)
        self.assertProblem(self.ask("fourth@example.com"), 429, "rate_limited")
        self.assertEqual(len(mail.waiting()), 2)

    def test_the_mail_is_not_sent_once_its_link_is_dead(self):
        self.ask()
        with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
            self.assertEqual(mail.send_pending(), 0)


class ConfirmingTogether(RaceTestCase):
    def setUp(self):
        super().setUp()
        self.nora = make_unconfirmed()

    def unconfirm(self):
        Email.objects.all().delete()
        User.objects.filter(pk=self.nora.pk).update(email_confirmed_at=None)
        self.nora.refresh_from_db()

    def copies(self):
        """How many mails with codes ten uses of a link at the same instant send, of one that was withheld."""
        self.unconfirm()
        paid = Transaction.objects.first() or make_completed_transaction(user=self.nora)
        withheld_mails.withhold(
            user=self.nora, kind="payments.receipt", reference=paid.pk, instead=lambda: None
        )
        Email.objects.all().delete()
        token = token_of(self.nora)
        answers = self.together(
            *[lambda: self.client_class().post(CONFIRM, {"token": token}) for _ in range(10)]
        )
        codes = sorted(answer.status_code for answer in answers)
        return Email.objects.filter(subject__startswith="Your vouchers").count(), codes

    def test_of_ten_uses_of_a_link_one_confirms_and_what_was_withheld_goes_out_once(self):
        for _ in range(self.rounds):
            self.assertEqual(self.copies(), (1, [200] + [409] * 9))
            self.assertEqual(WithheldMail.objects.count(), 0)

    def test_control_the_oracle_catches_a_confirmation_that_reads_and_then_writes(self):
        with mock.patch.object(email_confirmation, "confirm", broken_confirm):
            self.assertCaught(self.copies, lambda outcome: outcome[0] > 1)

    def stranded(self):
        """How many mails are withheld, and went out with codes, after both were asked for at the same instant."""
        self.unconfirm()
        paid = Transaction.objects.first() or make_completed_transaction(user=self.nora)
        WithheldMail.objects.all().delete()
        Email.objects.all().delete()
        token = token_of(self.nora)
        paid = Transaction.objects.select_related("user").get(pk=paid.pk)
        self.together(
            lambda: payments.queue_receipt(paid),
            lambda: self.client_class().post(CONFIRM, {"token": token}),
        )
        with_codes = Email.objects.filter(subject__startswith="Your vouchers:").count()
        return WithheldMail.objects.count(), with_codes

    def test_codes_that_are_mailed_while_the_address_is_confirmed_are_not_withheld_for_ever(self):
        for _ in range(self.rounds):
            self.assertEqual(self.stranded(), (0, 1))

    @skipUnless(connection.vendor == "postgresql", "SQLite has one writer at a time")
    def test_control_the_oracle_catches_a_look_without_a_lock(self):
        with mock.patch.object(withheld_mails, "_stays_unconfirmed", looked_at_without_a_lock):
            self.assertCaught(self.stranded, lambda outcome: outcome != (0, 1))


def broken_confirm(*, user):
    """A twin that looks whether the address is confirmed, and then confirms it."""
    if User.objects.get(pk=user.pk).email_confirmed:
        return False
    withheld = list(WithheldMail.objects.filter(user=user))
    for each in withheld:
        withheld_mails._kinds[each.kind](user, each.reference)
    User.objects.filter(pk=user.pk).update(email_confirmed_at=timezone.now())
    withheld_mails.discard(user)
    return True


def looked_at_without_a_lock(user):
    """A twin that only reads, and takes a moment until it is noted."""
    unconfirmed = User.objects.filter(pk=user.pk, email_confirmed_at=None).exists()
    time.sleep(0.3)
    return unconfirmed
