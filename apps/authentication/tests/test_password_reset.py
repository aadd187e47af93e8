import re
import time
from datetime import timedelta
from unittest import mock

import time_machine
from django.core import mail as outbox
from django.test import override_settings
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.authentication import password_reset_links, services
from apps.authentication.errors import ResetLinkInvalid
from apps.authentication.models import Session
from apps.core import mail
from apps.users import services as users
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, UNMAILABLE, make_customer, make_deactivated, make_user
from tests.support.cases import ApiTestCase, RaceTestCase

ASK = "/api/auth/password-reset/"
CONFIRM = "/api/auth/password-reset-confirm/"
NEW = "an entirely new password"
TEXT_AND_HTML = ["text/plain", "text/html"]
LINK = re.compile(r"http://localhost:3000/reset-password#uid=([\w-]+)&token=([\w-]+)")


def parts_of(user):
    """uid and token of a new link for the user."""
    ((uid, token),) = LINK.findall(password_reset_links.link_for(user))
    return {"uid": uid, "token": token}


class AskingForALink(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def ask(self, email="carla@example.com", **headers):
        return self.api.post(ASK, {"email": email}, **headers)

    def test_the_mail_is_queued_as_text_and_html_with_a_link_that_works(self):
        response = self.ask()
        self.assertEqual(response.status_code, 202, response.content)
        email = Email.objects.get()
        self.assertEqual((email.to, email.status), (["carla@example.com"], STATUS.queued))
        ((uid, token),) = LINK.findall(email.message)
        self.assertIn(f"#uid={uid}&amp;token={token}", email.html_message)
        body = {"uid": uid, "token": token, "password": NEW, "password_confirm": NEW}
        self.assertEqual(self.api.post(CONFIRM, body).status_code, 200)
        self.assertTrue(User.objects.get().check_password(NEW))

    def test_an_address_that_can_never_be_mailed_is_refused_whether_or_not_there_is_an_account(self):
        for email in UNMAILABLE:
            User.objects.filter(pk=self.customer.pk).update(email=email)
            for address in (email, email.replace("nora", "nobody")):
                self.assertProblem(self.ask(address), 400, "validation_error")
        self.assertEqual(Email.objects.count(), 0)

    def test_it_goes_out_by_the_queue_and_to_the_address_as_it_is_kept(self):
        self.ask("CARLA@Example.com")
        self.assertEqual(mail.send_pending(), 1)
        (sent,) = outbox.outbox
        self.assertEqual((sent.to, sent.subject), (["carla@example.com"], "Set a new password"))
        parts = [part.get_content_type() for part in sent.message().walk()]
        self.assertEqual(parts[1:], TEXT_AND_HTML)

    def test_everyone_gets_the_same_answer_and_only_active_accounts_a_mail(self):
        make_deactivated(email="gone@example.com")
        make_user(email="nopassword@example.com", password=None)
        known = self.ask()
        for email in ("unknown@example.com", "gone@example.com", "nopassword@example.com"):
            with self.subTest(email):
                response = self.ask(email)
                self.assertEqual((response.status_code, response.content), (202, known.content))
        self.assertEqual([email.to for email in mail.waiting()], [["carla@example.com"]])
        self.assertNotIn("unknown@example.com", str(Email.objects.values()))

    def test_known_and_unknown_cost_the_same_queries(self):
        for email in ("carla@example.com", "unknown@example.com"):
            with self.subTest(email), self.assertQueries(2):  # the user; the mail
                self.ask(email)

    def test_the_link_leads_to_the_web_client_whatever_host_was_named(self):
        for headers in (
            {"HTTP_HOST": "evil.example"},
            {"HTTP_X_FORWARDED_HOST": "evil.example"},
            {"HTTP_ORIGIN": "https://evil.example"},
        ):
            with override_settings(ALLOWED_HOSTS=["*"]):
                self.assertEqual(self.ask(**headers).status_code, 202)
        self.assertEqual(Email.objects.count(), 3)
        for email in Email.objects.all():
            self.assertRegex(email.message, LINK)
            self.assertNotIn("evil", email.message + email.html_message)

    def test_the_mail_says_nothing_that_whoever_registered_could_write(self):
        User.objects.update(first_name="Visit http://evil.example", last_name="{% debug %}")
        self.ask()
        email = Email.objects.get()
        self.assertNotIn("evil", email.message + email.html_message + email.subject)

    def test_it_needs_an_address(self):
        for body in ({}, {"email": ""}, {"email": "no address"}, {"email": None}, {"email": ["a@b.example"]}):
            document = self.assertProblem(self.api.post(ASK, body), 400, "validation_error")
            self.assertIn("email", document["errors"])
        self.assertEqual(Email.objects.count(), 0)

    def test_the_mail_is_not_sent_once_its_link_is_dead(self):
        self.ask()
        with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=False):
            self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(outbox.outbox, [])

    def test_a_mail_server_that_is_down_fails_no_request(self):
        with override_settings(
            SEND_MAIL_IN_PROCESS=True,
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_PORT=1,
        ):
            self.assertEqual(self.ask().status_code, 202)
            self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(Email.objects.get().status, STATUS.requeued)


