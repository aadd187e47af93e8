"""What owners are mailed when staff suspend, release, void or extend their vouchers: one mail for each act."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.test import Client
from django.utils import timezone
from post_office.models import Email

from apps.users import services as users
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff
from apps.vouchers import services
from apps.vouchers.services import owner_notices
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type, make_voucher
from tests.support.cases import ApiTestCase

LIST = "/admin/vouchers/voucher/"


class OwnerNoticeTests(ApiTestCase):
    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        self.staff = make_staff()
        self.client.force_login(self.staff)
        self.carla, self.otto = make_customer(), make_other_customer(language="fr")
        kind = make_type(name="Exam results")
        self.hers = [make_voucher(owner=self.carla, voucher_type=kind) for _ in range(3)]
        self.his = make_voucher(owner=self.otto, voucher_type=kind)
        self.all = [*self.hers, self.his]

    def act(self, action, vouchers, **extra):
        """What the page says after staff did this to the vouchers that they chose on the list."""
        body = {
            "action": action,
            "_selected_action": [each.pk for each in vouchers],
            "confirmed": "yes",
            "reason": "Printed twice",
            **extra,
        }
        response = self.client.post(LIST, body, follow=True)
        return [str(message) for message in response.context["messages"]]

    def mails(self):
        """The mails since the last call, by address."""
        mails = {email.to[0]: email for email in Email.objects.order_by("id")}
        self.assertEqual(len(mails), Email.objects.count())  # one each
        Email.objects.all().delete()
        return mails

    def test_each_owner_gets_one_mail_for_an_act_in_their_language(self):
        for action, done, english, french in (
            ("suspend", "Suspended", "3 of your vouchers can't be used for now", "Votre bon est suspendu"),
            ("release", "Released", "3 of your vouchers are released", "Votre bon est rétabli"),
            ("void", "Voided", "3 of your vouchers can't be used any more", "Votre bon est annulé"),
        ):
            with self.subTest(action):
                self.assertEqual(self.act(action, self.all), [f"{done}: 4."])
                mails = self.mails()
                hers, his = mails[self.carla.email], mails[self.otto.email]
                self.assertEqual((hers.subject, his.subject), (english, french))
                for voucher in self.hers:
                    self.assertIn(str(voucher), hers.message)
                    self.assertIn(str(voucher), hers.html_message)
                self.assertNotIn(str(self.his), hers.message)
                self.assertIn("Why: Printed twice", hers.message)
                self.assertIn("Raison\N{NO-BREAK SPACE}: Printed twice", his.message)
                for voucher in self.all:
                    self.assertNotIn(voucher.shown_code, hers.message + his.message)

    def test_what_was_so_already_is_not_told_again(self):
        self.act("suspend", self.hers[:1])
        self.mails()
        self.assertEqual(self.act("suspend", self.hers), ["Suspended: 2.", "Nothing to do: 1."])
        (mail,) = self.mails().values()
        self.assertEqual(mail.subject, "2 of your vouchers can't be used for now")
        self.assertNotIn(str(self.hers[0]), mail.message)
        self.assertEqual(self.act("suspend", self.hers), ["Nothing to do: 3."])
        self.assertEqual(self.mails(), {})

    def test_vouchers_that_are_refused_keep_no_others_from_being_extended(self):
        type(self.his).objects.filter(pk=self.hers[1].pk).update(**held(Hold.VOIDED))
        until = timezone.localdate(self.hers[0].expiry_date) + timedelta(days=10)
        refused, done = self.act("extend", self.all, until=until.isoformat())
        self.assertEqual(done, "Extended: 3.")
        self.assertIn(str(self.hers[1]), refused)
        mails = self.mails()
        self.assertEqual(mails[self.carla.email].subject, "2 of your vouchers are valid for longer")
        self.assertIn(f"Valid until {until:%-d %B %Y}", mails[self.carla.email].message)
        self.assertEqual(mails[self.otto.email].subject, "Votre bon est prolongé")
        for voucher, expected in zip(self.all, (until, None, until, until), strict=True):
            before = timezone.localdate(voucher.expiry_date)
            voucher.refresh_from_db()
            self.assertEqual(timezone.localdate(voucher.expiry_date), expected or before)

    def test_a_voucher_that_is_released_and_held_otherwise_says_so(self):
        (voucher, *_) = self.hers
        type(voucher).objects.filter(pk=voucher.pk).update(**held(Hold.SUSPENDED, Hold.DISPUTED))
        self.act("release", [voucher])
        (mail,) = self.mails().values()
        self.assertEqual(mail.subject, "Your voucher is released")
        self.assertIn("Can't be used at the moment: your bank asks about the payment", mail.message)

    def test_of_very_many_the_first_are_named(self):
        number = owner_notices.LISTED + 2
        many = [make_voucher(owner=self.carla, voucher_type=self.his.voucher_type) for _ in range(number)]
        self.act("suspend", many)
        (mail,) = self.mails().values()
        self.assertEqual(mail.message.count("····-"), owner_notices.LISTED)
        self.assertIn("… and 2 more.", mail.message)

    def test_a_mail_is_as_lasting_as_the_act_and_a_closed_account_gets_none(self):
        with self.assertRaises(RuntimeError), transaction.atomic():
            services.void_vouchers([self.his.pk], actor=self.staff, reason="x")
            raise RuntimeError
        self.assertEqual(self.mails(), {})
        users.close_account(user=self.carla, password=PASSWORD)
        services.void_vouchers([each.pk for each in self.all], actor=self.staff, reason="x")
        self.assertEqual(self.mails().keys(), {self.otto.email})
