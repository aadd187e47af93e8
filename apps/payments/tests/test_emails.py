"""Mail to buyers: the receipt with the codes, and what becomes of refunds and disputes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import time_machine
from django.core import mail as outbox
from django.db import connection, transaction
from django.template import TemplateSyntaxError
from django.test import override_settings
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.core import mail
from apps.core.money import format_amount
from apps.payments import receipt_pdf, services
from apps.payments.models import Transaction
from apps.payments.tests.factories import intent_for, make_completed_transaction, make_transaction
from apps.users import services as users
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_user
from apps.vouchers import codes, qr
from apps.vouchers import services as vouchers
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type
from tests.support.cases import ApiTestCase
from tests.support.paper import text_of

from .money import CONFIRM, PURCHASE, PaidTestCase

NBSP = "\N{NO-BREAK SPACE}"


def subjects(to=None):
    """The subjects of all mails, or of those to one person, in order."""
    mails = Email.objects.filter(to=to.email) if to else Email.objects.all()
    return list(mails.order_by("id").values_list("subject", flat=True))


class ReceiptsByHttp(PaidTestCase, ApiTestCase):
    def test_confirms_and_webhooks_however_often_queue_one_mail_with_the_codes(self):
        intent_id = self.start(2).json()["payment_intent_id"]
        self.assertEqual(Email.objects.count(), 0)
        self.stripe.pay(intent_id)
        for _ in range(2):
            self.assertEqual(self.api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code, 200)
            self.deliver_all("payment_intent.succeeded")
        email = Email.objects.get()
        self.assertEqual((email.to, email.status), ([self.customer.email], STATUS.queued))
        self.assertEqual(email.subject, f"Your vouchers: 2 × {self.type.name}")
        for voucher in Voucher.objects.all():
            self.assertIn(voucher.shown_code, email.message)
            self.assertIn(voucher.shown_code, email.html_message)

    def test_it_goes_out_once_as_text_html_and_pdf(self):
        paid = self.buy(1)
        self.assertEqual((mail.send_pending(), mail.send_pending()), (1, 0))
        (sent,) = outbox.outbox
        self.assertEqual(sent.to, [self.customer.email])
        ((name, content, media_type),) = sent.attachments
        self.assertEqual((name, media_type), (f"receipt-{paid.receipt.number}.pdf", "application/pdf"))
        self.assertTrue(content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF"))

    def test_a_free_type_brings_one_too(self):
        free = make_type(name="Free", price="0.00", currency="XTS")
        response = self.api.post(PURCHASE, {"voucher_type_id": free.pk, "quantity": 2})
        self.assertEqual(response.status_code, 201, response.content)
        email = Email.objects.get()
        for voucher in response.json()["vouchers"]:
            self.assertIn(voucher["code"], email.message)
        self.assertIn(f"0.00{NBSP}XTS", email.message)

    def test_a_payment_that_does_not_match_brings_none(self):
        intent_id = self.start(1).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        self.stripe.override_payment_intent(intent_id, {"amount_received": 1})
        with self.assertLogs("apps.payments", "ERROR"):
            self.api.post(CONFIRM, {"payment_intent_id": intent_id})
        self.assertEqual(Email.objects.count(), 0)

    def test_a_refund_is_told_when_asked_for_and_when_it_ends(self):
        paid = self.buy(2)
        self.refund(paid)
        requested, refunded = Email.objects.order_by("id")[1:]
        self.assertEqual(
            (requested.subject, refunded.subject), ("Your request for a refund", "Your refund has been made")
        )
        for email in (requested, refunded):
            self.assertEqual(email.to, [self.customer.email])
            for text in (email.message, email.html_message):
                self.assertIn(f"20.00{NBSP}USD", text)
                for voucher in paid.vouchers:
                    self.assertIn(str(voucher), text)
                    self.assertNotIn(voucher.shown_code, text)
        self.assertNotIn("{", requested.message + refunded.message)

    def test_a_rejected_refund_comes_with_what_staff_noted(self):
        paid = self.buy(1)
        note = "Used at the desk <b>{{ x }}</b>\nsorry"
        services.reject_refund(refund_id=self.ask(paid).json()["id"], actor=self.staff, note=note)
        email = Email.objects.latest("id")
        self.assertEqual(email.subject, "Your refund was declined")
        self.assertIn(note, email.message)
        self.assertIn("&lt;b&gt;{{ x }}&lt;/b&gt;", email.html_message)
        self.assertIn("released", email.message)

    def test_a_refund_that_takes_its_time_or_comes_back_is_told_step_by_step(self):
        for method, outcome, subjects_of_refund in (
            ("pm_card_pendingRefund", "succeeded", ["is on its way", "has been made"]),
            ("pm_card_refundFail", "failed", ["has been made", "could not be made"]),
        ):
            Email.objects.all().delete()
            refund = self.refund(self.buy(1, method))
            self.stripe.settle_refund(refund.stripe_refund_id, outcome)
            for _ in range(2):
                services.sync_refund(refund.stripe_refund_id)
            self.assertEqual(
                subjects(self.customer)[2:], [f"Your refund {words}" for words in subjects_of_refund]
            )

    def test_what_is_refunded_at_stripe_is_told_once(self):
        paid = self.buy(1)
        self.stripe.refund(paid.stripe_payment_intent_id)
        for _ in range(2):
            self.deliver_all("charge.refunded")
        self.assertEqual(subjects()[1:], ["Your refund has been made"])

    def test_a_dispute_is_told_when_it_opens_and_when_it_is_settled(self):
        for outcome, words in (("won", "can be used again"), ("lost", "can't be used any more")):
            Email.objects.all().delete()
            paid = self.buy(1, "pm_card_createDispute")
            for _ in range(2):
                self.deliver_all("charge.dispute.created")
            dispute = self.stripe.disputes(paid.stripe_payment_intent_id)[0]["id"]
            self.stripe.close_dispute(dispute, outcome)
            for _ in range(2):
                self.deliver_all("charge.dispute.closed")
            opened, closed = Email.objects.exclude(subject__startswith="Your vouchers").order_by("id")
            self.assertEqual(
                (opened.subject, closed.subject),
                ("Your bank asks about a payment", "What your bank asked about is settled"),
            )
            self.assertIn(f"purchase {paid.pk}", opened.message)
            self.assertIn(words, " ".join(closed.message.split()))


class WhatAReceiptSays(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def receipt(self, paid):
        Email.objects.all().delete()
        self.assertTrue(services.queue_receipt(Transaction.objects.get(pk=paid.pk)))
        return Email.objects.get()

    def test_each_voucher_tells_what_it_is_good_for_by_then(self):
        paid = make_completed_transaction(
            user=self.customer, voucher_type=make_type(max_uses=3), quantity=len(Hold) + 3
        )
        numbered = list(paid.vouchers)
        for voucher, hold in zip(numbered, Hold, strict=False):
            Voucher.objects.filter(pk=voucher.pk).update(**held(hold))
        Voucher.objects.filter(pk=numbered[-1].pk).update(uses_remaining=0)
        Voucher.objects.filter(pk=numbered[-2].pk).update(expiry_date=datetime(2026, 3, 1, 12, tzinfo=UTC))
        email = self.receipt(paid)
        states = [line.strip() for line in email.message.splitlines() if line.startswith("      ")]
        self.assertEqual(
            [state.partition(":")[0] for state in states],
            [
                "Can't be used",
                "Refunded",
                "Can't be used at the moment",
                "Can't be used at the moment",
                "Can't be used",
                "Can't be used",
                f"Valid until {timezone.localtime(numbered[-3].expiry_date):%-d %B %Y}, 3 of 3 uses",
                "Expired on 1 March 2026",
                "Used",
            ],
        )

    def test_a_code_that_was_replaced_is_not_in_it(self):
        paid = make_completed_transaction(user=self.customer)
        old = paid.vouchers[0].shown_code
        vouchers.reissue_voucher(
            voucher_id=paid.vouchers[0].pk, actor=make_user(is_staff=True), reason="Lost"
        )
        email = self.receipt(paid)
        self.assertNotIn(old, email.message + email.html_message)
        self.assertIn(paid.vouchers[0].shown_code, email.message)

    def test_names_are_text_whatever_they_hold_and_the_buyers_is_not_in_it(self):
        User.objects.update(first_name="Visit http://evil.example", last_name="{% debug %}")
        name = "{{ vouchers }} <script>{% now 'Y' %}</script>\r\nBcc: victim@example.com"
        paid = make_completed_transaction(user=self.customer, voucher_type=make_type(name=name))
        email = self.receipt(paid)
        self.assertIn("{{ vouchers }} <script>{% now 'Y' %}</script>", email.message)
        self.assertIn("{{ vouchers }} &lt;script&gt;", email.html_message)
        self.assertNotIn("<script", email.html_message)
        self.assertNotRegex(email.subject, r"[\r\n]")
        self.assertNotIn("evil", email.message + email.html_message + email.subject)
        self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(outbox.outbox[0].recipients(), [self.customer.email])

    def test_the_longest_names_and_numbers_fit(self):
        paid = make_completed_transaction(
            user=self.customer,
            voucher_type=make_type(name="W" * 200, price=Decimal("99999999.99")),
            quantity=100,
        )
        email = self.receipt(paid)
        self.assertIn(f"9,999,999,999.00{NBSP}USD", email.message)
        self.assertEqual(mail.send_pending(), 1)

    def test_money_has_the_places_of_its_currency(self):
        for currency, price, shown in (
            ("JPY", "1250.00", "1,250"),
            ("USD", "12.50", "12.50"),
            ("BHD", "12.50", "12.500"),
            ("JPY", "0.50", "0.50"),
        ):
            self.assertEqual(format_amount(Decimal(price), currency), f"{shown}{NBSP}{currency}")
        kind = make_type(price=Decimal("1250.00"), currency="JPY")
        paid = make_completed_transaction(
            user=self.customer, voucher_type=kind, quantity=2, amount_refunded=Decimal("1250.00")
        )
        email = self.receipt(paid)
        for text in (email.message, email.html_message):
            self.assertIn(f"1,250{NBSP}JPY", text)
            self.assertIn(f"2,500{NBSP}JPY", text)
            self.assertNotIn("1,250.00", text)
        self.assertIn(f"Refunded: 1,250{NBSP}JPY", email.message)

    def test_times_are_those_of_the_project(self):
        paid = make_completed_transaction(
            user=self.customer, completed_at=datetime(2026, 3, 14, 22, 30, tzinfo=UTC)
        )
        with override_settings(TIME_ZONE="Africa/Nairobi"):
            email = self.receipt(paid)
        self.assertIn("15 March 2026, 01:30 EAT", email.message)
        self.assertIn("15 March 2026, 01:30 EAT", email.html_message)

    def test_nothing_in_it_is_fetched_from_elsewhere(self):
        html = self.receipt(make_completed_transaction(user=self.customer)).html_message
        self.assertEqual(html.count("src="), html.count('src="cid:'))
        for remote in ("<link", "<script", "url("):
            self.assertNotIn(remote, html)


class WhatGoesWithAReceipt(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    def sent(self) -> tuple[Any, list[Any], str]:
        """The one mail that is sent now: its parts by media type, and its HTML."""
        outbox.outbox.clear()
        self.assertEqual(mail.send_pending(), 1)
        message: Any = outbox.outbox[0].message()
        parts = [part for part in message.walk() if not part.is_multipart()]
        html = next(part for part in parts if part.get_content_type() == "text/html")
        return message, parts, html.get_payload(decode=True).decode()

    def test_each_voucher_that_can_be_used_has_its_qr_code_beside_the_html(self):
        paid = make_completed_transaction(user=self.customer, quantity=3)
        first, second, third = paid.vouchers
        Voucher.objects.filter(pk=second.pk).update(uses_remaining=0)
        Email.objects.all().delete()
        services.queue_receipt(Transaction.objects.get(pk=paid.pk))
        message, parts, html = self.sent()
        self.assertEqual(
            [part.get_content_type() for part in message.walk()],
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "image/png",
                "application/pdf",
            ],
        )
        pictures = [part for part in parts if part.get_content_type() == "image/png"]
        self.assertEqual(len(pictures), 2)
        for voucher, picture in zip((first, third), pictures, strict=True):
            self.assertEqual(picture["Content-ID"], f"<qr-{voucher.pk}@mail>")
            self.assertIn(f'src="cid:qr-{voucher.pk}@mail"', html)
            self.assertEqual(picture.get_payload(decode=True), qr.png(voucher.code, pixels=4))
        self.assertNotIn(f"qr-{second.pk}@", html)

    def test_no_qr_code_is_stored_or_that_of_another_code_shown(self):
        paid = make_completed_transaction(user=self.customer)
        (voucher,) = paid.vouchers
        self.assertNotIn(voucher.code, str(Email.objects.get().context))
        Voucher.objects.filter(pk=voucher.pk).update(code=codes.make())
        _, parts, _ = self.sent()
        self.assertNotIn("image/png", [part.get_content_type() for part in parts])

    def test_so_many_vouchers_that_a_mail_would_grow_too_long_have_no_more_qr_codes(self):
        make_completed_transaction(user=self.customer, quantity=25)
        _, parts, html = self.sent()
        self.assertEqual(sum(part.get_content_type() == "image/png" for part in parts), 20)
        self.assertEqual(html.count("cid:qr-"), 20)

    def attachments(self):
        _, parts, _ = self.sent()
        return [part.get_filename() for part in parts if part.get_content_type() == "application/pdf"]

    @override_settings(MAIL_VOUCHERS_PDF=True)
    def test_by_setting_it_brings_the_vouchers_as_they_are_when_it_is_sent(self):
        paid = make_completed_transaction(user=self.customer, quantity=2)
        email = Email.objects.get()
        self.assertIn("vouchers to print", " ".join(email.message.split()))
        first, second = paid.vouchers
        Voucher.objects.filter(pk=second.pk).update(**held(Hold.VOIDED))
        _, parts, _ = self.sent()
        receipt, printed = [part for part in parts if part.get_content_type() == "application/pdf"]
        self.assertEqual(receipt.get_filename(), f"receipt-{paid.receipt.number}.pdf")
        self.assertEqual(printed.get_filename(), f"vouchers-{paid.pk}.pdf")
        text = text_of(printed.get_payload(decode=True))
        self.assertIn(first.shown_code, text.partition("Not valid")[0])
        self.assertIn(second.shown_code, text.partition("Not valid")[2])
        self.assertNotIn("JVBER", str(Email.objects.values()))  # no PDF in the row

    def test_unless_it_is_set_or_where_there_are_too_many_the_receipt_comes_alone(self):
        paid = make_completed_transaction(user=self.customer, quantity=51)
        for setting in (False, True):
            with override_settings(MAIL_VOUCHERS_PDF=setting):
                Email.objects.all().delete()
                services.queue_receipt(Transaction.objects.get(pk=paid.pk))
                self.assertIn("are in your account", " ".join(Email.objects.get().message.split()))
                self.assertEqual(self.attachments(), [f"receipt-{paid.receipt.number}.pdf"])


class WhatStandsInNoWay(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.pending = make_transaction(user=self.customer, quantity=2)

    def assertCompletedWithoutMail(self):
        self.assertTrue(Transaction.objects.get(pk=self.pending.pk).is_paid)
        self.assertEqual((Voucher.objects.count(), Email.objects.count()), (2, 0))

    def test_it_is_as_lasting_as_the_completion(self):
        with self.assertRaises(RuntimeError), transaction.atomic():
            services.apply_intent(intent_for(self.pending))
            raise RuntimeError
        self.assertEqual((Voucher.objects.count(), Email.objects.count()), (0, 0))

    def test_a_late_payment_of_a_closed_account_is_fulfilled_without_a_mail(self):
        users.close_account(user=self.customer, password=PASSWORD)
        services.apply_intent(intent_for(self.pending))
        self.assertCompletedWithoutMail()
        self.assertFalse(services.queue_receipt(Transaction.objects.get(pk=self.pending.pk)))

    def test_closing_the_account_takes_a_mail_that_waits_with_it(self):
        services.apply_intent(intent_for(self.pending))
        users.close_account(user=self.customer, password=PASSWORD)
        self.assertEqual((mail.send_pending(), Email.objects.count()), (0, 0))

    def test_a_text_that_cannot_be_written_is_logged_and_stops_no_payment(self):
        with (
            mock.patch("apps.core.mail.messages.render", side_effect=TemplateSyntaxError),
            self.assertLogs("apps.payments", "ERROR"),
        ):
            services.apply_intent(intent_for(self.pending))
        self.assertCompletedWithoutMail()

    def test_an_address_that_no_mail_can_have_stops_no_payment(self):
        User.objects.filter(pk=self.customer.pk).update(email="no address")
        services.apply_intent(intent_for(self.pending))
        self.assertCompletedWithoutMail()

    def test_a_receipt_that_cannot_be_drawn_now_is_sent_later_with_its_mail(self):
        services.apply_intent(intent_for(self.pending))
        now = timezone.now()
        with mock.patch.object(receipt_pdf, "receipt_pdf", side_effect=ValueError("no font")):
            self.assertEqual(mail.send_pending(), 0)
        self.assertEqual(Email.objects.get().status, STATUS.requeued)
        with time_machine.travel(now + timedelta(minutes=6), tick=False):
            self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(len(outbox.outbox[0].attachments), 1)

    def test_completing_costs_one_more_query(self):
        # Lock of the owner and of the transaction; vouchers with their history, sale with transaction; the mail; the
        # receipt, which elsewhere takes two more.
        make_completed_transaction(user=self.customer)  # after the first receipt there is a counter
        with self.assertQueries(6 if connection.vendor == "postgresql" else 10):
            services.apply_intent(intent_for(self.pending))
