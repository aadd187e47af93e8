"""The mail queue: what is written, what is sent, how often, and what remains."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from unittest import mock

import time_machine
from django.core import mail as outbox
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command, get_commands
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone
from post_office.mail import get_queued
from post_office.models import STATUS, Attachment, Email, Log

from apps.core import mail, tasks
from apps.users.tests.factories import PASSWORD, make_staff, make_user
from tests.support.cases import ApiTestCase, RaceTestCase

LIST = "/admin/post_office/email/"
TEMPLATE = "authentication/password_reset"


def queue(to="carla@example.com", **options):
    defaults = {
        "subject": "News",
        "template": TEMPLATE,
        "context": {"link": "https://x.example/#secret-token"},
    }
    mail.queue(to=to, **{**defaults, **options})


class Broken(EmailBackend):
    def send_messages(self, messages):
        raise ConnectionRefusedError("nobody listens")


class Dying(EmailBackend):
    def send_messages(self, messages):
        super().send_messages(messages)
        raise SystemExit  # nothing of ours catches it


class Slow(EmailBackend):
    sent: list[str] = []

    def send_messages(self, messages):
        time.sleep(0.01)
        self.sent.extend(message.to[0] for message in messages)
        return len(messages)


@contextmanager
def backend(kind):
    with override_settings(EMAIL_BACKEND=f"{kind.__module__}.{kind.__qualname__}"):
        yield


class TheQueue(ApiTestCase):
    def test_a_mail_is_as_lasting_as_what_it_reports(self):
        with self.assertRaises(RuntimeError), transaction.atomic():
            queue()
            raise RuntimeError
        self.assertEqual(Email.objects.count(), 0)

    def test_what_people_wrote_is_never_run_as_a_template(self):
        queue(context={"link": "{% now 'Y' %}{{ link }}"}, subject="{{ x }}")
        email = Email.objects.get()
        self.assertIn("{% now 'Y' %}{{ link }}", email.message)
        self.assertEqual(email.subject, "{{ x }}")

    def test_it_is_sent_once(self):
        queue()
        self.assertEqual(tasks.send_queued_mail.delay().get(), 1)
        self.assertEqual(tasks.send_queued_mail.delay().get(), 0)
        self.assertEqual(len(outbox.outbox), 1)
        self.assertEqual(Email.objects.get().status, STATUS.sent)

    def test_an_address_that_would_fall_into_two_gets_nothing(self):
        queue(to='"a,victim@example.com,b"@example.org')
        self.assertEqual(mail.send_waiting(), 0)
        self.assertEqual(outbox.outbox, [])

    def test_a_mail_to_nobody_counts_as_sent_and_goes_with_the_next_cleaning(self):
        queue(to="")
        self.assertEqual(mail.send_waiting(), 0)
        self.assertEqual(outbox.outbox, [])
        self.assertEqual(tasks.remove_old_mail.delay().get(), 1)

    def test_a_server_that_is_down_is_tried_again_for_a_day(self):
        queue()
        now = timezone.now()
        with backend(Broken):
            self.assertEqual(mail.send_waiting(), 0)
            self.assertEqual(mail.send_waiting(), 0)  # not before its time
        email = Email.objects.get()
        self.assertEqual((email.status, email.number_of_retries), (STATUS.requeued, 1))
        self.assertEqual(Log.objects.get().exception_type, "ConnectionRefusedError")
        with time_machine.travel(now + timedelta(minutes=6), tick=False):
            self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(len(outbox.outbox), 1)

    def test_after_a_day_it_has_failed(self):
        queue()
        Email.objects.update(number_of_retries=12 * 24)
        with backend(Broken):
            mail.send_waiting()
        self.assertEqual(Email.objects.get().status, STATUS.failed)

    def test_a_mail_that_fails_holds_up_no_other(self):
        queue(to="first@example.com")
        queue(to="second@example.com")
        real = EmailBackend.send_messages

        def send(self, messages):
            if messages[0].to == ["first@example.com"]:
                raise OSError("mailbox full")
            return real(self, messages)

        with mock.patch.object(EmailBackend, "send_messages", send):
            self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(outbox.outbox[0].to, ["second@example.com"])

    def test_a_sender_that_died_loses_nothing(self):
        queue()
        self.assertTrue(mail._reserve(Email.objects.get()))
        self.assertEqual(mail.send_waiting(), 0)
        with time_machine.travel(timezone.now() + mail.LEASE + timedelta(seconds=1), tick=False):
            self.assertEqual(mail.send_waiting(), 1)

    def test_post_office_finds_it_and_its_command_is_ours(self):
        queue()
        self.assertEqual(list(get_queued()), list(Email.objects.all()))
        self.assertEqual(get_commands()["send_queued_mail"], "apps.core")

    def test_what_was_dealt_with_goes_after_a_week_and_what_waits_stays(self):
        for to in ("sent@example.com", "new@example.com", "failed@example.com", "waits@example.com"):
            queue(to=to)
        queue(to="late@example.com", expires_at=timezone.now() - timedelta(minutes=1))
        old = timezone.now() - timedelta(days=8)
        Email.objects.filter(to="sent@example.com").update(status=STATUS.sent, last_updated=old)
        Email.objects.filter(to="failed@example.com").update(status=STATUS.failed, last_updated=old)
        Email.objects.filter(to="new@example.com").update(status=STATUS.sent)
        Email.objects.filter(to="waits@example.com").update(last_updated=old)
        self.assertEqual(tasks.remove_old_mail.delay().get(), 3)
        self.assertEqual(tasks.remove_old_mail.delay().get(), 0)
        left = Email.objects.order_by("id").values_list("to", flat=True)
        self.assertEqual([to[0] for to in left], ["new@example.com", "waits@example.com"])

    def test_a_subject_is_one_line_whatever_stands_in_it(self):
        queue(subject="News\r\nBcc: victim@example.com\x00\u2028 of\tthe  day\n")
        self.assertEqual(Email.objects.get().subject, "News Bcc: victim@example.com of the day")
        self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(outbox.outbox[0].recipients(), ["carla@example.com"])

    def test_the_command_sends_it_and_tells_what_waits(self):
        queue()
        queue(to="second@example.com")
        Email.objects.filter(to="second@example.com").update(
            scheduled_time=timezone.now() + timedelta(hours=1)
        )
        out = StringIO()
        call_command("send_queued_mail", stdout=out)
        self.assertEqual(out.getvalue(), "Sent: 1. Waiting: 1.\n")


class Attachments(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.made = []
        self.fails = False
        makers = mock.patch.dict(mail._makers)
        makers.start()
        self.addCleanup(makers.stop)
        mail.register_attachment("core.test", self.make)

    def make(self, *, number):
        if self.fails:
            raise RuntimeError("no paper for 2345-6789-ABCD-EFGH")
        self.made.append(number)
        return mail.Attachment(f"number-{number}.pdf", b"%PDF-", "application/pdf")

    def test_it_is_made_when_the_mail_is_sent_and_lies_nowhere_before(self):
        queue(attach=("core.test", {"number": 5}))
        self.assertEqual((self.made, Attachment.objects.count()), ([], 0))
        self.assertEqual(mail.send_waiting(), 1)
        (sent,) = outbox.outbox
        self.assertEqual(sent.attachments, [("number-5.pdf", b"%PDF-", "application/pdf")])
        parts = [part.get_content_type() for part in sent.message().walk() if not part.is_multipart()]
        self.assertEqual(parts, ["text/plain", "text/html", "application/pdf"])
        self.assertEqual((self.made, Attachment.objects.count()), ([5], 0))

    def test_one_that_cannot_be_made_holds_up_no_other_and_is_tried_again(self):
        queue(attach=("core.test", {"number": 5}))
        queue(attach=("core.gone", {"number": 6}))
        queue(to="other@example.com")
        self.fails = True
        now = timezone.now()
        self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(outbox.outbox[0].to, ["other@example.com"])
        waiting = Email.objects.exclude(status=STATUS.sent)
        self.assertEqual([email.number_of_retries for email in waiting], [1, 1])
        self.assertEqual(
            [entry.exception_type for entry in Log.objects.order_by("id")], ["RuntimeError", "KeyError"]
        )
        self.assertEqual(Log.objects.earliest("id").message, "no paper for ***EFGH")
        self.fails = False
        with time_machine.travel(now + timedelta(minutes=6), tick=False):
            self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(self.made, [5])

    def test_a_sender_that_died_after_sending_sends_it_twice_rather_than_never(self):
        queue(attach=("core.test", {"number": 5}))
        with backend(Dying), self.assertRaises(SystemExit):
            mail.send_waiting()
        self.assertEqual(mail.send_waiting(), 0)
        with time_machine.travel(timezone.now() + mail.LEASE + timedelta(seconds=1), tick=False):
            self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(mail.send_waiting(), 0)
        self.assertEqual(self.made, [5, 5])


class SendingTogether(RaceTestCase):
    def sent(self):
        """How often each of ten mails is sent by six senders at the same instant."""
        Email.objects.all().delete()
        for number in range(10):
            queue(to=f"person{number}@example.com")
        Slow.sent = []
        with backend(Slow):
            self.together(*[mail.send_waiting] * 6)
        return [Slow.sent.count(f"person{number}@example.com") for number in range(10)]

    def test_each_mail_is_sent_once(self):
        for _ in range(self.rounds):
            self.assertEqual(self.sent(), [1] * 10)

    def test_control_the_oracle_catches_a_sender_that_reserves_nothing(self):
        with mock.patch.object(mail, "_reserve", lambda email: True):
            self.assertGreater(max(self.sent()), 1)


class FailingWhileItIsDeleted(RaceTestCase):
    def close(self, client):
        """Close the account; as its mails are about to be deleted, and their logs are gone, one fails to be sent."""
        sender = threading.Thread(target=self.fail_to_send)

        def interrupt(execute, sql, params, many, context):
            if sql.startswith('DELETE FROM "post_office_email"') and sender.ident is None:
                sender.start()
                sender.join(0.3)  # it has written by then, or waits for this transaction
            return execute(sql, params, many, context)

        with connection.execute_wrapper(interrupt):
            response = client.delete("/api/users/profile/", {"password": PASSWORD})
        self.assertIsNotNone(sender.ident, "nothing was deleted")
        sender.join(self.patience)
        return response

    def fail_to_send(self):
        try:
            with backend(Broken):
                mail._send(Email.objects.get())
        except Exception as error:  # noqa: BLE001 - raised again below, in the test's own thread
            self.failures.append(error)
        finally:
            connection.close()

    def test_an_account_is_closed_at_the_instant_at_which_a_mail_to_it_fails(self):
        self.failures: list[Exception] = []
        client = self.signed_in(make_user(email="carla@example.com"))
        queue()
        response = self.close(client)
        self.assertEqual((response.status_code, self.failures), (204, []), response.content)
        self.assertEqual((Email.objects.count(), Log.objects.count()), (0, 0))

    def test_old_mail_is_removed_while_a_sender_writes_its_log(self):
        queue(expires_at=timezone.now() + timedelta(minutes=1))
        update_or_create = Log.objects.update_or_create
        cleaner = threading.Thread(target=self.remove_old)

        def interrupted(**values):
            cleaner.start()
            cleaner.join(0.3)  # it has deleted the mail by then, or waits for this sender
            return update_or_create(**values)

        with backend(Broken), mock.patch.object(Log.objects, "update_or_create", interrupted):
            self.assertFalse(mail._send(Email.objects.get()))
        cleaner.join(self.patience)
        self.assertEqual((Email.objects.count(), Log.objects.count()), (0, 0))

    def remove_old(self):
        try:
            mail.remove_old(timezone.now() + timedelta(days=1))
        finally:
            connection.close()


class SendingInTheProcess(RaceTestCase):
    def test_a_commit_wakes_a_thread_that_sends_and_delays_nobody(self):
        Slow.sent = []
        done = threading.Event()
        real = mail.send_waiting

        def send():
            count = real()
            done.set()
            return count

        with (
            override_settings(SEND_MAIL_IN_PROCESS=True),
            backend(Slow),
            mock.patch.object(mail, "send_waiting", send),
        ):
            with transaction.atomic():
                queue()
                self.assertFalse(done.wait(0.05))
            self.assertTrue(done.wait(10))
        self.assertEqual(Slow.sent, ["carla@example.com"])

    def test_a_process_that_ends_waits_for_its_sender(self):
        sent = []

        def send():
            time.sleep(0.05)
            sent.append(1)

        sender = mail._Sender()
        with mock.patch.object(mail, "send_waiting", send), mock.patch("atexit.register"):
            for _ in range(self.rounds):
                sent.clear()
                sender.wake()
                sender.finish()
                self.assertEqual(sent, [1])


class MailInTheAdmin(ApiTestCase):
    def setUp(self):
        super().setUp()
        queue()
        queue(to="")
        self.email = Email.objects.exclude(to="").get()
        self.client.force_login(make_staff())

    def test_staff_see_that_it_went_out_and_never_what_it_says(self):
        for url in (LIST, f"{LIST}?q=carla", f"{LIST}{self.email.pk}/change/"):
            response = self.client.get(url)
            self.assertContains(response, "carla@example.com")
            self.assertNotContains(response, "secret-token")
        for url in (f"{LIST}{self.email.pk}/preview/", f"{LIST}{self.email.pk}/resend/"):
            self.assertNotContains(self.client.get(url, follow=True), "secret-token")
        self.assertEqual(outbox.outbox, [])

    def test_nobody_changes_adds_or_deletes_it(self):
        self.assertEqual(self.client.get(f"{LIST}add/").status_code, 403)
        self.assertEqual(self.client.get(f"{LIST}{self.email.pk}/delete/").status_code, 403)
        self.assertEqual(self.client.post(f"{LIST}{self.email.pk}/change/", {}).status_code, 403)
        for model in ("log", "emailtemplate", "attachment"):
            self.assertEqual(self.client.get(f"/admin/post_office/{model}/").status_code, 404)

    def again(self):
        body = {"action": "send_again", "_selected_action": [str(self.email.pk)]}
        return self.client.post(LIST, body, format="multipart")

    def test_staff_have_a_failed_mail_tried_again(self):
        Email.objects.update(status=STATUS.failed, scheduled_time=timezone.now() + timedelta(hours=1))
        self.assertEqual(self.again().status_code, 302)
        self.assertEqual(mail.send_waiting(), 1)
        self.assertEqual(self.again().status_code, 302)
        self.assertEqual(mail.send_waiting(), 0)

    def test_staff_without_the_right_see_and_do_nothing(self):
        Email.objects.update(status=STATUS.failed)
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.again().status_code, 403)
        self.assertEqual(Email.objects.get(pk=self.email.pk).status, STATUS.failed)
