"""Reminders before vouchers expire: to whom, when, how often, and what they say."""

import re
import time
from collections import Counter
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import time_machine
from django.core import mail as outbox
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone
from post_office.models import Email

from apps.core import mail
from apps.users import services as users
from apps.users.models import UserProfile
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_user
from apps.vouchers import services, tasks
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import expiry_reminders
from apps.vouchers.states import Hold, VoucherEventKind
from apps.vouchers.tests.factories import held, make_type, make_voucher
from tests.support.cases import ApiTestCase, RaceTestCase

LINK = re.compile(r"http://localhost:3000/unsubscribe#token=(\S+)")


def expiring(owner, days, **changes):
    """A voucher of a year ago that expires at the end of the local day in so many days."""
    changes = {"purchase_date": timezone.now() - timedelta(days=365), **changes}
    return make_voucher(owner=owner, expiry_date=services.expiry_of(timezone.now(), days), **changes)


def remind():
    return services.send_expiry_reminders(now=timezone.now())


def offsets_of(voucher):
    events = VoucherEvent.objects.filter(voucher=voucher, kind=VoucherEventKind.REMINDED)
    return list(events.order_by("id").values_list("offset_days", flat=True))


class RemindingTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def assertNobodyReminded(self):
        self.assertEqual(remind(), 0)
        self.assertEqual(Email.objects.count(), 0)
        self.assertEqual(VoucherEvent.objects.filter(kind=VoucherEventKind.REMINDED).count(), 0)


class WhatAReminderSays(RemindingTestCase):
    def test_it_lists_the_vouchers_of_one_owner_the_soonest_first_and_tells_no_code(self):
        later = expiring(
            self.customer, 25, voucher_type=make_type(name="School", max_uses=3), uses_remaining=2
        )
        sooner = expiring(self.customer, 6, voucher_type=make_type(name="Exam <b>{% now 'Y' %}</b>"))
        self.assertEqual(remind(), 1)
        email = Email.objects.get()
        self.assertEqual((email.to, email.subject), ([self.customer.email], "2 of your vouchers expire soon"))
        for text in (email.message, email.html_message):
            self.assertLess(text.index(str(sooner)), text.index(str(later)))
            self.assertIn("2 of 3 uses left", text)
            self.assertIn(timezone.localtime(sooner.expiry_date).strftime("%A, "), text)
            for voucher in (sooner, later):
                self.assertNotIn(voucher.code, text)
                self.assertNotIn(voucher.shown_code, text)
            self.assertIn("http://localhost:3000", text)
        self.assertIn("Exam <b>{% now 'Y' %}</b>", email.message)
        self.assertIn("Exam &lt;b&gt;{% now", email.html_message)
        self.assertEqual((offsets_of(sooner), offsets_of(later)), ([7], [30]))
        self.assertEqual(email.expires_at, later.expiry_date)

    def test_for_one_voucher_the_subject_says_when(self):
        with override_settings(TIME_ZONE="UTC"), time_machine.travel("2026-03-13T10:00:00Z", tick=False):
            expiring(self.customer, 7)
            remind()
        self.assertEqual(Email.objects.get().subject, "Your voucher expires on 20 March 2026")

    def test_of_very_many_it_names_the_first_and_counts_the_rest(self):
        with (
            mock.patch.object(expiry_reminders, "LISTED", 3),
            mock.patch.object(expiry_reminders, "EVENTS_AT_ONCE", 2),
        ):
            vouchers = [expiring(self.customer, days) for days in (9, 8, 7, 6, 5)]
            self.assertEqual(remind(), 1)
            self.assertEqual(remind(), 0)
        email = Email.objects.get()
        self.assertEqual(email.subject, "5 of your vouchers expire soon")
        self.assertEqual(email.expires_at, vouchers[0].expiry_date)
        for text in (email.message, email.html_message):
            self.assertIn("and 2 more", text)
            self.assertEqual([str(voucher) in text for voucher in vouchers], [False, False, True, True, True])
        self.assertEqual([offsets_of(voucher) for voucher in vouchers], [[30], [30], [7], [7], [7]])

    @override_settings(API_URL="https://api.example.com")
    def test_readers_and_their_mail_programs_can_turn_it_off(self):
        expiring(self.customer, 5)
        remind()
        mail.send_pending()
        sent: Any = outbox.outbox[0]
        lines = sent.message().as_bytes().decode().replace("\n ", "").splitlines()
        (header,) = [line for line in lines if line.startswith("List-Unsubscribe:")]
        self.assertIn("List-Unsubscribe-Post: List-Unsubscribe=One-Click", lines)
        (token,) = LINK.findall(sent.body)
        self.assertEqual(
            header, f"List-Unsubscribe: <https://api.example.com/api/users/unsubscribe/?token={token}>"
        )
        self.assertIn(f"#token={token}", sent.alternatives[0].content)
        self.assertEqual(self.api.post("/api/users/unsubscribe/", {"token": token}).status_code, 204)
        expiring(self.customer, 5)
        self.assertEqual(remind(), 0)

    def test_it_is_not_sent_once_all_that_it_tells_of_has_expired(self):
        expiring(self.customer, 1)
        remind()
        with time_machine.travel(timezone.now() + timedelta(days=3), tick=False):
            self.assertEqual(mail.send_pending(), 0)


