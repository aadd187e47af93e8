"""The mail queue when several senders, commits and deletions meet."""

import threading
import time
from datetime import timedelta
from unittest import mock

from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone
from post_office.models import Email, Log

from apps.core import mail
from apps.core.mail import delivery
from apps.users.tests.factories import PASSWORD, make_user
from tests.support.cases import CommittingTestCase, RaceTestCase

from .test_mail import Broken, backend, queue


class Slow(EmailBackend):
    sent: list[str] = []

    def send_messages(self, messages):
        time.sleep(0.01)
        self.sent.extend(message.to[0] for message in messages)
        return len(messages)


class SendingTogether(RaceTestCase):
    def sent(self):
        """How often each of ten mails is sent by six senders at the same instant."""
        Email.objects.all().delete()
        for number in range(10):
            queue(to=f"person{number}@example.com")
        Slow.sent = []
        with backend(Slow):
            self.together(*[mail.send_pending] * 6)
        return [Slow.sent.count(f"person{number}@example.com") for number in range(10)]

    def test_each_mail_is_sent_once(self):
        for _ in range(self.rounds):
            self.assertEqual(self.sent(), [1] * 10)

    def test_control_the_oracle_catches_a_sender_that_reserves_nothing(self):
        with mock.patch.object(delivery, "_reserve", lambda email: True):
            self.assertGreater(max(self.sent()), 1)


class FailingWhileItIsDeleted(CommittingTestCase):
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
                delivery._send(Email.objects.get())
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
            self.assertFalse(delivery._send(Email.objects.get()))
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
        real = delivery.send_pending

        def send():
            count = real()
            done.set()
            return count

        with (
            override_settings(SEND_MAIL_IN_PROCESS=True),
            backend(Slow),
            mock.patch.object(delivery, "send_pending", send),
        ):
            with transaction.atomic():
                queue()
                self.assertFalse(done.wait(0.05))
            self.assertTrue(done.wait(self.patience))
        self.assertEqual(Slow.sent, ["carla@example.com"])

    def test_a_process_that_ends_waits_for_its_sender(self):
        sent = []

        def send():
            time.sleep(0.05)
            sent.append(1)

        sender = delivery._Sender()
        with mock.patch.object(delivery, "send_pending", send), mock.patch("atexit.register"):
            for _ in range(self.rounds):
                sent.clear()
                sender.wake()
                sender.finish()
                self.assertEqual(sent, [1])
