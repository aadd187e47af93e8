"""Mail with codes that waits to be sent while vouchers get new codes."""

from django.test import override_settings
from post_office.models import Email

from apps.core import mail
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_customer
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase
from tests.support.paper import text_of


class WaitingMails(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()

    @override_settings(MAIL_VOUCHERS_PDF=True)
    def test_a_mail_that_waits_prints_no_code_that_a_voucher_got_since(self):
        paid = make_completed_transaction(user=self.customer, quantity=2)
        first, second = paid.vouchers
        Voucher.objects.filter(pk=second.pk).update(code=codes.make())
        second.refresh_from_db()
        (_, printed) = mail.attachments_of(Email.objects.get())
        text = text_of(printed.content)
        self.assertIn(first.shown_code, text)
        self.assertNotIn(second.shown_code, text)
        Voucher.objects.filter(pk=first.pk).update(code=codes.make())
        self.assertEqual(len(mail.attachments_of(Email.objects.get())), 1)
        Email.objects.update(context={"attach": ["payments.receipt", {"transaction_id": paid.pk}]})
        self.assertEqual(len(mail.attachments_of(Email.objects.get())), 2)  # from the version before