class WhoIsReminded(RemindingTestCase):
    def test_each_owner_gets_one_mail_of_their_own(self):
        other = make_other_customer()
        mine, theirs = expiring(self.customer, 5), expiring(other, 5)
        with mock.patch.object(expiry_reminders, "OWNERS_AT_ONCE", 1):
            self.assertEqual(remind(), 2)
        by_owner = {email.to[0]: email.message for email in Email.objects.all()}
        self.assertIn(str(mine), by_owner[self.customer.email])
        self.assertNotIn(str(theirs), by_owner[self.customer.email])
        self.assertIn(str(theirs), by_owner[other.email])

    def test_only_usable_vouchers_count(self):
        expiring(self.customer, 5, uses_remaining=0)
        for hold in Hold:
            expiring(self.customer, 5, **held(hold))
        expiring(self.customer, -1)
        expiring(self.customer, 31)
        make_voucher(owner=self.customer)
        self.assertNobodyReminded()

    def test_owners_who_are_shut_out_or_gone_get_none(self):
        shut_out = make_user(is_active=False)
        expiring(shut_out, 5)
        expiring(self.customer, 5)
        users.close_account(user=self.customer, password=PASSWORD)
        self.assertNobodyReminded()

    def test_who_turned_them_off_gets_none_and_is_not_told_later_of_what_is_past(self):
        voucher = expiring(self.customer, 5)
        UserProfile.objects.update(expiry_reminders=False)
        self.assertNobodyReminded()
        UserProfile.objects.update(expiry_reminders=True)
        self.assertEqual(remind(), 1)
        self.assertEqual(offsets_of(voucher), [7])

    @override_settings(REMINDER_DAYS=[])
    def test_without_numbers_of_days_nobody_gets_any(self):
        expiring(self.customer, 1)
        self.assertNobodyReminded()

    def test_one_that_goes_wrong_holds_up_no_other(self):
        other = make_other_customer()
        expiring(self.customer, 5)
        expiring(other, 5)
        real = mail.enqueue

        def queue(**options):
            if options["to"] == self.customer.email:
                raise LookupError("odd")
            real(**options)

        with mock.patch.object(mail, "enqueue", queue), self.assertLogs("apps.vouchers", "ERROR"):
            self.assertEqual(remind(), 1)
        self.assertEqual(
            VoucherEvent.objects.filter(kind="reminded").count(), 1
        )  # the other's: theirs is undone
        self.assertEqual(remind(), 1)

    def test_when_it_goes_wrong_for_very_many_it_stops(self):
        for _ in range(4):
            expiring(make_user(), 5)
        with (
            mock.patch.object(expiry_reminders, "GIVE_UP", 3),
            mock.patch.object(mail, "enqueue", side_effect=LookupError),
            self.assertLogs("apps.vouchers", "ERROR"),
            self.assertRaises(LookupError),
        ):
            remind()
        self.assertEqual(remind(), 4)


