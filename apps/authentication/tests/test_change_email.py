import re
import time
from datetime import timedelta
from unittest import mock, skipUnless

import time_machine
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.authentication import password_reset_links, services, tasks
from apps.authentication.models import Session
from apps.payments.tests.factories import make_completed_transaction
from apps.users import email_changes, email_confirmation, email_links
from apps.users import services as users
from apps.users.models import EmailChange, User, WithheldMail
from apps.users.tests.factories import (
    PASSWORD,
    UNMAILABLE,
    make_customer,
    make_other_customer,
    make_staff,
    make_unconfirmed,
)
from tests.support.cases import ApiTestCase, RaceTestCase

CHANGE = "/api/users/change-email/"
CONFIRM = "/api/auth/change-email-confirm/"
CANCEL = "/api/auth/change-email-cancel/"
LOGIN = "/api/auth/login/"
NEW = "carla.new@example.com"
LINKS = {
    page: re.compile(rf"http://localhost:3000/{page}#token=([\w:.-]+)")
    for page in ("change-email", "cancel-email-change")
}


def token_in(email, page="change-email"):
    (token,) = LINKS[page].findall(email.message)
    assert f"#token={token}" in email.html_message
    return token


class ChangingOnesAddress(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def ask(self, new_email=NEW, password=PASSWORD, api=None):
        return (api or self.api).post(CHANGE, {"new_email": new_email, "password": password})

    def token(self, new_email=NEW):
        """Ask for the address; the token of the link that was mailed there."""
        response = self.ask(new_email)
        self.assertEqual(response.status_code, 202, response.content)
        return token_in(Email.objects.filter(to=new_email).latest("id"))

    def follow(self, token, url=CONFIRM, api=None):
        return (api or self.client_class()).post(url, {"token": token})

    def assertUnchanged(self):
        self.customer.refresh_from_db()
        self.assertEqual(self.customer.email, "carla@example.com")

    def test_it_counts_once_the_link_at_the_new_address_is_followed_and_both_are_told(self):
        response = self.ask("Carla.New@Example.com")
        self.assertEqual(response.status_code, 202, response.content)
        self.assertUnchanged()
        to_new, to_old = Email.objects.order_by("id")
        self.assertEqual((to_new.to, to_new.subject), ([NEW], "Confirm your new e-mail address"))
        self.assertEqual(
            (to_old.to, to_old.subject), (["carla@example.com"], "A new e-mail address for your account?")
        )
        self.assertNotIn(NEW, to_old.message + to_old.html_message)  # it may be somebody else's
        self.assertNotIn("Carla", to_new.message + to_new.html_message)
        waiting = self.api.get(CHANGE).json()
        self.assertEqual(waiting["new_email"], NEW)
        last = Email.objects.latest("id").pk
        response = self.follow(token_in(to_new))
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json().keys(), {"message"})
        self.assertEqual(User.objects.get().email, NEW)
        notices = Email.objects.filter(pk__gt=last).order_by("id")
        self.assertEqual(
            [(notice.to, notice.subject) for notice in notices],
            [
                (["carla@example.com"], "Your account has another e-mail address"),
                ([NEW], "The e-mail address of your account has changed"),
            ],
        )
        for email, status in (("carla@example.com", 401), (NEW, 200)):
            answer = self.client_class().post(LOGIN, {"email": email, "password": PASSWORD})
            self.assertEqual(answer.status_code, status)

    def test_the_link_works_once_and_no_other_opens_it(self):
        token = self.token()
        note = token_in(Email.objects.get(to="carla@example.com"), "cancel-email-change")
        for wrong in (note, token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "9" * 200):
            self.assertProblem(self.follow(wrong), 400, "email_change_link_invalid")
        self.assertProblem(self.follow(token, CANCEL), 400, "email_change_link_invalid")
        self.assertUnchanged()
        self.assertEqual(self.follow(token).status_code, 200)
        User.objects.update(email="third@example.com")
        self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
        self.assertEqual(User.objects.get().email, "third@example.com")

    def test_every_session_ends_but_that_of_the_browser_that_follows_the_link(self):
        other = self.signed_in(self.customer)
        response = self.follow(self.token(), api=self.api)
        self.assertEqual(response.status_code, 200, response.content)
        for api in (self.api, other):
            self.assertProblem(api.get("/api/users/profile/"), 401, "token_invalid")
        fresh = self.client_class(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
        self.assertEqual(fresh.get("/api/users/profile/").json()["email"], NEW)
        self.assertEqual(Session.objects.filter(ended_at=None).count(), 1)

    def test_a_browser_that_is_signed_in_by_cookie_stays_so(self):
        browser = self.client_class(enforce_csrf_checks=True)
        browser.post(LOGIN, {"email": "carla@example.com", "password": PASSWORD, "use_cookies": True})
        token = self.token()
        self.assertProblem(self.follow(token, api=browser), 403, "csrf_failed")
        self.assertUnchanged()
        headers = {"X-CSRFToken": browser.cookies[settings.CSRF_COOKIE_NAME].value}
        response = browser.post(CONFIRM, {"token": token}, headers=headers)
        self.assertEqual((response.status_code, response.json().keys()), (200, {"message"}))
        self.assertEqual(browser.get("/api/users/profile/").json()["email"], NEW)

    def test_whoever_is_signed_in_to_another_account_stays_there(self):
        other = self.signed_in(make_other_customer())
        response = self.follow(self.token(), api=other)
        self.assertEqual(response.json().keys(), {"message"})
        self.assertEqual(other.get("/api/users/profile/").json()["email"], "otto@example.com")

    def test_it_needs_the_password(self):
        for password in ("wrong", ""):
            document = self.assertProblem(self.ask(password=password), 400, "validation_error")
            self.assertIn("password", document["errors"])
        self.assertEqual((EmailChange.objects.count(), Email.objects.count()), (0, 0))

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_LOGIN_PER_ACCOUNT=(2, 900))
    def test_the_password_is_not_guessed_without_limit(self):
        for _ in range(2):
            self.assertProblem(self.ask(password="wrong"), 400, "validation_error")
        self.assertProblem(self.ask(), 429, "rate_limited")
        self.assertEqual(Email.objects.count(), 0)

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_PASSWORD_RESET_PER_ACCOUNT=(2, 3600))
    def test_an_address_and_an_account_cause_so_many_mails(self):
        for _ in range(2):
            self.assertEqual(self.ask().status_code, 202)
        self.assertProblem(self.ask("third@example.com"), 429, "rate_limited")
        otto = self.signed_in(make_other_customer())
        self.assertProblem(self.ask(NEW.upper(), api=otto), 429, "rate_limited")
        self.assertEqual(Email.objects.count(), 4)

    def test_it_refuses_what_is_no_address_and_the_one_that_there_is(self):
        for email in (*UNMAILABLE, "", None, "x", 7, "a@closed.invalid", "\u0130" * 70 + "@example.com"):
            with self.subTest(email):
                document = self.assertProblem(self.ask(email), 400, "validation_error")
                self.assertIn("new_email", document["errors"])
        document = self.assertProblem(self.ask(" Carla@EXAMPLE.com "), 400, "validation_error")
        self.assertEqual(document["errors"]["new_email"][0]["code"], "unchanged")
        self.assertEqual((EmailChange.objects.count(), Email.objects.count()), (0, 0))

    def test_nobody_learns_whether_somebody_has_the_address_but_who_has_it(self):
        make_other_customer()
        free = self.ask("free@example.com")
        for email in ("free@example.com", "Otto@Example.com"):
            # Who asks; the lock of their row; the change in place of another; whether it is taken; two mails.
            with self.assertQueries(7):
                taken = self.ask(email)
        self.assertEqual((taken.status_code, taken.content), (free.status_code, free.content))
        self.assertEqual(self.api.get(CHANGE).json()["new_email"], "otto@example.com")
        email = Email.objects.get(to="otto@example.com")
        self.assertEqual(email.subject, "There is an account with this address")
        self.assertEqual(LINKS["change-email"].findall(email.message + email.html_message), [])

    def test_of_several_the_last_counts(self):
        first, second = self.token("first@example.com"), self.token("second@example.com")
        self.assertProblem(self.follow(first), 400, "email_change_link_invalid")
        self.assertEqual(self.follow(second).status_code, 200)
        self.assertEqual(User.objects.get().email, "second@example.com")

    def test_it_is_over_after_a_day(self):
        token = self.token()
        with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1), tick=False):
            self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
            self.assertEqual(email_changes.open_change_of(self.customer), None)
            self.assertEqual(tasks.remove_expired_email_changes.delay().get(), 1)
        self.assertUnchanged()
        self.assertEqual(EmailChange.objects.count(), 0)

    def test_the_old_address_stops_it_without_signing_in(self):
        token = self.token()
        note = token_in(Email.objects.get(to="carla@example.com"), "cancel-email-change")
        self.assertEqual(self.follow(note, CANCEL).status_code, 200)
        self.assertProblem(self.follow(note, CANCEL), 400, "email_change_link_invalid")
        self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
        self.assertUnchanged()

    def test_the_note_of_an_earlier_request_stops_the_one_that_replaced_it(self):
        self.ask()
        note = token_in(Email.objects.get(to="carla@example.com"), "cancel-email-change")
        self.ask("second@example.com")
        second = token_in(Email.objects.get(to="second@example.com"))
        self.assertEqual(self.follow(note, CANCEL).status_code, 200)
        self.assertProblem(self.follow(second), 400, "email_change_link_invalid")
        self.assertUnchanged()

    def test_the_note_stops_no_change_from_the_next_address(self):
        token = self.token()
        note = token_in(Email.objects.get(to="carla@example.com"), "cancel-email-change")
        self.follow(token)
        email_changes.request_email_change(user=User.objects.get(), new_email="third@example.com")
        self.assertProblem(self.follow(note, CANCEL), 400, "email_change_link_invalid")
        self.assertEqual(EmailChange.objects.count(), 1)

    def test_the_owner_stops_it(self):
        token = self.token()
        other = self.signed_in(make_other_customer())
        self.assertEqual(other.delete(CHANGE).status_code, 204)
        self.assertEqual(self.api.get(CHANGE).json()["new_email"], NEW)
        for _ in range(2):
            self.assertEqual(self.api.delete(CHANGE).status_code, 204)
        self.assertEqual(self.api.get(CHANGE).json(), {"new_email": None, "expires_at": None})
        self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
        self.assertUnchanged()

    def test_a_new_password_or_the_end_of_the_account_or_of_all_sessions_stops_it(self):
        def change_password():
            users.change_password(
                user=User.objects.get(), old_password=PASSWORD, new_password="an entirely new one"
            )

        def set_by_other_means():
            user = User.objects.get()
            user.set_password("an entirely new one")
            User.objects.update(password=user.password)

        for stop in (
            change_password,
            lambda: users.reset_password(user=User.objects.get(), new_password="an entirely new one"),
            set_by_other_means,
            lambda: services.revoke_all_sessions(user=User.objects.get()),
            lambda: User.objects.update(is_active=False),
            lambda: users.close_account(user=User.objects.get(), password=PASSWORD),
        ):
            with self.subTest(stop):
                User.objects.update(is_active=True)
                user = User.objects.get()
                user.set_password(PASSWORD)
                user.save()
                email_changes.request_email_change(user=user, new_email=NEW)
                token = token_in(Email.objects.filter(to=NEW).latest("id"))
                before = User.objects.values().get()
                stop()
                self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
                self.assertNotEqual(User.objects.get().email, NEW)
                self.assertNotEqual(before["email"], NEW)
        self.assertEqual(EmailChange.objects.count(), 0)

    def test_mail_that_was_sent_to_the_old_address_goes_and_what_waits_there_is_still_sent(self):
        password_reset_links.send(self.customer)
        Email.objects.update(status=STATUS.sent)
        reset = password_reset_links.link_for(self.customer)
        token = self.token()
        self.assertEqual(self.follow(token).status_code, 200)
        left = Email.objects.filter(to="carla@example.com").values_list("subject", "status")
        self.assertEqual([status for _, status in left], [STATUS.queued] * 2)
        uid, token = (pair.partition("=")[2] for pair in reset.partition("#")[2].split("&"))
        self.assertIsNone(password_reset_links.user_of(uid, token))

    def test_whoever_registers_with_the_old_address_neither_sees_nor_deletes_what_waits_there(self):
        self.follow(self.token())
        waiting = Email.objects.filter(to="carla@example.com")
        subjects = sorted(waiting.values_list("subject", flat=True))
        self.assertEqual(len(subjects), 2)
        other = users.create_account(
            email="carla@example.com", password=PASSWORD, first_name="", last_name=""
        )
        email_confirmation.send_link(other)
        api = self.signed_in(other)
        mails = api.get("/api/users/export/").json()["mails"]
        self.assertEqual([each["subject"] for each in mails], ["Confirm your e-mail address"])
        users.close_account(user=other, password=PASSWORD)
        self.assertEqual(sorted(waiting.values_list("subject", flat=True)), subjects)

    def test_staff_change_theirs_in_the_admin(self):
        stella = self.signed_in(make_staff())
        self.assertProblem(self.ask(api=stella), 409, "staff_address")
        token = self.token()
        User.objects.filter(pk=self.customer.pk).update(is_staff=True)
        self.assertProblem(self.follow(token), 400, "email_change_link_invalid")
        self.assertUnchanged()

    def test_who_mistyped_the_first_address_gets_there_what_was_withheld(self):
        nora = make_unconfirmed()
        make_completed_transaction(user=nora)
        api = self.signed_in(nora)
        self.assertEqual(self.ask("nora.right@example.com", api=api).status_code, 202)
        Email.objects.exclude(to="nora.right@example.com").delete()
        token = token_in(Email.objects.get())
        self.assertEqual(self.follow(token).status_code, 200)
        nora.refresh_from_db()
        self.assertTrue(nora.email_confirmed)
        self.assertEqual(WithheldMail.objects.count(), 0)
        receipt = Email.objects.get(subject__startswith="Your vouchers:")
        self.assertEqual(receipt.to, ["nora.right@example.com"])

    def test_it_is_part_of_what_is_held_about_a_person(self):
        self.token()
        (change,) = self.api.get("/api/users/export/").json()["email_changes"]
        self.assertEqual(change["new_email"], NEW)