class SettingANewPassword(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.parts = parts_of(self.customer)

    def confirm(self, **changes):
        body = {**self.parts, "password": NEW, "password_confirm": NEW, **changes}
        return self.api.post(CONFIRM, body)

    def assertRefused(self, response, code="reset_link_invalid"):
        document = self.assertProblem(response, 400, code)
        self.assertTrue(User.objects.get(pk=self.customer.pk).check_password(PASSWORD))
        return document

    def test_it_signs_in_with_the_new_one_and_not_with_the_old(self):
        response = self.confirm()
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json().keys(), {"message"})
        for password, status in ((NEW, 200), (PASSWORD, 401)):
            login = self.api.post("/api/auth/login/", {"email": "carla@example.com", "password": password})
            self.assertEqual(login.status_code, status)

    def test_every_session_ends(self):
        before = [services.open_session(user=self.customer) for _ in range(2)]
        self.assertEqual(self.confirm().status_code, 200)
        self.assertEqual(Session.objects.filter(ended_at=None).count(), 0)
        for tokens in before:
            header = f"Bearer {tokens.access}"
            self.assertEqual(self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=header).status_code, 401)
            refreshed = self.api.post("/api/auth/token/refresh/", {"refresh": tokens.refresh})
            self.assertProblem(refreshed, 401, "token_invalid")

    def test_a_link_works_once(self):
        self.assertEqual(self.confirm().status_code, 200)
        again = self.confirm(password="yet another password", password_confirm="yet another password")
        self.assertProblem(again, 400, "reset_link_invalid")
        self.assertTrue(User.objects.get().check_password(NEW))

    def test_a_link_works_for_an_hour(self):
        start = timezone.now()
        with time_machine.travel(start + timedelta(minutes=61), tick=False):
            self.assertRefused(self.confirm())
        with time_machine.travel(start + timedelta(minutes=59), tick=False):
            self.assertEqual(self.confirm().status_code, 200)

    def test_a_newer_password_or_address_ends_a_link(self):
        User.objects.update(email="new@example.com")
        self.assertRefused(self.confirm())
        User.objects.update(email="carla@example.com")
        users.change_password(user=self.customer, old_password=PASSWORD, new_password=NEW)
        self.assertProblem(self.confirm(), 400, "reset_link_invalid")

    def test_an_address_that_is_changed_while_a_link_is_used_ends_it_too(self):
        named = User.objects.get(pk=self.customer.pk)
        User.objects.filter(pk=self.customer.pk).update(email="carla.new@example.com")
        with mock.patch.object(password_reset_links, "user_of", return_value=named):
            response = self.client_class().post(
                CONFIRM, {**parts_of(named), "password": NEW, "password_confirm": NEW}
            )
        self.assertProblem(response, 400, "reset_link_invalid")
        self.assertFalse(User.objects.get(pk=self.customer.pk).check_password(NEW))

    def test_every_bad_link_gets_the_same_answer(self):
        other = parts_of(make_user())
        answers = set()
        for changes in (
            {"token": other["token"]},
            {"uid": other["uid"]},
            {"uid": "OTk5OTk5"},  # nobody
            {"uid": "LTE"},  # -1
            {"uid": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"},  # beyond a bigint
            {"uid": "2aM"},  # the digit 3 in Arabic
            {"uid": "_w"},
            {"uid": "x" * 99},
            {"uid": "é"},
            {"token": "garbage"},
            {"token": "-"},
            {"token": "zzzzzzzzzzzzzz-0"},
            {"token": self.parts["token"][:-1]},
            {"token": self.parts["token"].upper()},
        ):
            with self.subTest(changes):
                response = self.confirm(**changes)
                self.assertRefused(response)
                answers.add(response.content)
        self.assertEqual(len(answers), 1)

    def test_a_deactivated_account_stays_shut(self):
        User.objects.update(is_active=False)
        self.assertRefused(self.confirm())
        self.assertFalse(User.objects.get().is_active)

    def test_a_password_that_breaks_a_rule_is_refused_and_the_link_stays_good(self):
        for password, code in (
            ("short", "password_too_short"),
            ("1q2w3e4r5t6y", "password_too_common"),
            ("carla@example.com", "password_too_similar"),
        ):
            with self.subTest(password):
                document = self.assertRefused(
                    self.confirm(password=password, password_confirm=password), "validation_error"
                )
                self.assertIn(code, [error["code"] for error in document["errors"]["password"]])
        self.assertEqual(self.confirm().status_code, 200)

    def test_the_two_passwords_must_be_the_same(self):
        document = self.assertRefused(self.confirm(password_confirm="another password"), "validation_error")
        self.assertEqual(document["errors"]["password_confirm"][0]["code"], "password_mismatch")

    def test_every_field_is_needed(self):
        document = self.assertRefused(self.api.post(CONFIRM, {}), "validation_error")
        self.assertEqual(document["errors"].keys(), {"uid", "token", "password", "password_confirm"})


def broken_reset(*, user, new_password):
    """The twin that writes whatever has happened since it read."""
    time.sleep(0.005)
    user.set_password(new_password)
    return bool(User.objects.filter(pk=user.pk).update(password=user.password))


@override_settings(RATE_LIMITS_ENABLED=False)
class SettingItTogether(RaceTestCase):
    def winners(self, customer):
        """The passwords that twenty uses of one link at the same instant were told to be set."""
        customer.refresh_from_db()
        parts = parts_of(customer)
        services.open_session(user=customer)

        def use(number):
            password = f"{time.monotonic_ns()} is number {number}"
            body = {**parts, "password": password, "password_confirm": password}
            return password, self.client_class().post(CONFIRM, body)

        answers = self.together(*[lambda number=number: use(number) for number in range(20)])
        for _, response in answers:
            if response.status_code != 200:
                self.assertProblem(response, 400, ResetLinkInvalid.code)
        return [password for password, response in answers if response.status_code == 200]

    def test_of_twenty_uses_of_one_link_one_changes_the_password(self):
        customer = make_customer()
        for _ in range(self.rounds):
            (winner,) = self.winners(customer)
            self.assertTrue(User.objects.get().check_password(winner))
            self.assertEqual(Session.objects.filter(ended_at=None).count(), 0)

    def test_control_the_oracle_catches_a_reset_that_reads_and_then_writes(self):
        customer = make_customer()
        with mock.patch.object(users, "reset_password", broken_reset):
            self.assertCaught(lambda: self.winners(customer), lambda winners: len(winners) > 1)