class WhenReminded(RemindingTestCase):
    def test_each_number_of_days_is_told_of_once(self):
        voucher = expiring(self.customer, 40)
        mails_at = {}
        today = timezone.now()
        for day in range(42):
            with time_machine.travel(today + timedelta(days=day), tick=False):
                mails_at[40 - day] = sum(remind() for _ in range(2))
        self.assertEqual([left for left, mails in mails_at.items() if mails], [30, 7, 1])
        self.assertEqual(offsets_of(voucher), [30, 7, 1])

    def test_whoever_was_not_told_for_long_is_told_once(self):
        for days, offset in ((8, 30), (7, 7), (2, 7), (1, 1), (0, 1)):
            voucher = expiring(self.customer, days)
            self.assertEqual((remind(), remind()), (1, 0))
            self.assertEqual(offsets_of(voucher), [offset])

    def test_none_for_a_number_of_days_that_it_had_on_the_day_of_its_issue(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(validity_days=7))
        issued = voucher.purchase_date
        reminded_at = []
        for day in range(9):
            with time_machine.travel(issued + timedelta(days=day), tick=False):
                if remind():
                    reminded_at.append(7 - day)
        self.assertEqual(reminded_at, [1])

    def test_an_extension_brings_no_second_mail_for_the_same_number_of_days(self):
        voucher = expiring(self.customer, 7)
        remind()
        Voucher.objects.update(expiry_date=services.expiry_of(timezone.now(), 30))
        self.assertEqual(remind(), 1)  # for 30 days it was not told
        with time_machine.travel(timezone.now() + timedelta(days=23), tick=False):
            self.assertEqual(remind(), 0)
        self.assertEqual(offsets_of(voucher), [7, 30])

    def test_days_are_counted_where_the_project_is(self):
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "UTC"):
            with self.subTest(zone), override_settings(TIME_ZONE=zone, REMINDER_DAYS=[1]):
                midnight = datetime(
                    2026, 3, 9, 0, 0, tzinfo=ZoneInfo(zone)
                )  # clocks change in New York on the 8th
                with time_machine.travel(midnight - timedelta(days=9), tick=False):
                    voucher = expiring(make_user(), 10)
                with time_machine.travel(midnight - timedelta(seconds=1), tick=False):
                    self.assertEqual(remind(), 0)
                with time_machine.travel(midnight, tick=False):
                    self.assertEqual(remind(), 1)
                self.assertEqual(offsets_of(voucher), [1])

    def test_a_mail_and_its_notes_are_one(self):
        expiring(self.customer, 5)
        with self.assertRaises(RuntimeError), transaction.atomic():
            remind()
            raise RuntimeError
        self.assertEqual(Email.objects.count(), 0)
        with (
            mock.patch.object(VoucherEvent.objects, "bulk_create", side_effect=RuntimeError),
            self.assertLogs("apps.vouchers", "ERROR"),
        ):
            self.assertEqual(remind(), 0)
        self.assertEqual(Email.objects.count(), 0)
        self.assertEqual(remind(), 1)


class RunningIt(RemindingTestCase):
    def test_command_and_job_do_the_same(self):
        expiring(self.customer, 5)
        out = StringIO()
        call_command("send_expiry_reminders", stdout=out)
        self.assertEqual(out.getvalue(), "Mails queued: 1.\n")
        self.assertEqual(tasks.send_expiry_reminders.delay().get(), 0)
        expiring(self.customer, 5)
        self.assertEqual(tasks.send_expiry_reminders.delay().get(), 1)

    def test_a_run_whose_time_is_up_leaves_the_rest_to_the_next(self):
        for _ in range(3):
            expiring(make_user(), 5)
        self.assertEqual(services.send_expiry_reminders(now=timezone.now(), budget=-1), 0)
        self.assertEqual(services.send_expiry_reminders(now=timezone.now(), budget=60), 3)

    def test_an_owner_costs_the_same_queries_whatever_they_own(self):
        for many in (1, 40):
            for _ in range(many):
                expiring(self.customer, 5)
            with self.assertQueries(6):  # owners; profile, owner, what is due; notes, mail
                self.assertEqual(remind(), 1)


class RemindingTogether(RaceTestCase):
    def round(self):
        """How often each of four owners is told by six runs at the same instant, and how many runs failed."""
        Email.objects.all().delete()
        owners = [make_user() for _ in range(4)]
        for owner in owners:
            for _ in range(3):
                expiring(owner, 5)

        def run():
            try:
                return remind()
            except Exception as error:  # noqa: BLE001 - what the oracle counts
                return error

        with mock.patch.object(expiry_reminders, "GIVE_UP", 1):  # what goes wrong for one owner is to be seen
            results = self.together(*[run] * 6)
        mails_to = Counter(email.to[0] for email in Email.objects.all())
        return [mails_to[owner.email] for owner in owners], [
            result for result in results if type(result) is not int
        ]

    def test_each_owner_is_told_once(self):
        for _ in range(self.rounds):
            self.assertEqual(self.round(), ([1] * 4, []))

    def test_control_the_oracle_catches_a_run_that_locks_nothing(self):
        real = expiry_reminders._remember

        def late(due, now):
            time.sleep(0.02)
            real(due, now)

        if connection.vendor == "sqlite":
            self.skipTest("SQLite's transactions run one after the other, whatever they lock")
        with (
            mock.patch.object(expiry_reminders, "_lock", lambda owner_id: True),
            mock.patch.object(expiry_reminders, "_remember", late),
        ):
            self.assertCaught(self.round, lambda outcome: outcome != ([1] * 4, []))
