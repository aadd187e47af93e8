"""The mail queue: what is written, what is sent, how often, and what remains."""

from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from unittest import mock

import time_machine
from django.core import mail as outbox
from django.core.mail.backends.locmem import EmailBackend
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.core.management import call_command, get_commands
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from post_office.mail import get_queued
from post_office.models import STATUS, Attachment, Email, Log

from apps.core import mail, tasks
from apps.core.mail import delivery, parts
from apps.users.tests.factories import make_staff, make_user
from tests.support.cases import ApiTestCase

LIST = "/admin/post_office/email/"
TEMPLATE = "authentication/second_factor_changed"  # its subject is what it says


def queue(to="carla@example.com", subject="News", link="https://x.example/#secret-token", **options):
    context = {"change": subject, "moment": "today", "link": link}
    mail.enqueue(to=to, template=TEMPLATE, language=None, context=context, **options)


class Broken(EmailBackend):
    def send_messages(self, messages):
        raise ConnectionRefusedError("nobody listens")


class Dying(EmailBackend):
    def send_messages(self, messages):
        super().send_messages(messages)
        raise SystemExit  # nothing of ours catches it


class Smtp(SmtpBackend):
    """Writes header and envelope as for a mail server, which nobody is."""

    sent: list[tuple[str, list[str]]] = []

    def open(self):
        self.connection = self  # type: ignore[assignment]
        return True

    def close(self):
        self.connection = None

    def sendmail(self, sender, recipients, message):
        self.sent.append((sender, recipients))


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
        queue(link="{% now 'Y' %}{{ link }}", subject="{{ x }}")
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
        self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(outbox.outbox, [])

    def test_a_mail_never_goes_to_another_address_than_it_was_for(self):
        Smtp.sent = []
        for to in ("carla@exam\u200bple.com", "carla@stra\u00dfe.example", "=?utf-8?q?otto?=@example.com"):
            with self.assertLogs("apps.core.mail", "WARNING"):
                queue(to=to)
        with backend(Smtp):
            self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(Smtp.sent, [])

    def test_a_sender_that_is_refused_loses_no_mail_and_is_replaced_by_the_one_that_is_set_later(self):
        Smtp.sent = []
        now = timezone.now()
        for sender in ("Voucher App <vouchers@>", "Voucher App, Ltd <vouchers@example.org>"):
            with override_settings(DEFAULT_FROM_EMAIL=sender), backend(Smtp):
                queue()
                mail.send_pending()
        self.assertEqual(Email.objects.filter(status__in=(STATUS.queued, STATUS.requeued)).count(), 2)
        with (
            override_settings(DEFAULT_FROM_EMAIL="Voucher App <vouchers@example.org>"),
            backend(Smtp),
            time_machine.travel(now + timedelta(minutes=6), tick=False),
        ):
            self.assertEqual(mail.send_pending(), 2)
        self.assertEqual(Smtp.sent, [("Voucher App <vouchers@example.org>", ["carla@example.com"])] * 2)

    def test_a_mail_to_nobody_counts_as_sent_and_goes_with_the_next_cleaning(self):
        queue(to="")
        self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(outbox.outbox, [])
        self.assertEqual(tasks.remove_old_mail.delay().get(), 1)

    def test_a_server_that_is_down_is_tried_again_for_a_day(self):
        queue()
        now = timezone.now()
        with backend(Broken):
            self.assertEqual(mail.send_pending(), 0)
            self.assertEqual(mail.send_pending(), 0)  # not before its time
        email = Email.objects.get()
        self.assertEqual((email.status, email.number_of_retries), (STATUS.requeued, 1))
        self.assertEqual(Log.objects.get().exception_type, "ConnectionRefusedError")
        with time_machine.travel(now + timedelta(minutes=6), tick=False):
            self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(len(outbox.outbox), 1)

    def test_after_a_day_it_has_failed(self):
        queue()
        Email.objects.update(number_of_retries=12 * 24)
        with backend(Broken):
            mail.send_pending()
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
            self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(outbox.outbox[0].to, ["second@example.com"])

    def test_a_sender_that_died_loses_nothing(self):
        queue()
        self.assertTrue(delivery._reserve(Email.objects.get()))
        self.assertEqual(mail.send_pending(), 0)
        with time_machine.travel(timezone.now() + mail.RESERVED_FOR + timedelta(seconds=1), tick=False):
            self.assertEqual(mail.send_pending(), 1)

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
        queue(subject="News\r\nBcc: victim@example.com\x0b\u2028 of\tthe  day\n")
        self.assertEqual(Email.objects.get().subject, "News Bcc: victim@example.com of the day")
        self.assertEqual(mail.send_pending(), 1)
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
        self.numbers = []
        self.fails = False
        makers = mock.patch.dict(parts._attachment_makers)
        makers.start()
        self.addCleanup(makers.stop)
        mail.register_attachments("core.test", self.make)

    def make(self, *, number):
        if self.fails:
            raise RuntimeError("no paper for 2345-6789-ABCD-EFGH")
        self.numbers.append(number)
        return [mail.Attachment(f"number-{number}.pdf", b"%PDF-", "application/pdf")]

    def test_it_is_made_when_the_mail_is_sent_and_lies_nowhere_before(self):
        queue(attach=("core.test", {"number": 5}))
        self.assertEqual((self.numbers, Attachment.objects.count()), ([], 0))
        self.assertEqual(mail.send_pending(), 1)
        (sent,) = outbox.outbox
        self.assertEqual(sent.attachments, [("number-5.pdf", b"%PDF-", "application/pdf")])
        kinds = [part.get_content_type() for part in sent.message().walk() if not part.is_multipart()]
        self.assertEqual(kinds, ["text/plain", "text/html", "application/pdf"])
        self.assertEqual((self.numbers, Attachment.objects.count()), ([5], 0))

    def test_one_that_cannot_be_made_holds_up_no_other_and_is_tried_again(self):
        queue(attach=("core.test", {"number": 5}))
        queue(attach=("core.gone", {"number": 6}))
        queue(to="other@example.com")
        self.fails = True
        now = timezone.now()
        self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(outbox.outbox[0].to, ["other@example.com"])
        waiting = Email.objects.exclude(status=STATUS.sent)
        self.assertEqual([email.number_of_retries for email in waiting], [1, 1])
        self.assertEqual(
            [entry.exception_type for entry in Log.objects.order_by("id")], ["RuntimeError", "KeyError"]
        )
        self.assertEqual(Log.objects.earliest("id").message, "no paper for ***EFGH")
        self.fails = False
        with time_machine.travel(now + timedelta(minutes=6), tick=False):
            self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(self.numbers, [5])

    def test_a_sender_that_died_after_sending_sends_it_twice_rather_than_never(self):
        queue(attach=("core.test", {"number": 5}))
        with backend(Dying), self.assertRaises(SystemExit):
            mail.send_pending()
        self.assertEqual(mail.send_pending(), 0)
        with time_machine.travel(timezone.now() + mail.RESERVED_FOR + timedelta(seconds=1), tick=False):
            self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(self.numbers, [5, 5])


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
        body = {"action": "send_again", "_selected_action": [str(self.email.pk)], "confirmed": "yes"}
        return self.client.post(LIST, body, format="multipart")

    def test_staff_have_a_failed_mail_tried_again(self):
        Email.objects.update(status=STATUS.failed, scheduled_time=timezone.now() + timedelta(hours=1))
        self.assertEqual(self.again().status_code, 302)
        self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(self.again().status_code, 302)
        self.assertEqual(mail.send_pending(), 0)

    def test_staff_without_the_right_see_and_do_nothing(self):
        Email.objects.update(status=STATUS.failed)
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.again().status_code, 403)
        self.assertEqual(Email.objects.get(pk=self.email.pk).status, STATUS.failed)