class ConfirmingAnAddressThatTwoWant(RaceTestCase):
    def setUp(self):
        super().setUp()
        self.people = [make_customer(), make_other_customer()]
        self.number = 0

    def outcome(self):
        """What two who confirm one address at the same instant are answered, and how many have it then."""
        self.number += 1
        wanted = f"wanted{self.number}@example.com"
        tokens = []
        for person in self.people:
            person.refresh_from_db()
            email_changes.request_email_change(user=person, new_email=wanted)
            change = EmailChange.objects.get(user=person)
            tokens.append(email_links.change_url(change.pk).partition("#token=")[2])
        answers = self.together(
            *[lambda token=token: self.client_class().post(CONFIRM, {"token": token}) for token in tokens]
        )
        for answer in answers:
            if answer.status_code == 409:
                self.assertProblem(answer, 409, "email_taken")
        return sorted(answer.status_code for answer in answers), User.objects.filter(email=wanted).count()

    def test_one_gets_it_and_the_other_is_told(self):
        for _ in range(self.rounds):
            self.assertEqual(self.outcome(), ([200, 409], 1))

    def test_control_the_oracle_catches_a_change_that_only_looks_whether_it_is_taken(self):
        with mock.patch.object(email_changes, "IntegrityError", KeyError), self.assertLogs("django.request"):
            self.assertCaught(self.outcome, lambda outcome: outcome != ([200, 409], 1))

    def confirmed_and_stopped(self, *, later=0.0):
        """What a link at the new address and one at the old one are answered, and whether the address is the new one.

        They are followed at the same instant, or the one that stops so many seconds later.
        """
        self.number += 1
        carla = User.objects.get(pk=self.people[0].pk)
        wanted = f"carla{self.number}@example.com"
        email_changes.request_email_change(user=carla, new_email=wanted)
        change = EmailChange.objects.get(user=carla)

        def stop():
            time.sleep(later)
            return self.follow(CANCEL, email_links.cancellation_url(carla.pk, carla.email))

        answers = self.together(lambda: self.follow(CONFIRM, email_links.change_url(change.pk)), stop)
        return [answer.status_code for answer in answers], User.objects.get(pk=carla.pk).email == wanted

    def follow(self, url, link):
        return self.client_class().post(url, {"token": link.partition("#token=")[2]})

    def test_a_link_that_is_followed_while_it_is_stopped_does_one_of_the_two(self):
        for _ in range(self.rounds):
            codes, changed = self.confirmed_and_stopped()
            self.assertEqual((sorted(codes), changed), ([200, 400], codes[0] == 200))

    @skipUnless(connection.vendor == "postgresql", "SQLite has one writer at a time")
    def test_control_the_oracle_catches_a_confirmation_that_does_not_look_again(self):
        def looked_before(change_id):
            change = EmailChange.objects.filter(pk=change_id).first()
            time.sleep(0.3)
            return change

        with mock.patch.object(email_changes, "_locked", looked_before):
            self.assertCaught(
                lambda: self.confirmed_and_stopped(later=0.1), lambda outcome: outcome == ([200, 200], True)
            )
