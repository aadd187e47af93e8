"""Receipts mailed again: for the buyer who wants it, and by staff."""

from dataclasses import replace
from unittest import mock

from django.core import mail as outbox
from django.test import override_settings
from post_office.models import Email

from apps.core import mail
from apps.payments.backoffice.transactions import TransactionAdmin
from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users import services as users
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_user
from apps.vouchers.tests.test_admin import AdminTestCase
from tests.support.cases import ApiTestCase

TRANSACTIONS = "/admin/payments/transaction/"


def address(transaction_id):
    return f"/api/payments/transaction/{transaction_id}/receipt/"


class SendingItAgain(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)
        self.paid = make_completed_transaction(user=self.customer)
        Email.objects.all().delete()

    def test_the_buyer_has_it_sent_again(self):
        with self.assertQueries(4):  # who asks, the transaction, its vouchers, the mail
            response = self.api.post(address(self.paid.pk))
        self.assertEqual((response.status_code, response.content), (202, b""))
        self.assertIn(self.paid.vouchers[0].shown_code, Email.objects.get().message)
        self.assertEqual(mail.send_pending(), 1)
        self.assertEqual(len(outbox.outbox[0].attachments), 1)

    def test_only_what_is_ones_own_and_paid(self):
        unpaid = make_transaction(user=self.customer)
        other = make_completed_transaction(user=make_other_customer())
        Email.objects.all().delete()
        self.assertProblem(self.api.post(address(other.pk)), 404, "transaction_not_found")
        self.assertProblem(self.api.post(address(9999)), 404, "transaction_not_found")
        self.assertProblem(self.api.post(address(10**20)), 404, "transaction_not_found")
        self.assertProblem(self.api.post(address(unpaid.pk)), 409, "not_paid")
        self.assertProblem(self.client.post(address(self.paid.pk)), 401, "not_authenticated")
        self.assertEqual(Email.objects.count(), 0)

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_RECEIPTS=(2, 3600))
    def test_not_too_often(self):
        for _ in range(2):
            self.assertEqual(self.api.post(address(self.paid.pk)).status_code, 202)
        refused = self.signed_in(self.customer).post(address(self.paid.pk))
        self.assertProblem(refused, 429, "rate_limited")
        self.assertLessEqual(int(refused["Retry-After"]), 3600)
        self.assertEqual(Email.objects.count(), 2)
        self.assertEqual(self.api.get(address(self.paid.pk)).status_code, 200)


class StaffSendIt(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.paid = make_completed_transaction(user=self.customer)
        self.unpaid = make_transaction(user=self.customer)
        closed = make_user()
        self.closed = make_completed_transaction(user=closed)
        users.close_account(user=closed, password=PASSWORD)
        Email.objects.all().delete()

    def again(self, *chosen):
        rows = [str(each.pk) for each in chosen]
        body = {"action": "mail_receipt", "_selected_action": rows, "confirmed": "yes"}
        return self.client.post(TRANSACTIONS, body, follow=True)

    def test_staff_have_receipts_mailed_again_which_is_noted(self) -> None:
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            page = self.again(self.paid, self.unpaid, self.closed)
            self.assertContains(page, "Receipt mailed again: 1.")
            self.assertContains(page, "This transaction has not been paid.")
            self.assertContains(page, "The account is closed: there is nobody to mail it to.")
            self.assertEqual(Email.objects.get().to, [self.customer.email])
            Email.objects.all().delete()
        history = self.page(f"{TRANSACTIONS}{self.paid.pk}/history/")
        self.assertContains(history, "Receipt mailed again", count=2)

    def test_not_very_many_at_once(self) -> None:
        with mock.patch.object(
            TransactionAdmin, "mail_receipt", replace(TransactionAdmin.mail_receipt, max_rows=1)
        ):
            self.assertContains(self.again(self.paid, self.closed), "At most 1 at once")
        self.assertEqual(Email.objects.count(), 0)

    def test_from_the_page_of_the_payment_it_is_asked_first(self) -> None:
        address = f"{TRANSACTIONS}{self.paid.pk}/mail-receipt/"
        self.assertContains(self.page(f"{TRANSACTIONS}{self.paid.pk}/change/"), f'href="{address}"')
        self.assertContains(self.page(address), self.customer.email)
        self.assertEqual(Email.objects.count(), 0)
        page = self.client.post(address, {"confirmed": "yes"}, follow=True)
        self.assertContains(page, "Receipt mailed again: 1.")
        self.assertIn(self.paid.vouchers[0].shown_code, Email.objects.get().message)

    def test_staff_without_the_right_send_nothing(self) -> None:
        self.desk.user_permissions.remove(*self.desk.user_permissions.filter(codename="resend_receipt"))
        self.client.force_login(self.desk)
        self.again(self.paid)
        self.assertEqual(Email.objects.count(), 0)
