"""Mail with full codes waits until its reader has confirmed the address; buying and the screen do not."""

from datetime import timedelta
from unittest import mock

from django.utils import timezone
from post_office.models import Email

from apps.core import mail
from apps.payments import services
from apps.payments.models import Transaction
from apps.users import email_changes, email_confirmation, email_links, withheld_mails
from apps.users import services as users
from apps.users.models import EmailChange, User, WithheldMail
from apps.users.tests.factories import PASSWORD, make_customer, make_staff, make_unconfirmed
from apps.vouchers import services as vouchers
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

from .factories import make_completed_transaction

CONFIRM = "/api/auth/confirm-email/"


class WithheldTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.nora = make_unconfirmed()
        self.api = self.signed_in(self.nora)
        self.type = make_type(price="10.00")

    def confirm(self):
        token = email_links.confirmation_url(self.nora.pk, self.nora.email).partition("#token=")[2]
        response = self.api.post(CONFIRM, {"token": token})
        self.assertEqual(response.status_code, 200, response.content)

    def buy(self, quantity=1):
        body = {"voucher_type_id": self.type.pk, "quantity": quantity}
        intent = self.api.post("/api/payments/create-payment-intent/", body).json()["payment_intent_id"]
        self.stripe.pay(intent)
        response = self.api.post("/api/payments/confirm-payment/", {"payment_intent_id": intent})
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def assertNoCodeMailed(self):
        for email in Email.objects.all():
            text = email.message + email.html_message + email.subject
            for voucher in Voucher.objects.all():
                self.assertNotIn(voucher.code, text)
                self.assertNotIn(voucher.shown_code, text)
            self.assertEqual((mail.attachments_of(email), mail.pictures_of(email)), ([], []))

    def mailed_codes(self):
        """The codes in each mail that has any, in the order of the mails."""
        known = {voucher.shown_code for voucher in Voucher.objects.all()}
        mailed = [
            {code for code in known if code in email.message and code in email.html_message}
            for email in Email.objects.order_by("id")
        ]
        return list(filter(None, mailed))

    def test_buying_goes_on_with_the_codes_on_the_screen_and_none_in_the_mail(self):
        answer = self.buy(quantity=2)
        self.assertEqual(len(answer["voucher_codes"]), 2)
        self.assertNoCodeMailed()
        email = Email.objects.get()
        self.assertEqual(
            (email.to, email.subject), (["nora@example.com"], "Your vouchers are in your account")
        )
        for text in (email.message, email.html_message):
            self.assertIn("confirm-email#token=", text)
            self.assertIn("20.00\xa0USD", text)
            self.assertNotIn("Nora", text)
        withheld = WithheldMail.objects.get()
        self.assertEqual(
            (withheld.kind, withheld.reference), ("payments.receipt", Transaction.objects.get().pk)
        )
        self.assertEqual(broken_rules(), {})

    def test_the_link_in_that_mail_confirms_the_address_and_the_codes_follow(self):
        answer = self.buy(quantity=2)
        token = Email.objects.get().message.partition("#token=")[2].split()[0]
        self.assertEqual(self.client_class().post(CONFIRM, {"token": token}).status_code, 200)
        self.assertEqual(self.mailed_codes(), [set(answer["voucher_codes"])])
        receipt = Email.objects.latest("id")
        (attachment,) = mail.attachments_of(receipt)
        self.assertEqual((receipt.to, attachment.media_type), (["nora@example.com"], "application/pdf"))
        self.assertEqual(WithheldMail.objects.count(), 0)
        self.assertEqual(broken_rules(), {})

    def test_each_purchase_is_mailed_once_however_often_it_was_withheld(self):
        first, second = self.buy(), self.buy()
        for _ in range(2):
            number = first["transaction"]["id"]
            self.assertEqual(self.api.post(f"/api/payments/transaction/{number}/receipt/").status_code, 202)
        self.assertEqual(Email.objects.count(), 4)
        self.assertNoCodeMailed()
        self.confirm()
        expected = [set(first["voucher_codes"]), set(second["voucher_codes"])]
        self.assertEqual(self.mailed_codes(), expected)
        self.assertFalse(email_confirmation.confirm(user=self.nora))
        self.assertEqual(self.mailed_codes(), expected)

    def test_a_free_type_is_withheld_too(self):
        free = make_type(price=0)
        answer = self.api.post("/api/vouchers/purchase/", {"voucher_type_id": free.pk}).json()
        self.assertEqual(len(answer["vouchers"]), 1)
        self.assertNoCodeMailed()
        self.confirm()
        self.assertEqual(self.mailed_codes(), [{answer["vouchers"][0]["code"]}])

    def test_a_purchase_after_the_confirmation_is_mailed_as_ever(self):
        self.confirm()
        answer = self.buy()
        self.assertEqual(self.mailed_codes(), [set(answer["voucher_codes"])])
        self.assertEqual(WithheldMail.objects.count(), 0)

    def test_the_states_in_the_mail_are_those_of_the_day_it_is_sent(self):
        self.buy()
        self.api.post("/api/vouchers/redeem/", {"code": Voucher.objects.get().code})
        self.confirm()
        self.assertIn("Used", Email.objects.latest("id").message)

    def test_what_staff_send_waits_too(self):
        paid = make_completed_transaction(user=self.nora)
        stella = make_staff()
        Email.objects.all().delete()
        self.client.force_login(stella)
        response = self.client.post(
            f"/admin/payments/transaction/{paid.pk}/mail-receipt/", {"confirmed": "yes"}, format="multipart"
        )
        self.assertEqual(response.status_code, 302, response.content)
        voucher = vouchers.reissue_voucher(
            voucher_id=paid.vouchers.get().pk, actor=stella, reason="It was seen."
        )
        self.assertEqual(
            list(Email.objects.order_by("id").values_list("subject", flat=True)),
            ["Your vouchers are in your account", "Your voucher has a new code: see your account"],
        )
        self.assertNoCodeMailed()
        self.confirm()
        self.assertEqual(self.mailed_codes(), [{voucher.shown_code}] * 2)

    def test_a_new_code_of_a_voucher_that_is_void_or_anothers_by_now_is_not_mailed(self):
        stella = make_staff()
        for number in range(2):
            make_completed_transaction(user=self.nora)
            voucher = Voucher.objects.latest("id")
            vouchers.reissue_voucher(voucher_id=voucher.pk, actor=stella, reason="It was seen.")
            if number:
                Voucher.objects.filter(pk=voucher.pk).update(user=make_customer())
            else:
                vouchers.void_vouchers([voucher.pk], actor=stella, reason="It was stolen.")
        WithheldMail.objects.filter(kind="payments.receipt").delete()
        self.confirm()
        self.assertEqual(self.mailed_codes(), [])

    def test_reminders_go_on_as_they_have_no_code_in_full(self):
        now = timezone.now()
        make_voucher(
            owner=self.nora,
            voucher_type=self.type,
            purchase_date=now - timedelta(days=90),
            expiry_date=now + timedelta(days=1),
        )
        self.assertEqual(vouchers.send_expiry_reminders(now=now), 1)
        self.assertNoCodeMailed()

    def test_staff_mark_an_address_as_confirmed_or_send_the_link_again(self):
        answer = self.buy()
        self.client.force_login(make_staff())
        body = {"action": "send_confirmation", "_selected_action": [self.nora.pk]}
        Email.objects.all().delete()
        self.assertEqual(self.client.post("/admin/users/user/", body, format="multipart").status_code, 302)
        self.assertEqual(Email.objects.get().subject, "Confirm your e-mail address")
        self.assertNoCodeMailed()
        body["action"] = "confirm_address"
        for _ in range(2):
            self.client.post("/admin/users/user/", body, format="multipart")
            self.assertEqual(self.mailed_codes(), [set(answer["voucher_codes"])])
        self.assertTrue(User.objects.get(pk=self.nora.pk).email_confirmed)

    def test_staff_who_enter_another_address_have_it_confirmed_before_codes_go_there(self):
        self.confirm()
        self.client.force_login(make_staff())
        body = {
            "email": "nora.new@example.com",
            "first_name": "Nora",
            "is_active": "on",
            "profile-TOTAL_FORMS": "0",
            "profile-INITIAL_FORMS": "0",
        }
        page = f"/admin/users/user/{self.nora.pk}/change/"
        self.assertEqual(self.client.post(page, body, format="multipart").status_code, 302)
        self.nora.refresh_from_db()
        self.assertEqual((self.nora.email, self.nora.email_confirmed), ("nora.new@example.com", False))
        self.assertProblem(self.api.get("/api/users/profile/"), 401, "token_invalid")
        make_completed_transaction(user=self.nora)
        self.assertNoCodeMailed()
        self.assertEqual(WithheldMail.objects.count(), 1)

    def test_a_buyer_read_before_the_address_was_changed_gets_no_code_at_the_mistyped_one(self):
        paid = make_completed_transaction(user=self.nora)
        Email.objects.all().delete()
        purchase = Transaction.objects.select_related("user").get(pk=paid.pk)
        voucher = Voucher.objects.select_related("user").get()
        email_changes.request_email_change(user=self.nora, new_email="right@example.com")
        link = email_links.change_url(EmailChange.objects.get().pk)
        email_changes.confirm_email_change(token=link.partition("#token=")[2])
        Email.objects.all().delete()
        services.queue_receipt(purchase)
        with mock.patch("apps.vouchers.services.reissue.lock_vouchers", return_value=[voucher]):
            vouchers.reissue_voucher(voucher_id=voucher.pk, actor=make_staff(), reason="It was seen.")
        self.assertEqual([email.to for email in Email.objects.all()], [["right@example.com"]] * 2)

    def test_closing_the_account_forgets_what_was_withheld(self):
        self.buy()
        users.close_account(user=User.objects.get(pk=self.nora.pk), password=PASSWORD)
        self.assertEqual((WithheldMail.objects.count(), Email.objects.count()), (0, 0))

    def test_it_is_part_of_what_is_held_about_a_person(self):
        paid = self.buy()
        (withheld,) = self.api.get("/api/users/export/").json()["withheld_mails"]
        self.assertEqual(withheld["reference"], paid["transaction"]["id"])

    def test_a_kind_that_another_version_withheld_stops_no_confirmation(self):
        withheld_mails.withhold(user=self.nora, kind="later.kind", reference=7, instead=lambda: None)
        with self.assertLogs("apps.users.withheld_mails", "ERROR"):
            self.confirm()
        self.assertEqual(WithheldMail.objects.count(), 0)

    def test_where_the_mails_can_not_be_queued_the_address_is_not_confirmed(self):
        self.buy()
        with (
            mock.patch.object(withheld_mails, "discard", side_effect=RuntimeError),
            self.assertRaises(RuntimeError),
        ):
            email_confirmation.confirm(user=self.nora)
        self.assertFalse(User.objects.get().email_confirmed)
        self.assertEqual(self.mailed_codes(), [])
        self.confirm()
        self.assertEqual(len(self.mailed_codes()), 1)

    def test_a_paid_purchase_of_a_confirmed_buyer_takes_no_query_more(self):
        carla = make_customer()
        paid = make_completed_transaction(user=carla)
        paid = Transaction.objects.select_related("user", "voucher_type").get(pk=paid.pk)
        with self.assertQueries(2):  # the vouchers, the mail
            services.queue_receipt(paid)
        of_nora = make_completed_transaction(user=self.nora)
        of_nora = Transaction.objects.select_related("user", "voucher_type").get(pk=of_nora.pk)
        # Whether the address is still to be confirmed; what is withheld, and the mail without codes.
        with self.assertQueries(3):
            services.queue_receipt(of_nora)
